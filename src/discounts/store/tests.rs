//! Claims on a real database, from two clients as if from two nodes.

use bson::oid::ObjectId;
use futures_util::future::join_all;

use super::*;
use crate::{
    audit::Actor,
    config::MongoConfig,
    discounts::model::{Kind, Obstacle},
    http::IfMatch,
};

const LIFE: std::time::Duration = std::time::Duration::from_mins(1);

struct Nodes {
    mongo: Mongo,
    here: Discounts,
    there: Discounts,
}

impl Nodes {
    async fn open() -> Self {
        let config = MongoConfig {
            uri: std::env::var("BODEGA_TEST_MONGODB_URI")
                .expect("set BODEGA_TEST_MONGODB_URI or run scripts/test"),
            database: format!("test_discounts_{}", ObjectId::new()),
            data_dir: "unused".into(),
            port: 0,
            mongod: String::new(),
            pool_size: 16,
        };
        let mongo = Mongo::connect(&config.uri, &config).await.unwrap();
        schema::apply(
            mongo.database(),
            &[collections(), crate::audit::collections()].concat(),
        )
        .await
        .unwrap();
        let other = Mongo::connect(&config.uri, &config).await.unwrap();
        Self {
            here: Discounts::new(&mongo),
            there: Discounts::new(&other),
            mongo,
        }
    }

    async fn code(&self, limit: Option<u32>, limit_per_user: Option<u32>) -> DiscountCode {
        let code = DiscountCode::parse("ONCE").unwrap();
        let rules = Rules {
            kind: Kind::Percent(1_000),
            minimum: None,
            limit,
            limit_per_user,
            starts_at: None,
            ends_at: None,
            active: true,
        };
        self.here
            .create(code.clone(), rules, Actor::CommandLine)
            .await
            .unwrap();
        code
    }

    async fn counts(&self, code: &DiscountCode) -> (u64, u64) {
        let found = self.here.find(code).await.unwrap().unwrap();
        (found.used, found.claimed)
    }

    /// Uses and claims over all buyers of `code`.
    async fn counts_of_buyers(&self, code: &DiscountCode) -> (u64, usize) {
        let all = self.here.uses.find(doc! {}).await.unwrap();
        let all: Vec<UseDocument> = all.try_collect().await.unwrap();
        let found: Vec<_> = all.iter().filter(|uses| uses.code == *code).collect();
        let claims = found.iter().map(|uses| uses.claims.len()).sum();
        (found.iter().map(|uses| uses.used).sum(), claims)
    }

    async fn close(self) {
        self.mongo.database().drop().await.unwrap();
    }
}

fn claim(code: &DiscountCode, user: UserId) -> Claim {
    Claim {
        checkout: CheckoutId::new(),
        user,
        codes: vec![code.clone()],
    }
}

