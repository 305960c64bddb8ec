//! Behaviours of [`engine::ports::Connections`].

use domain::{Provider, WorkspaceId};
use engine::ports::{Save, StoredConnection};
use jiff::Timestamp;
use uuid::Uuid;

use crate::support::{Adapter, at_once, sealed, workspace};

/// A connection is written and deleted on its version only, under any concurrency.
pub async fn writes_and_deletes_only_over_a_version(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, theirs) = (workspace("connected", seed), workspace("elsewhere", seed));
    let sample = |provider, version: u128| StoredConnection {
        workspace: ours.clone(),
        provider,
        account: "account".to_owned(),
        sealed: sealed(&format!("tokens {version}")),
        scopes: vec!["openid".to_owned(), "https://example.com/send".to_owned()],
        needs_reauth: false,
        needs_reauth_since: None,
        setup_problem: None,
        version: Uuid::from_u128(version),
        connected_at: now,
    };
    let google = |version| sample(Provider::Google, version);
    let id = Uuid::from_u128;
    let found = async |provider| ledger.connection(&ours, provider).await.expect("reads");
    let put =
        async |connection: &StoredConnection, over| ledger.put_connection(connection, over).await.expect("writes");
    let delete = async |version| ledger.delete_connection(&ours, Provider::Google, version).await.expect("deletes");

    assert_eq!(found(Provider::Google).await, None, "nothing is connected");
    assert_eq!(delete(id(1)).await, Save::Done, "what is not there is gone");
    assert_eq!(put(&google(2), Some(id(1))).await, Save::Stale, "there is no such version to write over");
    assert_eq!(put(&google(1), None).await, Save::Done);
    assert_eq!(put(&google(1), None).await, Save::Done, "a write whose answer was lost may be repeated");
    assert_eq!(put(&google(2), None).await, Save::Stale, "there is one already");
    assert_eq!(found(Provider::Google).await, Some(google(1)));
    assert_eq!(found(Provider::Microsoft).await, None, "each provider has its own");
    assert_eq!(ledger.connection(&theirs, Provider::Google).await.expect("reads"), None, "each workspace has its own");

    let ended = StoredConnection { needs_reauth: true, ..google(2) };
    assert_eq!(put(&ended, Some(id(1))).await, Save::Done);
    assert_eq!(put(&ended, Some(id(1))).await, Save::Done, "repeated");
    assert_eq!(put(&google(3), Some(id(1))).await, Save::Stale, "somebody was quicker");
    assert_eq!(delete(id(1)).await, Save::Stale, "an older version is not deleted in a newer one's place");
    assert_eq!(found(Provider::Google).await, Some(ended));
    assert_eq!(put(&sample(Provider::Microsoft, 9), None).await, Save::Done);

    let writers = (100..132).map(|version| {
        let (ledger, connection) = (ledger.clone(), google(version));
        async move {
            let save = ledger.put_connection(&connection, Some(id(2))).await.expect("writes");
            (save == Save::Done).then_some(connection)
        }
    });
    let winners: Vec<_> = at_once(writers).await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "of 32 writes over one version at once exactly one is done");
    assert_eq!(found(Provider::Google).await.as_ref(), winners.first(), "and it is what is there");

    let last = winners[0].version;
    assert_eq!(delete(last).await, Save::Done);
    assert_eq!(delete(last).await, Save::Done, "repeated");
    assert_eq!(found(Provider::Google).await, None);
    assert_eq!(put(&google(200), Some(last)).await, Save::Stale, "what was deleted does not come back");
    assert_eq!(found(Provider::Microsoft).await, Some(sample(Provider::Microsoft, 9)));

    let connectors = (300..332).map(|version| {
        let (ledger, connection) = (ledger.clone(), google(version));
        async move { ledger.put_connection(&connection, None).await.expect("writes") }
    });
    let done = at_once(connectors).await.into_iter().filter(|save| *save == Save::Done).count();
    assert_eq!(done, 1, "of 32 first writes at once exactly one is done");
}

/// An account is found by the workspaces that have connected it.
pub async fn knows_where_an_account_is_connected(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, theirs) = (workspace("ours", seed), workspace("theirs", seed));
    let account = format!("account of {seed}");
    let sample = |workspace: &WorkspaceId, account: &str, version: u128| StoredConnection {
        workspace: workspace.clone(),
        provider: Provider::Google,
        account: account.to_owned(),
        sealed: sealed("tokens"),
        scopes: Vec::new(),
        needs_reauth: false,
        needs_reauth_since: None,
        setup_problem: None,
        version: Uuid::from_u128(version),
        connected_at: now,
    };
    let put = async |connection: StoredConnection, over: Option<u128>| {
        let save = ledger.put_connection(&connection, over.map(Uuid::from_u128)).await.expect("writes");
        assert_eq!(save, Save::Done);
    };
    // Anywhere, elsewhere than at ours, elsewhere than at theirs.
    let wanted = async |anywhere, not_ours, not_theirs, when: &str| {
        for (elsewhere_than, wanted) in [(None, anywhere), (Some(&ours), not_ours), (Some(&theirs), not_theirs)] {
            let ask = async || ledger.is_connected(Provider::Google, &account, elsewhere_than).await.expect("reads");
            // An index may be behind.
            let mut found = ask().await;
            for _ in 0..100 {
                if found == wanted {
                    break;
                }
                tokio::task::yield_now().await;
                found = ask().await;
            }
            assert_eq!(found, wanted, "{when}: elsewhere than {elsewhere_than:?}");
        }
        let other = ledger.is_connected(Provider::Microsoft, &account, None).await.expect("reads");
        assert!(!other, "{when}: of another provider");
    };
    wanted(false, false, false, "nowhere").await;
    put(sample(&ours, &account, 1), None).await;
    wanted(true, false, true, "at ours").await;
    put(sample(&ours, &account, 2), Some(1)).await;
    put(sample(&theirs, &account, 3), None).await;
    wanted(true, true, true, "at both").await;
    put(sample(&ours, &format!("another than {account}"), 4), Some(2)).await;
    wanted(true, true, false, "replaced at ours").await;
    let deleted = ledger.delete_connection(&theirs, Provider::Google, Uuid::from_u128(3)).await.expect("deletes");
    assert_eq!(deleted, Save::Done);
    wanted(false, false, false, "disconnected at theirs").await;
}
