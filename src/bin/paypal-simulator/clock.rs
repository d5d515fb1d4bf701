//! The simulator's time: the machine's clock plus an offset that a test may push forward.

use time::{
    Date, Duration, Month, OffsetDateTime, UtcOffset, Weekday,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::{format_description, offset},
};

/// `2026-11-22T14:05:09Z`: the form of `create_time` on orders and captures.
const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
/// `2026-11-22T14:05:09.123Z`: the form of an event's `create_time`.
const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
/// `20:12:59 Jan 13, 2009`: the form of an IPN message's `payment_date`, zone apart.
const IPN: &[BorrowedFormatItem<'_>] =
    format_description!("[hour]:[minute]:[second] [month repr:short] [day], [year]");

/// A clock that runs at the machine's pace, ahead of it by `ahead`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    ahead: Duration,
}

impl Clock {
    /// A clock that shows the machine's time.
    pub(crate) const fn new() -> Self {
        Self {
            ahead: Duration::ZERO,
        }
    }

    /// The time it shows, UTC.
    pub(crate) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc().saturating_add(self.ahead)
    }

    /// Moves it forward, so that keys, orders and tokens age without waiting.
    pub(crate) fn advance(&mut self, seconds: i64) {
        self.ahead = self.ahead.saturating_add(Duration::seconds(seconds.max(0)));
    }
}

/// UTC with whole seconds, as orders and captures carry it.
pub(crate) fn stamp(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC)
        .format(SECONDS)
        .unwrap_or_default()
}

/// UTC with milliseconds, as events carry it.
pub(crate) fn stamp_millis(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC)
        .format(MILLIS)
        .unwrap_or_default()
}

/// Pacific time with its offset, as refunds carry it.
pub(crate) fn stamp_pacific(at: OffsetDateTime) -> String {
    let whole = at.replace_nanosecond(0).unwrap_or(at);
    pacific(whole).0.format(&Rfc3339).unwrap_or_default()
}

/// Pacific time in IPN's own form, with `PST` or `PDT`.
pub(crate) fn stamp_ipn(at: OffsetDateTime) -> String {
    let (local, zone) = pacific(at);
    format!("{} {zone}", local.format(IPN).unwrap_or_default())
}

/// Pacific time: daylight saving from the second Sunday of March to the first of November, at 2:00
/// local time (US Energy Policy Act of 2005).
fn pacific(at: OffsetDateTime) -> (OffsetDateTime, &'static str) {
    let year = at.to_offset(offset!(-8)).year();
    let starts = sunday(year, Month::March, 8)
        .and_then(|day| day.with_hms(10, 0, 0).ok())
        .map(time::PrimitiveDateTime::assume_utc);
    let ends = sunday(year, Month::November, 1)
        .and_then(|day| day.with_hms(9, 0, 0).ok())
        .map(time::PrimitiveDateTime::assume_utc);
    match (starts, ends) {
        (Some(starts), Some(ends)) if at >= starts && at < ends => {
            (at.to_offset(offset!(-7)), "PDT")
        }
        _ => (at.to_offset(offset!(-8)), "PST"),
    }
}

/// The first Sunday on or after that day.
fn sunday(year: i32, month: Month, day: u8) -> Option<Date> {
    let mut date = Date::from_calendar_date(year, month, day).ok()?;
    while date.weekday() != Weekday::Sunday {
        date = date.next_day()?;
    }
    Some(date)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn stamps_take_the_forms_of_the_wire() {
        let at = datetime!(2009-01-14 04:12:59.250 UTC);
        assert_eq!(stamp(at), "2009-01-14T04:12:59Z");
        assert_eq!(stamp_millis(at), "2009-01-14T04:12:59.250Z");
        assert_eq!(stamp_pacific(at), "2009-01-13T20:12:59-08:00");
        assert_eq!(stamp_ipn(at), "20:12:59 Jan 13, 2009 PST");
    }

    #[test]
    fn pacific_time_changes_on_the_right_sundays() {
        assert_eq!(
            stamp_pacific(datetime!(2026-03-08 09:59:59 UTC)),
            "2026-03-08T01:59:59-08:00"
        );
        assert_eq!(
            stamp_pacific(datetime!(2026-03-08 10:00:00 UTC)),
            "2026-03-08T03:00:00-07:00"
        );
        assert_eq!(
            stamp_pacific(datetime!(2026-11-01 08:59:59 UTC)),
            "2026-11-01T01:59:59-07:00"
        );
        assert_eq!(
            stamp_pacific(datetime!(2026-11-01 09:00:00 UTC)),
            "2026-11-01T01:00:00-08:00"
        );
    }

    #[test]
    fn an_advanced_clock_runs_ahead() {
        let mut clock = Clock::new();
        clock.advance(3600);
        assert!(clock.now() - OffsetDateTime::now_utc() > Duration::seconds(3598));
    }
}
