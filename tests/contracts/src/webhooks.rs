//! Behaviours of [`engine::ports::Webhooks`].

use std::collections::BTreeSet;

use domain::{
    Delivery, DeliveryFault, DeliveryStatus, Disabled, DisabledBecause, Endpoint, EndpointId, Job, Notice, Provider,
    WaitingFor, WebhookEvent, WorkspaceId,
};
use engine::ports::{Endpoints, Insert, Position, Save, StoredConnection};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    sample_job,
    support::{Adapter, at_once, contents, end, entries, entry, error, held, insert, minute, save, sealed, workspace},
};

fn endpoint(id: u128, events: &[WebhookEvent], now: Timestamp) -> Endpoint {
    Endpoint {
        endpoint_id: EndpointId(Uuid::from_u128(id)),
        events: events.iter().copied().collect(),
        actor: None,
        allow: None,
        created_at: now,
        disabled: None,
        sealed: sealed(&format!("endpoint {id}")).0,
    }
}

fn endpoints(version: u128, endpoints: Vec<Endpoint>) -> Endpoints {
    Endpoints { version: Some(Uuid::from_u128(version)), endpoints }
}

async fn add(ledger: &Adapter, workspace: &WorkspaceId, all: Vec<Endpoint>, now: Timestamp, seed: Uuid) {
    let audit = entry(Some(workspace), now, seed, 1);
    let put = ledger.put_endpoints(workspace, &endpoints(1, all), None, &audit).await;
    assert_eq!(put.expect("writes"), Save::Done);
}

/// The workspace's deliveries that are open.
async fn open(ledger: &Adapter, workspace: &WorkspaceId) -> Vec<Delivery> {
    let due = ledger.due_deliveries(Timestamp::MAX, 100_000).await.expect("reads");
    due.into_iter().filter(|delivery| delivery.workspace_id == *workspace).collect()
}

/// Endpoints are written on their version only, each with its entry of the audit.
pub async fn keeps_the_endpoints_of_each_workspace(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, theirs) = (workspace("hooks", seed), workspace("elsewhere", seed));
    let found = async |workspace| ledger.endpoints(workspace).await.expect("reads");
    assert_eq!(found(&ours).await, Endpoints::default(), "there are none");
    let audit = |n| entry(Some(&ours), now, seed, n);
    let put = async |next: &Endpoints, over: Option<u128>, n| {
        ledger.put_endpoints(&ours, next, over.map(Uuid::from_u128), &audit(n)).await.expect("writes")
    };
    let (one, two) = (endpoints(1, vec![endpoint(1, &[], now)]), endpoints(2, Vec::new()));
    assert_eq!(put(&two, Some(1), 1).await, Save::Stale, "there is no such version to write over");
    assert_eq!(put(&one, None, 2).await, Save::Done);
    assert_eq!(put(&one, None, 2).await, Save::Done, "a write whose answer was lost may be repeated");
    assert_eq!(put(&two, None, 3).await, Save::Stale, "there are some already");
    assert_eq!((found(&ours).await, found(&theirs).await), (one.clone(), Endpoints::default()));
    let writers = (100..116).map(|version| {
        let (ledger, ours, audit) = (ledger.clone(), ours.clone(), audit(4));
        let next = endpoints(version, vec![endpoint(version, &[], now)]);
        async move { ledger.put_endpoints(&ours, &next, Some(Uuid::from_u128(1)), &audit).await.expect("writes") }
    });
    let done = at_once(writers).await.into_iter().filter(|save| *save == Save::Done).count();
    assert_eq!(
        (done, entries(&ledger, Some(&ours)).await.len()),
        (1, 2),
        "of 16 at once one wins, and only it is audited"
    );
}

