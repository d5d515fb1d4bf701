//! Following messages: again, on several nodes, after a crash.

use super::*;

#[actix_web::test]
async fn a_hint_that_cannot_be_followed_now_is_followed_later() {
    let database = Database::new().await;
    let (stub, paypal) = peer(|_| Reply::Reset).await;
    let inbox = Inbox::open(&database.mongo, paypal);
    let sink = Sink::new(|number| match number {
        1 => Err(HintError::Unavailable {
            reason: "$where is it".into(),
            retry_after: Some(Duration::from_millis(10)),
        }),
        2 => panic!("a sink may panic"),
        _ => Ok(()),
    });
    let workers = inbox.start(sink.clone());
    let answered = answer(&inbox, post(&event(&stub, "WH-1-1", "C1"))).await;
    assert_eq!(answered.status(), StatusCode::OK);
    until(1, || states(&database, "done")).await;
    workers.stop().await;
    let stored = database.only().await;
    assert_eq!(stored.get_i64("attempts").unwrap(), 3);
    assert_eq!(
        stored.get_i64("failures").unwrap(),
        1,
        "only the panic counts"
    );
    assert!(!stored.contains_key("note") && !stored.contains_key("claim"));
    assert_eq!(sink.followed().len(), 3);
    database.drop().await;
}

#[actix_web::test]
async fn two_nodes_share_the_messages_and_follow_each_once() {
    let database = Database::new().await;
    let (stub, paypal) = peer(|_| Reply::Reset).await;
    let nodes = [
        Inbox::open(&database.mongo, paypal.clone()),
        Inbox::open(&database.mongo, paypal),
    ];
    let sink = Sink::willing();
    let workers: Vec<_> = nodes.iter().map(|node| node.start(sink.clone())).collect();
    for number in 0..60 {
        let message = event(&stub, &format!("WH-{number}"), &format!("C{number}"));
        let node = &nodes[number % 2];
        assert_eq!(answer(node, post(&message)).await.status(), StatusCode::OK);
    }
    until(60, || states(&database, "done")).await;
    for workers in workers {
        workers.stop().await;
    }
    let followed = sink.followed();
    assert_eq!(followed.len(), 60);
    for number in 0..60 {
        assert!(
            followed.contains(&capture_hint(&format!("C{number}"))),
            "{number}"
        );
    }
    database.drop().await;
}

#[actix_web::test]
async fn what_a_dead_node_held_is_taken_up_when_its_lease_ends() {
    let database = Database::new().await;
    let (stub, paypal) = peer(|_| Reply::Reset).await;
    let inbox = Inbox::open(&database.mongo, paypal);
    answer(&inbox, post(&event(&stub, "WH-1-1", "C1"))).await;
    let held = inbox.messages.claim().await.unwrap().unwrap();
    assert!(
        inbox.messages.claim().await.unwrap().is_none(),
        "it is held"
    );
    let over = doc! { "$set": { "next_at": bson::DateTime::from_millis(1) } };
    database
        .documents()
        .update_one(doc! {}, over)
        .await
        .unwrap();
    let taken_up = inbox.messages.claim().await.unwrap().unwrap();
    assert_eq!((taken_up.id.as_str(), taken_up.attempts), ("WH-1-1", 2));
    inbox
        .messages
        .settle(&held, State::Dead, Some("late"))
        .await
        .unwrap();
    assert_eq!(
        states(&database, "pending").await,
        1,
        "the first holder has no say any more"
    );
    inbox
        .messages
        .settle(&taken_up, State::Done, None)
        .await
        .unwrap();
    assert_eq!(states(&database, "done").await, 1);
    database.drop().await;
}
