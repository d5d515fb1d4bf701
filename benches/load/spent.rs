//! What a load cost: operations on the database, and the processors' time.

use bson::{Document, doc};
use mongodb::Client;

/// Linux counts a process's time in hundredths of a second.
const TICK_MS: f64 = 10.0;

/// What was done since the processes began.
pub(crate) struct Spent {
    updates: f64,
    queries: f64,
    feed: f64,
    others: f64,
    shop_ms: f64,
    mongod_ms: f64,
}

impl Spent {
    /// What the shop, process `shop`, and its database at `uri` have done by now.
    pub(crate) async fn so_far(uri: &str, shop: u32) -> Self {
        let client = Client::with_uri_str(uri).await.unwrap();
        let asked = doc! { "serverStatus": 1, "metrics": 0, "wiredTiger": 0, "tcmalloc": 0 };
        let status = client.database("admin").run_command(asked).await.unwrap();
        let mongod = number(&status, "pid");
        let counts = status.get_document("opcounters").unwrap();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a process's number"
        )]
        let mongod = mongod as u32;
        Self {
            updates: number(counts, "update"),
            queries: number(counts, "query"),
            feed: number(counts, "getmore"),
            others: ["insert", "delete", "command"]
                .map(|kind| number(counts, kind))
                .iter()
                .sum(),
            shop_ms: processor_ms(shop),
            mongod_ms: processor_ms(mongod),
        }
    }

    /// One line: what each of `count` requests has cost since `before`.
    pub(crate) fn each(&self, before: &Self, count: usize) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let share = |now: f64, then: f64| (now - then) / count as f64;
        format!(
            "each: {:.2} updates, {:.2} queries, {:.2} reads of the feed, {:.2} others; {:.3} ms of the shop's processor, {:.3} of mongod's",
            share(self.updates, before.updates),
            share(self.queries, before.queries),
            share(self.feed, before.feed),
            share(self.others, before.others),
            share(self.shop_ms, before.shop_ms),
            share(self.mongod_ms, before.mongod_ms),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn number(document: &Document, name: &str) -> f64 {
    let value = document.get(name).unwrap();
    let whole = value.as_i64().or(value.as_i32().map(i64::from));
    whole.map_or_else(|| value.as_f64().unwrap(), |whole| whole as f64)
}

/// Time in user and kernel mode, of all threads.
pub(crate) fn processor_ms(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name in parentheses may hold blanks; the times are the 14th and 15th field.
    let (_name, fields) = stat.rsplit_once(')').unwrap();
    let ticks = |place: usize| {
        let field = fields.split_whitespace().nth(place).unwrap();
        field.parse::<f64>().unwrap()
    };
    (ticks(11) + ticks(12)) * TICK_MS
}
