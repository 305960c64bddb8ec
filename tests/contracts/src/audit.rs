//! Behaviours of [`engine::ports::Audit`].

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use domain::{AuditEntry, AuditHead, Job, Tampered, Terms, WorkspaceId, sha256_hex};
use engine::ports::{AuditFilter, Insert, Position, Save};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    sample_job,
    support::{
        Adapter, at_once, contents, end, entries, entry, error, held, insert, minute, save, unlinked, workspace,
    },
};

/// Entries are listed newest first, page by page, each workspace its own.
pub async fn lists_the_audit_newest_first_in_pages(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("audit", seed), workspace("unaudited", seed));
    let mut told: Vec<AuditEntry> =
        (0..25).map(|n| entry(Some(&ours), minute(now, i64::from(n / 3)), seed, n)).collect();
    for entry in &told {
        ledger.put_audit(entry).await.expect("writes");
        ledger.put_audit(entry).await.expect("the same again");
    }
    ledger.put_audit(&entry(Some(&other), now, seed, 99)).await.expect("writes");
    told.sort_by_key(|entry| std::cmp::Reverse((entry.at, entry.entry_id.to_string())));
    assert_eq!(entries(&ledger, Some(&ours)).await, told);
    for limit in [1, 7, 25, 100] {
        let mut pages: Vec<AuditEntry> = Vec::new();
        loop {
            let after = pages.last().map(Position::from);
            let filter = AuditFilter { workspace: Some(ours.clone()), after, limit };
            let page = unlinked(ledger.list_audit(&filter).await.expect("reads"));
            assert!(page.len() <= limit, "at most as many as asked for");
            if page.is_empty() {
                break;
            }
            pages.extend(page);
            assert!(pages.len() <= 25, "paging comes to an end");
        }
        assert_eq!(pages, told, "pages of {limit} are the list, equal times or not");
    }
}

/// Every version of a job that is to be audited is, once, and no other.
pub async fn audits_each_version_of_a_job_once(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let ours = workspace("audited", seed);
    let job = sample_job(&ours, "a", now);
    insert(&ledger, &job).await;
    let again = ledger.insert_jobs(&[(job.clone(), contents("a"))]).await.expect("inserts");
    assert_eq!(again, Insert::Taken);
    assert_eq!(ledger.open_jobs(&ours, 10).await.expect("counts"), 1);
    let steps: [fn(&Job, Timestamp) -> Job; 5] = [
        |job, now| held(job, now),
        |job, now| job.failed(error(), now).expect("open"),
        |job, now| job.retried(Terms::default(), now).expect("failed"),
        |job, now| job.nudged(now).expect("open"),
        |job, now| job.cancelled(now).expect("pending"),
    ];
    let mut versions = vec![job];
    for (n, step) in (1..).zip(steps) {
        let next = step(versions.last().expect("there is one"), minute(now, n));
        save(&ledger, &next).await;
        save(&ledger, &next).await;
        versions.push(next);
    }
    let stale = versions[1].failed(error(), minute(now, 9)).expect("open");
    assert_eq!(ledger.save(&stale).await.expect("saves"), Save::Stale);
    let mut expected: Vec<AuditEntry> = versions.iter().filter_map(Job::audit).collect();
    expected.reverse();
    assert_eq!(expected.len(), 4, "accepted, failed, retried, cancelled");
    assert_eq!(entries(&ledger, Some(&ours)).await, expected);
    assert_eq!(ledger.open_jobs(&ours, 10).await.expect("counts"), 0);
    let many: Vec<Job> = (0..5).map(|n| sample_job(&ours, &format!("open {n}"), now)).collect();
    for job in &many {
        insert(&ledger, job).await;
    }
    save(&ledger, &held(&many[0], now)).await;
    assert_eq!(ledger.open_jobs(&ours, 10).await.expect("counts"), 5, "claimed ones too");
    assert_eq!(ledger.open_jobs(&ours, 3).await.expect("counts"), 3, "no further than asked for");
    let mut many = many;
    many[0] = held(&many[0], now);
    end(&ledger, &many, now).await;
}