/// The end of a job, and an account that has to be connected again, write a delivery for each endpoint that wants to
/// know, in the same write, and once.
pub async fn writes_deliveries_with_what_they_tell_of(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, theirs) = (workspace("told", seed), workspace("silent", seed));
    let disabled = Some(Disabled { at: now, because: DisabledBecause::Failing });
    let all = vec![
        endpoint(1, &[], now),
        endpoint(2, &[WebhookEvent::JobFailed], now),
        endpoint(3, &[WebhookEvent::JobCompleted, WebhookEvent::ReauthRequired], now),
        Endpoint { disabled, ..endpoint(4, &[], now) },
    ];
    add(&ledger, &ours, all, now, seed).await;
    let told = async |workspace: &WorkspaceId| -> BTreeSet<(u128, WebhookEvent)> {
        let open = open(&ledger, workspace).await;
        open.iter().map(|delivery| (delivery.endpoint_id.0.as_u128(), delivery.event)).collect()
    };
    let (job, silent) = (sample_job(&ours, "told", now), sample_job(&theirs, "silent", now));
    for job in [&job, &silent] {
        insert(&ledger, job).await;
        save(&ledger, &held(job, now)).await;
    }
    assert!(told(&ours).await.is_empty(), "a step between is told to nobody");
    let ended = held(&job, now).failed(error(), now).expect("it is open");
    let stale = Job { revision: ended.revision + 1, ..ended.clone() };
    assert_eq!(ledger.save(&stale).await.expect("saves"), Save::Stale);
    assert!(told(&ours).await.is_empty(), "a write that was refused tells nothing");
    save(&ledger, &ended).await;
    save(&ledger, &ended).await;
    let failed = [(1, WebhookEvent::JobFailed), (2, WebhookEvent::JobFailed)];
    assert_eq!(
        (told(&ours).await, open(&ledger, &ours).await.len()),
        (failed.into(), 2),
        "once, whoever repeats the write"
    );
    save(&ledger, &held(&silent, now).failed(error(), now).expect("it is open")).await;
    assert!(told(&theirs).await.is_empty(), "without endpoints there are no deliveries");

    let connection = |version, needs_reauth_since: Option<Timestamp>| StoredConnection {
        workspace: ours.clone(),
        provider: Provider::Google,
        account: "account".to_owned(),
        sealed: sealed("tokens"),
        scopes: Vec::new(),
        needs_reauth: needs_reauth_since.is_some(),
        needs_reauth_since,
        setup_problem: None,
        version: Uuid::from_u128(version),
        connected_at: now,
    };
    let put = async |next, over| ledger.put_connection(&next, over).await.expect("writes");
    assert_eq!(put(connection(1, None), None).await, Save::Done);
    assert_eq!(open(&ledger, &ours).await.len(), 2, "a good connection is no event");
    assert_eq!(put(connection(2, Some(now)), Some(Uuid::from_u128(1))).await, Save::Done);
    let reauth = [(1, WebhookEvent::ReauthRequired), (3, WebhookEvent::ReauthRequired)];
    assert_eq!(told(&ours).await, failed.into_iter().chain(reauth).collect());

    // Ten held jobs of one request are one row each, whose deliveries are made of it.
    let jobs: Vec<_> = (0..10)
        .map(|n| {
            let waits = Some(WaitingFor::Approval);
            (Job { waiting_for: waits, ..sample_job(&ours, &format!("held {n}"), now) }, contents("held"))
        })
        .collect();
    assert_eq!(ledger.insert_jobs(&jobs).await.expect("inserts"), Insert::Done);
    let rows: Vec<_> = open(&ledger, &ours).await.into_iter().filter(|row| !row.to.is_empty()).collect();
    assert_eq!((rows.len(), rows[0].event, rows[0].to.len()), (10, WebhookEvent::JobHeld, 1));
    assert_eq!(ledger.spread_delivery(&rows[0], now).await.expect("writes"), Save::Done);
    assert_eq!(ledger.spread_delivery(&rows[0], now).await.expect("writes"), Save::Done, "repeated");
    let row = ledger.delivery(&ours, rows[0].delivery_id).await.expect("reads").expect("it is kept").0;
    assert_eq!(row.status, DeliveryStatus::Delivered);
    let page = ledger.deliveries(&ours, EndpointId(Uuid::from_u128(1)), None, 100).await.expect("reads");
    let of_held: Vec<_> = page.iter().filter(|delivery| delivery.event == WebhookEvent::JobHeld).collect();
    assert_eq!((of_held.len(), of_held[0].body == rows[0].body), (1, true));
    for delivery in open(&ledger, &ours).await {
        let ended = delivery.given_up(None, DeliveryFault::Gone, now);
        assert_eq!(ledger.save_delivery(&ended).await.expect("saves"), Save::Done);
    }
    end(&ledger, &jobs.into_iter().map(|(job, _)| job).collect::<Vec<_>>(), now).await;
    for delivery in open(&ledger, &ours).await {
        ledger.save_delivery(&delivery.given_up(None, DeliveryFault::Gone, now)).await.expect("saves");
    }
}

