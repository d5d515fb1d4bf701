//! Time as stored and as shown: milliseconds since 1970, RFC 3339 in UTC with three decimals.
//!
//! What decides about money, stock or expiry is the database's clock (`$$NOW`), not this one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

const SHOWN: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A moment, to the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(bson::DateTime);

impl Timestamp {
    /// This machine's present time.
    #[must_use]
    pub fn now() -> Self {
        Self(bson::DateTime::now())
    }

    /// A moment given in milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(bson::DateTime::from_millis(millis))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.timestamp_millis().div_euclid(1000)
    }

    /// The moment `duration` later, as far as the type reaches.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.millis().saturating_add(millis))
    }

    /// The moment `duration` earlier, as far as the type reaches.
    #[must_use]
    pub fn before(self, duration: std::time::Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.millis().saturating_sub(millis))
    }

    /// The end of the calendar year (UTC) that comes `years` after this moment's own.
    #[must_use]
    pub fn end_of_year(self, years: u16) -> Self {
        let moment = OffsetDateTime::from_unix_timestamp(self.seconds());
        let new_year = moment.ok().and_then(|moment| {
            let year = moment
                .year()
                .checked_add(i32::from(years))?
                .checked_add(1)?;
            let day = time::Date::from_calendar_date(year, time::Month::January, 1).ok()?;
            Some(day.midnight().assume_utc().unix_timestamp())
        });
        new_year.map_or(Self::from_millis(i64::MAX), |seconds| {
            Self::from_millis(seconds.saturating_mul(1000))
        })
    }

    /// Reads RFC 3339 with any offset.
    ///
    /// # Errors
    /// When the text is no RFC 3339 time.
    pub fn parse(text: &str) -> Result<Self, time::error::Parse> {
        let moment = OffsetDateTime::parse(text, &Rfc3339)?;
        let millis = moment.unix_timestamp_nanos() / 1_000_000;
        Ok(Self::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.millis()) * 1_000_000)
                .ok()
                .and_then(|moment| moment.format(SHOWN).ok())
                .ok_or(fmt::Error)?;
        f.write_str(&shown)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Timestamp> for bson::Bson {
    fn from(moment: Timestamp) -> Self {
        Self::DateTime(moment.0)
    }
}

impl From<bson::DateTime> for Timestamp {
    fn from(moment: bson::DateTime) -> Self {
        Self(moment)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            Self::parse(&text).map_err(de::Error::custom)
        } else {
            bson::DateTime::deserialize(deserializer).map(Self)
        }
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::DateTime,
            )))
            .examples(["2026-11-22T14:05:09.123Z"])
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_utc_with_three_decimals() {
        let noon = Timestamp::parse("2018-08-15T12:00:00-07:00").unwrap();
        assert_eq!(noon.to_string(), "2018-08-15T19:00:00.000Z");
        assert_eq!(
            serde_json::to_string(&noon).unwrap(),
            "\"2018-08-15T19:00:00.000Z\""
        );
    }

    #[test]
    fn years_for_the_books_begin_when_the_year_is_over() {
        let ends = |text: &str, years| {
            let moment = Timestamp::parse(text).unwrap();
            moment.end_of_year(years).to_string()
        };
        let expected = "2037-01-01T00:00:00.000Z";
        assert_eq!(ends("2026-01-01T00:00:00Z", 10), expected);
        assert_eq!(ends("2026-12-31T23:59:59.999Z", 10), expected);
        assert_eq!(ends("2027-01-01T00:30:00+01:00", 10), expected);
        assert_eq!(ends("2026-11-26T00:00:00Z", 0), "2027-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_moment_is_stored_as_a_bson_date() {
        let stored = bson::doc! { "at": Timestamp::from_millis(5) };
        assert_eq!(stored.get_datetime("at").unwrap().timestamp_millis(), 5);
    }
}