/// Each entry has the hash of the one before in its chain, and the head is the last one's, whoever writes at once.
pub async fn chains_the_entries_of_many_writers(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let ours = workspace("chained", seed);
    let jobs: Vec<Job> = (0..24).map(|n| sample_job(&ours, &format!("{n}"), minute(now, n))).collect();
    at_once(jobs.chunks(3).map(|jobs| {
        let (ledger, jobs) = (ledger.clone(), jobs.iter().map(|job| (job.clone(), contents("a"))).collect::<Vec<_>>());
        async move { assert_eq!(ledger.insert_jobs(&jobs).await.expect("inserts"), Insert::Done) }
    }))
    .await;
    at_once((0..8).map(|n| {
        let (ledger, entry) = (ledger.clone(), entry(Some(&ours), now, seed, n));
        async move { ledger.put_audit(&entry).await.expect("writes") }
    }))
    .await;
    end(&ledger, &jobs, now).await;

    let filter = AuditFilter { workspace: Some(ours.clone()), after: None, limit: 100 };
    let listed = ledger.list_audit(&filter).await.expect("reads");
    assert_eq!(listed.len(), 24 + 8 + 24);
    let mut chains: BTreeMap<u8, BTreeMap<u64, (Option<String>, String)>> = BTreeMap::new();
    for link in listed.into_iter().map(|entry| entry.link.expect("it is in a chain")) {
        let chain = chains.entry(link.chain).or_default();
        assert!(chain.insert(link.sequence, (link.previous_hash, link.hash)).is_none(), "a number is given once");
    }
    for chain in chains.values() {
        let mut before = None;
        for ((sequence, (previous, hash)), expected) in chain.iter().zip(1..) {
            assert_eq!((*sequence, previous), (expected, &before), "no number is left out");
            before = Some(hash.clone());
        }
    }
    let last = |chain: &BTreeMap<u64, (Option<String>, String)>| {
        let (sequence, (_, hash)) = chain.last_key_value().expect("it has entries");
        (*sequence, hash.clone())
    };
    let head = AuditHead {
        workspace_id: Some(ours.clone()),
        chains: chains.iter().map(|(number, chain)| (*number, last(chain))).collect(),
    };
    assert!(ledger.audit_heads(now).await.expect("reads").contains(&head));
    let verdict = ledger.verify_audit(Some(&ours), Some(&head), now).await.expect("walks");
    assert_eq!((verdict.fit, verdict.unchained, &verdict.tampering, verdict.head), (56, 0, &None, head));
    let nobody = workspace("nobody", seed);
    let nothing = ledger.verify_audit(Some(&nobody), None, now).await.expect("walks");
    assert_eq!((nothing.fit, nothing.tampering, nothing.head.chains.len()), (0, None, 0));
}

/// A record of the audit, as it lies in the store: an entry, or the head of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its key's partition.
    pub partition: String,
    /// Its place in its list.
    pub place: String,
    /// Its body.
    pub body: String,
    /// When it expires, in microseconds.
    pub expires_at: Option<i64>,
}

/// What somebody who may write to the store can do.
#[async_trait]
pub trait Intruder: Send + Sync {
    /// The entries of a workspace, the oldest first.
    async fn entries(&self, workspace: &WorkspaceId) -> Vec<Stored>;
    /// The heads of its chains.
    async fn heads(&self, workspace: &WorkspaceId) -> Vec<Stored>;
    /// Writes body, place and expiry of a record, whatever was there. An entry that was not there becomes one of the
    /// workspace. The version of a head is its sequence.
    async fn write(&self, workspace: &WorkspaceId, stored: &Stored);
    /// Deletes a record.
    async fn delete(&self, stored: &Stored);
}

/// An entry with a text of somebody's own and its right hash.
fn forged(stored: &Stored, change: impl Fn(String) -> String) -> Stored {
    let (text, _) = stored.body.rsplit_once(",\"hash\":").expect("it has a hash");
    let text = change(text.to_owned());
    let hash = sha256_hex(format!("{text}}}").as_bytes());
    Stored { body: format!("{text},\"hash\":\"{hash}\"}}"), ..stored.clone() }
}

/// Where an intruder may write a new entry: right behind another one.
fn behind(stored: &Stored) -> Stored {
    let (micros, _) = stored.place.split_once('#').expect("a time and an id");
    let id = "018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10";
    let place = format!("{:020}#{id}", micros.parse::<i64>().expect("a time") + 1);
    let partition = stored.partition.replace(&stored.place, &place);
    Stored { partition, place, ..stored.clone() }
}

