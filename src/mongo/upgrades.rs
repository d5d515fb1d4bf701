//! What an earlier release left behind, brought up to date once a database: documents that lack what is asked for
//! now, and indexes that nothing uses any more.
//!
//! Each upgrade has a name and is written down when it is done, so that a start with nothing to do costs one read.
//! Every step finds only what is still to be done: several nodes may be at it at once, and one that dies midway
//! is followed by the next start. Nodes of the earlier release are to be stopped before: what they write after
//! the upgrade nobody brings up to date.

use std::collections::HashSet;

use bson::{Document, doc};
use mongodb::{Database, options::Hint};

use super::{StoreError, schema};

/// The collection is not there.
const NAMESPACE_NOT_FOUND: i32 = 26;
/// The document of what is done.
const DONE: &str = "upgrades";

/// One step from an earlier release to this one.
#[derive(Debug, Clone)]
pub struct Upgrade {
    /// Its name, for good: under it the database remembers that it is done.
    pub name: &'static str,
    /// The collection that it is about.
    pub collection: &'static str,
    /// What is done to documents.
    pub fill: Fill,
    /// Indexes that the shop once made there and declares no more.
    pub former_indexes: &'static [&'static str],
}

/// A change of documents that are of the former shape.
#[derive(Debug, Clone)]
pub struct Fill {
    /// Those documents; none of them after `change`.
    pub former: Document,
    /// The change, as a pipeline.
    pub change: Vec<Document>,
}

/// Does what is not done yet; after [`schema::apply`].
///
/// # Errors
/// When the server refuses a step.
pub async fn apply(database: &Database, upgrades: &[Upgrade]) -> Result<(), StoreError> {
    let meta = database.collection::<Document>("meta");
    let done = meta.find_one(doc! { "_id": DONE }).await?;
    let done: HashSet<String> = done
        .iter()
        .filter_map(|done| done.get_array("done").ok())
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    for upgrade in upgrades.iter().filter(|one| !done.contains(one.name)) {
        apply_one(database, upgrade).await?;
        let note = doc! { "$addToSet": { "done": upgrade.name } };
        meta.update_one(doc! { "_id": DONE }, note)
            .upsert(true)
            .await?;
    }
    Ok(())
}

async fn apply_one(database: &Database, upgrade: &Upgrade) -> Result<(), StoreError> {
    let documents = database.collection::<Document>(upgrade.collection);
    let Fill { former, change } = upgrade.fill.clone();
    let filled = documents
        .update_many(former, change)
        // The one index that another node, which starts as well, does not make anew meanwhile.
        .hint(Hint::Name("_id_".to_owned()))
        .await?;
    if filled.matched_count > 0 {
        tracing::info!(
            upgrade = upgrade.name,
            documents = filled.matched_count,
            "documents of an earlier release are brought up to date"
        );
    }
    for name in upgrade.former_indexes {
        match documents.drop_index(*name).await {
            Ok(()) => {}
            // Never made here, or dropped by another node.
            Err(error)
                if schema::has_code(&error, &[NAMESPACE_NOT_FOUND, schema::INDEX_NOT_FOUND]) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use futures_util::{TryStreamExt, future::join_all};
    use mongodb::Client;

    use super::*;

    fn step(name: &'static str) -> Upgrade {
        Upgrade {
            name,
            collection: "things",
            fill: Fill {
                former: doc! { "colour": { "$exists": false } },
                change: vec![doc! { "$set": { "colour": "$paint", "changes": {
                    "$add": [{ "$ifNull": ["$changes", 0] }, 1],
                } } }],
            },
            former_indexes: &["paint", "never_made"],
        }
    }

    #[tokio::test]
    async fn nodes_that_start_at_once_upgrade_each_document_once_and_drop_only_what_was_theirs() {
        let uri = std::env::var("BODEGA_TEST_MONGODB_URI").unwrap();
        let options = crate::mongo::options(&uri, "test").await.unwrap();
        let client = Client::with_options(options).unwrap();
        let database = client.database(&format!("test_mongo_{}", ObjectId::new()));
        let things = database.collection::<Document>("things");
        let former = (0..500).map(|n| doc! { "_id": n, "paint": n });
        things.insert_many(former).await.unwrap();
        for (name, field) in [("paint", "paint"), ("own", "changes")] {
            let options = mongodb::options::IndexOptions::builder().name(name.to_owned());
            let model = mongodb::IndexModel::builder()
                .keys(doc! { field: 1 })
                .options(options.build());
            things.create_index(model.build()).await.unwrap();
        }
        let upgrades = [step("first")];
        for done in join_all((0..4).map(|_| apply(&database, &upgrades))).await {
            done.unwrap();
        }
        let all = things.find(doc! { "_id": { "$gte": 0 } }).await.unwrap();
        let all: Vec<Document> = all.try_collect().await.unwrap();
        assert_eq!(all.len(), 500);
        for thing in all {
            assert_eq!(thing.get("colour"), thing.get("paint"));
            assert_eq!(thing.get_i32("changes").unwrap(), 1);
        }
        let mut left = things.list_index_names().await.unwrap();
        left.sort();
        assert_eq!(left, ["_id_", "own"]);
        // What is done is not looked for again; what is new is.
        things.insert_one(doc! { "_id": 500 }).await.unwrap();
        let late = async || things.find_one(doc! { "_id": 500 }).await.unwrap().unwrap();
        apply(&database, &upgrades).await.unwrap();
        assert!(!late().await.contains_key("changes"));
        apply(&database, &[step("first"), step("second")])
            .await
            .unwrap();
        assert!(late().await.contains_key("changes"));
        database.drop().await.unwrap();
    }
}