#[actix_web::test]
async fn a_limit_holds_however_many_claim_at_once_on_two_nodes() {
    let nodes = Nodes::open().await;
    let code = nodes.code(Some(3), None).await;
    let claims: Vec<_> = (0..40).map(|_| claim(&code, UserId::new())).collect();
    let taken = join_all(claims.iter().enumerate().map(|(n, claim)| {
        let node = if n % 2 == 0 {
            &nodes.here
        } else {
            &nodes.there
        };
        node.claim(claim, LIFE)
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = claims
        .iter()
        .zip(taken)
        .partition(|(_, taken)| taken.as_ref().unwrap().is_ok());
    assert_eq!((won.len(), nodes.counts(&code).await), (3, (0, 3)));
    for (_, refused) in lost {
        let refused = refused.unwrap().unwrap_err();
        assert_eq!(refused.obstacle, Obstacle::UsedUp);
    }
    assert_eq!(nodes.counts_of_buyers(&code).await, (0, 3));
    // One becomes an order, on both nodes at once; one ends without; the third still stands.
    let [kept, freed, _stands] = won.as_slice() else {
        unreachable!("three have won")
    };
    let (one, other) = (nodes.here.keep(kept.0), nodes.there.keep(kept.0));
    let (one, other) = futures_util::join!(one, other);
    one.and(other).unwrap();
    for _ in 0..2 {
        nodes.here.release(freed.0).await.unwrap();
    }
    assert_eq!(nodes.counts(&code).await, (1, 1));
    assert_eq!(nodes.counts_of_buyers(&code).await, (1, 1));
    // A run of the kept checkout that comes late neither claims nor counts again.
    for _ in 0..2 {
        assert_eq!(nodes.there.claim(kept.0, LIFE).await.unwrap(), Ok(()));
        nodes.there.keep(kept.0).await.unwrap();
    }
    assert_eq!(nodes.counts(&code).await, (1, 1));
    assert_eq!(nodes.counts_of_buyers(&code).await, (1, 1));
    let late = claim(&code, UserId::new());
    assert_eq!(nodes.here.claim(&late, LIFE).await.unwrap(), Ok(()));
    nodes.close().await;
}

#[actix_web::test]
async fn a_buyer_s_limit_holds_too_and_a_repeated_claim_is_one() {
    let nodes = Nodes::open().await;
    let code = nodes.code(None, Some(2)).await;
    let user = UserId::new();
    let claims: Vec<_> = (0..12).map(|_| claim(&code, user)).collect();
    let each_twice = claims.iter().flat_map(|claim| {
        [
            nodes.here.claim(claim, LIFE),
            nodes.there.claim(claim, LIFE),
        ]
    });
    let taken = join_all(each_twice).await;
    let won = taken.chunks(2).filter(|both| {
        let ok: Vec<bool> = both.iter().map(|t| t.as_ref().unwrap().is_ok()).collect();
        assert_eq!(ok[0], ok[1], "equal claims end alike");
        ok[0]
    });
    assert_eq!(won.count(), 2);
    for refused in taken.into_iter().filter_map(|t| t.unwrap().err()) {
        assert_eq!(refused.obstacle, Obstacle::UsedBefore);
    }
    assert_eq!(nodes.counts(&code).await, (0, 2));
    let someone_else = claim(&code, UserId::new());
    assert!(nodes.here.claim(&someone_else, LIFE).await.unwrap().is_ok());
    nodes.close().await;
}

#[actix_web::test]
async fn of_several_codes_all_are_claimed_or_none() {
    let nodes = Nodes::open().await;
    let once = nodes.code(Some(1), None).await;
    let plain = DiscountCode::parse("ALWAYS").unwrap();
    let found = nodes.here.find(&once).await.unwrap().unwrap();
    let rules = Rules {
        limit: None,
        ..found.rules
    };
    nodes
        .here
        .create(plain.clone(), rules, Actor::CommandLine)
        .await
        .unwrap();
    let both = |user| Claim {
        codes: vec![once.clone(), plain.clone()],
        ..claim(&once, user)
    };
    let (first, second) = (both(UserId::new()), both(UserId::new()));
    assert!(nodes.here.claim(&first, LIFE).await.unwrap().is_ok());
    let refused = nodes.here.claim(&second, LIFE).await.unwrap().unwrap_err();
    assert_eq!(
        (refused.code, refused.obstacle),
        (once.clone(), Obstacle::UsedUp)
    );
    assert_eq!(nodes.counts(&plain).await, (0, 1));
    assert_eq!(nodes.counts_of_buyers(&plain).await, (0, 1));
    nodes.close().await;
}

#[actix_web::test]
async fn what_is_claimed_survives_a_change_of_rules_and_a_used_code_stays() {
    let nodes = Nodes::open().await;
    let code = nodes.code(Some(5), None).await;
    let held = claim(&code, UserId::new());
    assert!(nodes.here.claim(&held, LIFE).await.unwrap().is_ok());
    let found = nodes.here.find(&code).await.unwrap().unwrap();
    let off = Rules {
        active: false,
        ..found.rules
    };
    let stale = nodes
        .here
        .replace(&code, &off, IfMatch::OneOf(vec![7]), Actor::CommandLine)
        .await;
    assert!(matches!(stale, Err(WriteError::Stale(1))));
    nodes
        .here
        .replace(&code, &off, IfMatch::OneOf(vec![1]), Actor::CommandLine)
        .await
        .unwrap();
    // The checkout that claimed it goes on; a new one does not begin.
    assert!(nodes.there.claim(&held, LIFE).await.unwrap().is_ok());
    let late = claim(&code, UserId::new());
    let refused = nodes.here.claim(&late, LIFE).await.unwrap().unwrap_err();
    assert_eq!(refused.obstacle, Obstacle::Unknown);
    let in_use = nodes
        .here
        .remove(&code, IfMatch::Any, Actor::CommandLine)
        .await;
    assert!(matches!(in_use, Err(WriteError::InUse)));
    nodes.here.release(&held).await.unwrap();
    nodes
        .here
        .remove(&code, IfMatch::Any, Actor::CommandLine)
        .await
        .unwrap();
    assert!(nodes.here.find(&code).await.unwrap().is_none());
    nodes.close().await;
}

#[actix_web::test]
async fn a_claim_beyond_its_life_is_found_once_and_can_be_freed() {
    let nodes = Nodes::open().await;
    let code = nodes.code(None, None).await;
    let (old, fresh) = (claim(&code, UserId::new()), claim(&code, UserId::new()));
    let no_life = std::time::Duration::ZERO;
    assert!(nodes.here.claim(&old, no_life).await.unwrap().is_ok());
    assert!(nodes.here.claim(&fresh, LIFE).await.unwrap().is_ok());
    // The database's clock has to tick for the life to be over.
    let stale = loop {
        let stale = nodes.there.stale_claims().await.unwrap();
        if !stale.is_empty() {
            break stale;
        }
    };
    let expected = StaleClaim {
        code: code.clone(),
        checkout: old.checkout,
        user: old.user,
    };
    assert_eq!(stale, std::slice::from_ref(&expected));
    nodes.here.release(&expected.into()).await.unwrap();
    assert_eq!(nodes.counts(&code).await, (0, 1));
    assert_eq!(nodes.counts_of_buyers(&code).await, (0, 1));
    nodes.close().await;
}