/// An edit of a body.
type Edit = fn(&str) -> String;

/// Whatever somebody does to the stored audit, the walk names the first entry that does not fit, and what was done.
pub async fn shows_every_change(ledger: Adapter, intruder: &dyn Intruder, now: Timestamp, seed: Uuid) {
    let ours = workspace("watched", seed);
    for n in 0..40 {
        ledger.put_audit(&entry(Some(&ours), minute(now, 10 * i64::from(n)), seed, n)).await.expect("writes");
    }
    let whole = intruder.entries(&ours).await;
    assert_eq!(whole.len(), 40);
    let verify = async |logged: Option<&AuditHead>| {
        let verdict = ledger.verify_audit(Some(&ours), logged, minute(now, 600)).await.expect("walks");
        verdict.tampering.map(|tampering| (tampering.entry, tampering.how))
    };
    let restore = async || {
        let kept: BTreeSet<&str> = whole.iter().map(|stored| stored.partition.as_str()).collect();
        for stored in intruder.entries(&ours).await.iter().filter(|stored| !kept.contains(&*stored.partition)) {
            intruder.delete(stored).await;
        }
        for stored in &whole {
            intruder.write(&ours, stored).await;
        }
        assert_eq!(verify(None).await, None, "as it was");
    };
    let names = |found: Option<(String, Tampered)>, stored: &Stored, how: Tampered, what: &str| {
        let id = stored.place.split_once('#').expect("a time and an id").1;
        let (entry, found) = found.unwrap_or_else(|| panic!("{what}: nothing is noticed"));
        assert!(entry.contains(id) && found == how, "{what}: {entry} was {found}, not {id} {how}");
    };

    // Texts of one entry, which somebody edits.
    let edits: [(&str, Edit); 12] = [
        ("a byte of the event", |body| body.replacen("workspace.changed", "workspace.changee", 1)),
        ("a byte of its value", |body| body.replacen("\"value\":\"", "\"value\":\"1", 1)),
        ("a digit of its time", |body| body.replacen("\"at\":\"2", "\"at\":\"3", 1)),
        ("who did it", |body| body.replacen("command-line", "keyless", 1)),
        ("white space", |body| body.replacen(':', ": ", 1)),
        ("one more field", |body| body.replacen('{', "{\"more\":1,", 1)),
        ("a field that would win", |body| body.replacen('{', "{\"code\":\"gone\",", 1)),
        ("its number", |body| body.replacen("\"sequence\":", "\"sequence\":1", 1)),
        ("its chain", |body| body.replacen("\"chain\":", "\"chain\":1", 1)),
        ("its hash", |body| format!("{}x\"}}", &body[..body.len() - 3])),
        ("the name of its hash", |body| body.replacen("\"hash\"", "\"hush\"", 1)),
        ("all of it", |_| "nothing".to_owned()),
    ];
    for (what, edit) in edits {
        for place in [0, 20, 39] {
            let edited = Stored { body: edit(&whole[place].body), ..whole[place].clone() };
            assert_ne!(edited, whole[place], "{what}");
            intruder.write(&ours, &edited).await;
            names(verify(None).await, &whole[place], Tampered::Changed, &format!("{what} of entry {place}"));
            intruder.write(&ours, &whole[place]).await;
        }
    }
    restore().await;
    // Who knows how a hash is made still breaks the chain.
    let change =
        |text: String| text.replacen("workspace.changed", "workspace.changee", 1).replace("changee", "changed");
    assert_eq!(forged(&whole[7], change), whole[7], "the hash is made as the documentation says");
    for place in [0, 7, 39] {
        intruder.write(&ours, &forged(&whole[place], |text| text.replacen("command-line", "keyless", 1))).await;
        names(verify(None).await, &whole[place], Tampered::Changed, "a text with its right hash");
        restore().await;
    }
    let sooner = Stored { expires_at: whole[9].expires_at.map(|at| at + 1), ..whole[9].clone() };
    intruder.write(&ours, &sooner).await;
    names(verify(None).await, &whole[9], Tampered::Changed, "another expiry");
    restore().await;
    let hidden = Stored { expires_at: Some(1), ..whole[9].clone() };
    intruder.write(&ours, &hidden).await;
    names(verify(None).await, &whole[9], Tampered::Removed, "hidden by its expiry");
    restore().await;

    for gone in [&[0][..], &[39], &[20], &[3, 4, 5], &[11, 12, 39], &[38, 39]] {
        for place in gone {
            intruder.delete(&whole[*place]).await;
        }
        let (entry, how) = verify(None).await.unwrap_or_else(|| panic!("{gone:?}: nothing is noticed"));
        let ids: Vec<&str> = gone.iter().filter_map(|place| Some(whole[*place].place.split_once('#')?.1)).collect();
        assert!(how == Tampered::Removed && ids.iter().any(|id| entry.contains(id)), "{gone:?}: {entry} was {how}");
        restore().await;
    }
    for [one, other] in [[0, 1], [5, 6], [2, 37], [38, 39], [4, 20]] {
        let swap = |at: usize, from: usize| Stored { body: whole[from].body.clone(), ..whole[at].clone() };
        intruder.write(&ours, &swap(one, other)).await;
        intruder.write(&ours, &swap(other, one)).await;
        names(verify(None).await, &whole[one], Tampered::Reordered, &format!("{one} and {other} are swapped"));
        restore().await;
    }
    let loose = |text: &str| format!("{}}}", text.split_once(",\"chain\":").expect("a link").0);
    for places in [[20, 21], [0, 1], [38, 39]] {
        for place in places {
            let body = whole[place].body.replacen("command-line", "keyless", 1);
            intruder.write(&ours, &Stored { body, ..whole[place].clone() }).await;
        }
        names(verify(None).await, &whole[places[0]], Tampered::Changed, &format!("{places:?} are changed"));
        restore().await;
    }
    let copies: [(&str, Stored); 7] = [
        ("a copy", behind(&whole[12])),
        ("a copy with an edit", Stored { body: whole[12].body.replace("command-line", "key"), ..behind(&whole[12]) }),
        ("no entry at all", Stored { body: "{}".to_owned(), ..behind(&whole[12]) }),
        ("a copy without a link", Stored { body: loose(&whole[12].body), ..behind(&whole[12]) }),
        (
            "a text of the intruder's",
            Stored { body: loose(&whole[12].body).replace("command-line", "key"), ..behind(&whole[39]) },
        ),
        ("a copy with a right hash", forged(&behind(&whole[12]), |text| text.replacen("command-line", "key", 1))),
        (
            "one behind the head",
            forged(&behind(&whole[39]), |text| text.replacen("\"sequence\":", "\"sequence\":9", 1)),
        ),
    ];
    for (what, copy) in copies {
        intruder.write(&ours, &copy).await;
        names(verify(None).await, &copy, Tampered::Inserted, what);
        restore().await;
    }

    // Who writes the heads, too, is found out by what was logged.
    let logged = ledger.verify_audit(Some(&ours), None, now).await.expect("walks").head;
    assert_eq!(verify(Some(&logged)).await, None);
    // Also who pretends that everything else has expired.
    let heads = intruder.heads(&ours).await;
    let fresh = heads.iter().find(|head| head.body.contains(&whole[39].place)).expect("the last entry is a head");
    let old = "00001000000000000000#018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f11";
    let alone = forged(&whole[39], |text| {
        let link = |name: &str| format!(r#""{name}":"#);
        let (before, rest) = text.split_once(&link("sequence")).expect("a number");
        let number: u64 = rest.split(',').next().expect("a number").parse().expect("a number");
        format!(r#"{before}"sequence":{},"previous":"{old}","previous_hash":"{}""#, number + 1, "0".repeat(64))
    });
    let sequence = alone.body.split_once(r#""sequence":"#).expect("a number").1.split(',').next().expect("a number");
    let hash = alone.body.rsplit_once(r#""hash":""#).expect("a hash").1.trim_end_matches(r#""}"#);
    let body = format!(r#"{{"sequence":{sequence},"place":"{}","hash":"{hash}"}}"#, alone.place);
    intruder.write(&ours, &alone).await;
    intruder.write(&ours, &Stored { body, ..fresh.clone() }).await;
    for head in heads.iter().filter(|head| head.place != fresh.place) {
        intruder.delete(head).await;
    }
    for stored in &whole[..39] {
        intruder.delete(stored).await;
    }
    assert_eq!(verify(None).await, None, "the store alone does not tell");
    assert!(
        verify(Some(&logged)).await.is_some_and(|(_, how)| matches!(how, Tampered::Missing | Tampered::Removed)),
        "the log tells"
    );
    for head in &heads {
        intruder.write(&ours, head).await;
    }
    restore().await;
    let heads = intruder.heads(&ours).await;
    let last = &whole[39];
    let link = |name: &str| {
        let rest = last.body.split_once(&format!("\"{name}\":")).expect("a field").1;
        rest.split([',', '}']).next().expect("a value").trim_matches('"').to_owned()
    };
    let head = heads.iter().find(|head| head.body.contains(&last.place)).expect("the last entry is a head");
    intruder.delete(last).await;
    if link("sequence") == "1" {
        intruder.delete(head).await;
    } else {
        let sequence = link("sequence").parse::<u64>().expect("a number") - 1;
        let (previous, hash) = (link("previous"), link("previous_hash"));
        let body = format!(r#"{{"sequence":{sequence},"place":"{previous}","hash":"{hash}"}}"#);
        intruder.write(&ours, &Stored { body, ..head.clone() }).await;
    }
    assert_eq!(verify(None).await, None, "nothing in the store tells");
    let (entry, how) = verify(Some(&logged)).await.expect("the log tells");
    assert!(how == Tampered::Removed && entry.contains(&format!("chain {}", link("chain"))), "{entry} was {how}");
    // The chain goes on, with another entry under the same number.
    for n in 41..58 {
        ledger.put_audit(&self::entry(Some(&ours), minute(now, 500), seed, n)).await.expect("writes");
    }
    assert_eq!(verify(None).await, None);
    assert!(verify(Some(&logged)).await.is_some_and(|(_, how)| how == Tampered::Changed), "it is another entry");
}

/// Entries that an earlier version wrote, without a link, are told as such.
pub async fn takes_over_entries_without_a_link(ledger: Adapter, intruder: &dyn Intruder, now: Timestamp, seed: Uuid) {
    let ours = workspace("upgraded", seed);
    for n in 0..20 {
        ledger.put_audit(&entry(Some(&ours), minute(now, i64::from(n) - 300), seed, n)).await.expect("writes");
    }
    for stored in intruder.entries(&ours).await {
        let body = format!("{}}}", stored.body.split_once(",\"chain\":").expect("a link").0);
        intruder.write(&ours, &Stored { body, ..stored }).await;
    }
    for head in intruder.heads(&ours).await {
        intruder.delete(&head).await;
    }
    let verify = async || ledger.verify_audit(Some(&ours), None, minute(now, 60)).await.expect("walks");
    let verdict = verify().await;
    assert_eq!((verdict.fit, verdict.unchained, verdict.tampering), (0, 20, None), "before the upgrade");
    for n in 20..50 {
        ledger.put_audit(&entry(Some(&ours), minute(now, i64::from(n) - 300), seed, n)).await.expect("writes");
    }
    let verdict = verify().await;
    assert_eq!((verdict.fit, verdict.unchained, verdict.tampering), (30, 20, None));
    let filter = AuditFilter { workspace: Some(ours.clone()), after: None, limit: 100 };
    let listed = ledger.list_audit(&filter).await.expect("reads");
    assert_eq!(listed.iter().filter(|entry| entry.link.is_none()).count(), 20, "none is lost");
    let stored = intruder.entries(&ours).await;
    let late = Stored { body: stored[0].body.clone(), ..behind(&stored[49]) };
    let hours = 3 * 3_600_000_000_i64;
    let (micros, id) = late.place.split_once('#').expect("a time and an id");
    let place = format!("{:020}#{id}", micros.parse::<i64>().expect("a time") + hours);
    let late = Stored { partition: late.partition.replace(&late.place, &place), place, ..late };
    intruder.write(&ours, &late).await;
    assert!(verify().await.tampering.is_some_and(|tampering| tampering.how == Tampered::Inserted), "too late for one");
}
