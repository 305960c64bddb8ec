use std::{collections::BTreeSet, sync::Arc, time::Duration};

use engine::ports::{Queue, QueuedMessage, ReceivedMessage};
use uuid::Uuid;

use crate::support::workspace;

/// What every [`Queue`] does: every message comes, to somebody who waits too. The queue may hold
/// others' messages, deliver twice and in any order.
pub async fn queue(queue: Arc<dyn Queue>, seed: Uuid) {
    queue.send(&[]).await.expect("a send of nothing");
    // More than one batch of any queue.
    let sent: BTreeSet<String> = (0..25).map(|n| format!("{seed} every {n} <&\"é日本>")).collect();
    let messages: Vec<_> = sent.iter().map(|body| message(body, seed, 0)).collect();
    queue.send(&messages).await.expect("a send");
    let mut arrived = BTreeSet::new();
    for _ in 0..60 {
        let deliveries = queue.receive(7, Duration::from_secs(1)).await.expect("a receive");
        assert!(deliveries.len() <= 7, "no more than was asked for");
        for delivery in deliveries.into_iter().filter(|delivery| sent.contains(&delivery.body)) {
            assert!(delivery.receives >= 1, "the first delivery counts as one");
            queue.acknowledge(&delivery.receipt).await.expect("an acknowledgement");
            arrived.insert(delivery.body);
        }
        if arrived.len() == sent.len() {
            break;
        }
    }
    assert_eq!(arrived, sent, "every message comes, as it was sent");

    let body = format!("{seed} for one who waits");
    let receiver = tokio::spawn({
        let (queue, body) = (queue.clone(), body.clone());
        async move {
            for _ in 0..20 {
                let deliveries = queue.receive(10, Duration::from_secs(20)).await.expect("a receive");
                if let Some(delivery) = deliveries.into_iter().find(|delivery| delivery.body == body) {
                    return queue.acknowledge(&delivery.receipt).await.expect("an acknowledgement");
                }
            }
            panic!("the message did not come");
        }
    });
    tokio::task::yield_now().await;
    queue.send(&[message(&body, seed, 0)]).await.expect("a send");
    let woken = tokio::time::timeout(Duration::from_secs(15), receiver).await;
    woken.expect("a receiver that waits gets a new message before its wait is over").expect("it came");
}

/// What a [`Queue`] with this visibility timeout (1 s or more) does over time. `pass` lets time
/// pass for the queue: it moves its clock, or really waits.
pub async fn queue_over_time(queue: Arc<dyn Queue>, visibility: Duration, seed: Uuid, pass: impl AsyncFn(Duration)) {
    let slack = Duration::from_millis(500);
    let (lost, done) = (format!("{seed} never acknowledged"), format!("{seed} acknowledged"));
    queue.send(&[message(&lost, seed, 0), message(&done, seed, 0)]).await.expect("a send");
    find(&queue, &lost, &pass).await;
    let delivery = find(&queue, &done, &pass).await;
    queue.acknowledge(&delivery.receipt).await.expect("an acknowledgement");
    queue.acknowledge(&delivery.receipt).await.expect("a second acknowledgement changes nothing");
    pass(visibility + slack).await;
    let again = find(&queue, &lost, &pass).await;
    assert!(again.receives >= 2, "deliveries are counted");
    queue.acknowledge(&again.receipt).await.expect("an acknowledgement");
    pass(visibility + slack).await;
    let bodies = peek(&queue).await;
    assert!(!bodies.contains(&done) && !bodies.contains(&lost), "what was acknowledged does not come again");

    let later = format!("{seed} later");
    let before = queue.depth().await.expect("a depth");
    queue.send(&[message(&later, seed, 3), message(&later, seed, 3)]).await.expect("a send");
    let mut depth = queue.depth().await.expect("a depth");
    for _ in 0..20 {
        if depth >= before.saturating_add(2) {
            break;
        }
        pass(Duration::from_millis(50)).await;
        depth = queue.depth().await.expect("a depth");
    }
    assert!(depth >= before.saturating_add(2), "delayed messages count as waiting: {before} before, {depth} after");
    assert!(!peek(&queue).await.contains(&later), "a delayed message does not come before its time");
    pass(Duration::from_secs(3)).await;
    for _ in 0..2 {
        let delivery = find(&queue, &later, &pass).await;
        queue.acknowledge(&delivery.receipt).await.expect("an acknowledgement");
    }
}

fn message(body: &str, seed: Uuid, delay: u64) -> QueuedMessage {
    let workspace = workspace("queue", seed);
    QueuedMessage { body: body.to_owned(), workspace, delay: Duration::from_secs(delay) }
}

/// Receives, one by one, until this message comes. One that is taken meanwhile comes again later.
async fn find(queue: &Arc<dyn Queue>, body: &str, pass: &impl AsyncFn(Duration)) -> ReceivedMessage {
    for _ in 0..100 {
        match queue.receive(1, Duration::ZERO).await.expect("a receive").pop() {
            Some(delivery) if delivery.body == body => return delivery,
            Some(_) => {}
            None => pass(Duration::from_millis(200)).await,
        }
    }
    panic!("the message did not come: {body}");
}

/// What can be received now.
async fn peek(queue: &Arc<dyn Queue>) -> BTreeSet<String> {
    let mut bodies = BTreeSet::new();
    for _ in 0..3 {
        let deliveries = queue.receive(10, Duration::ZERO).await.expect("a receive");
        bodies.extend(deliveries.into_iter().map(|delivery| delivery.body));
    }
    bodies
}