/// A delivery is saved over the version before it alone, listed with its endpoint, and due as long as it is open.
pub async fn keeps_deliveries_and_finds_those_that_are_due(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, theirs) = (workspace("due", seed), workspace("foreign", seed));
    let (one, other) = (EndpointId(seed), EndpointId(Uuid::from_u128(seed.as_u128() ^ 1)));
    let make = |n: i64, endpoint| {
        let id = Uuid::from_u128(seed.as_u128() ^ u128::try_from(n).unwrap_or_default() << 64);
        Delivery::new(&Notice::test(&ours, id, minute(now, n - 60)), endpoint)
    };
    let all: Vec<Delivery> = (0..5).map(|n| make(n, one)).collect();
    for delivery in all.iter().chain([&make(9, other)]) {
        ledger.put_delivery(delivery).await.expect("a put");
        ledger.put_delivery(delivery).await.expect("a repeated put");
    }
    let page = async |after, limit| ledger.deliveries(&ours, one, after, limit).await.expect("reads");
    let newest: Vec<Delivery> = all.iter().rev().cloned().collect();
    assert_eq!(page(None, 100).await, newest);
    assert_eq!(page(Some(Position::from(&newest[1])), 2).await, newest[2..4]);
    assert_eq!(ledger.deliveries(&theirs, one, None, 100).await.expect("reads"), []);
    assert_eq!(ledger.delivery(&theirs, all[0].delivery_id).await.expect("reads"), None, "of another workspace");
    let found = ledger.delivery(&ours, all[0].delivery_id).await.expect("reads").expect("it is there");
    assert_eq!(found, (all[0].clone(), Endpoints::default()));

    let due = async |before| {
        let due = ledger.due_deliveries(before, 100_000).await.expect("reads");
        assert!(due.is_sorted_by_key(Delivery::due_at));
        due.into_iter().filter(|delivery| delivery.endpoint_id == one).collect::<Vec<_>>()
    };
    assert_eq!(due(all[3].created_at).await, all[..3], "not one that is due at the very time");
    assert_eq!(ledger.due_deliveries(now, 2).await.expect("reads").len(), 2, "no more than asked for");
    assert!(ledger.overdue_jobs(now, 100_000).await.expect("reads").iter().all(|job| job.workspace_id != ours));
    let claimed = all[0].claimed(minute(now, 1), now).expect("it is due");
    let save = async |delivery: &Delivery| ledger.save_delivery(delivery).await.expect("saves");
    assert_eq!((save(&claimed).await, save(&claimed).await), (Save::Done, Save::Done), "repeated");
    let claims = (0..16).map(|n| {
        let claimed = all[1].claimed(now + SignedDuration::from_secs(60 + n), now).expect("it is due");
        let ledger = ledger.clone();
        async move { ledger.save_delivery(&claimed).await.expect("saves") }
    });
    let won = at_once(claims).await.into_iter().filter(|save| *save == Save::Done).count();
    assert_eq!(won, 1, "of 16 that want to send it one does");
    assert_eq!(due(now).await, all[2..], "nobody else looks at those before their leases end");
    assert_eq!(save(&claimed.delivered(200, now)).await, Save::Done);
    assert_eq!(due(minute(now, 10)).await.len(), 4, "what was delivered is not due");
    for delivery in open(&ledger, &ours).await {
        assert_eq!(save(&delivery.given_up(None, DeliveryFault::Gone, now)).await, Save::Done);
    }
    assert_eq!(page(None, 100).await.len(), 5, "what has ended is still listed");
}
