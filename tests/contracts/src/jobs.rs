//! Behaviours of [`engine::ports::Jobs`].

use std::collections::BTreeSet;

use domain::{AuditEvent, Because, Decision, Evidence, Job, JobId, Lease, Outcome, State, Terms};
use engine::ports::{Held, Insert, JobFilter, JobList, Position, Save};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::{
    sample_job,
    support::{Adapter, at_once, contents, end, entries, error, held, ids, insert, minute, save, workspace},
};

/// Jobs are inserted all or none, with their contents, once under any concurrency.
pub async fn inserts_all_or_none(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("insert", seed);
    let jobs: Vec<Job> = (0..20).map(|n| sample_job(&workspace, &format!("{n}"), now)).collect();
    let with_contents = |jobs: &[Job]| -> Vec<_> {
        jobs.iter().map(|job| (job.clone(), contents(job.client_request_id.as_str()))).collect()
    };
    assert_eq!(ledger.insert_jobs(&[]).await.expect("inserts"), Insert::Done);
    assert_eq!(ledger.jobs(&workspace, &[]).await.expect("reads"), []);
    assert_eq!(ledger.insert_jobs(&with_contents(&jobs[..18])).await.expect("inserts"), Insert::Done);
    // The first and last are new, the one between is not: neither is written.
    let mixed = [jobs[18].clone(), jobs[3].cancelled(now).expect("pending"), jobs[19].clone()];
    assert_eq!(ledger.insert_jobs(&with_contents(&mixed)).await.expect("inserts"), Insert::Taken);
    let found =
        ledger.jobs(&workspace, &ids(&[jobs[19].clone(), jobs[3].clone(), jobs[18].clone(), jobs[0].clone()])).await;
    let expected = [None, Some(jobs[3].clone()), None, Some(jobs[0].clone())];
    assert_eq!(found.expect("reads"), expected, "all or none, found in the order asked for");
    assert_eq!(ledger.contents(jobs[18].job_id).await.expect("reads"), None, "all or none, contents too");
    assert_eq!(ledger.contents(jobs[7].job_id).await.expect("reads"), Some(contents("7")));
    let some = ids(&[jobs[7].clone(), jobs[18].clone(), jobs[0].clone()]);
    let expected = [Some(contents("7")), None, Some(contents("0"))];
    assert_eq!(ledger.contents_of(&some).await.expect("reads"), expected, "in the order asked for");
    assert_eq!(ledger.contents_of(&[]).await.expect("reads"), []);

    let long = sample_job(&workspace, "long", now);
    let large = contents(&"x".repeat(350 * 1024));
    assert_eq!(ledger.insert_jobs(&[(long.clone(), large.clone())]).await.expect("inserts"), Insert::Done);
    assert_eq!(ledger.contents(long.job_id).await.expect("reads"), Some(large), "256 KiB, sealed, fit");

    let contested = sample_job(&workspace, "contested", now);
    let attempts = (0..64).map(|n| {
        let (ledger, mut job) = (ledger.clone(), contested.clone());
        job.traceparent = Some(format!("{n}"));
        async move {
            let insert = ledger.insert_jobs(&[(job.clone(), contents(&format!("{n}")))]).await.expect("inserts");
            (insert == Insert::Done).then_some(job)
        }
    });
    let winners: Vec<Job> = at_once(attempts).await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "of 64 inserts of one job at once exactly one is done");
    let stored = ledger.jobs(&workspace, &[contested.job_id]).await.expect("reads").remove(0).expect("it was inserted");
    assert_eq!(stored, winners[0], "and it is the one that was told so");
    let number = stored.traceparent.clone().unwrap_or_default();
    assert_eq!(ledger.contents(contested.job_id).await.expect("reads"), Some(contents(&number)), "with its contents");
    let both = ledger.job_with_contents(&workspace, contested.job_id).await.expect("reads");
    assert_eq!(both, Some((stored.clone(), Some(contents(&number)))), "both at once are the same");
    let both = ledger.job_with_contents(&workspace, jobs[18].job_id).await.expect("reads");
    assert_eq!(both, None, "what was not inserted is not there");
    let foreign = crate::support::workspace("stranger", seed);
    let theirs = ledger.jobs(&foreign, &ids(&[jobs[0].clone(), stored.clone()])).await.expect("reads");
    assert_eq!(theirs, [None, None], "another workspace's job is not there");
    assert_eq!(ledger.job_with_contents(&foreign, stored.job_id).await.expect("reads"), None);
    end(&ledger, &jobs[..18], now).await;
    end(&ledger, &[long, stored], now).await;
}

/// A save is done over the version before only, once under any concurrency; its repetition is done, too.
pub async fn saves_only_over_the_version_before(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("save", seed);
    let first = sample_job(&workspace, "a", now);
    assert_eq!(ledger.save(&held(&first, now)).await.expect("saves"), Save::Stale, "there is no such job");
    assert_eq!(ledger.jobs(&workspace, &[first.job_id]).await.expect("reads"), [None], "a save does not insert");
    insert(&ledger, &first).await;

    let attempts = (0..32).map(|n| {
        let (ledger, job) = (ledger.clone(), first.clone());
        let lease = Lease { owner: Uuid::from_u128(n), until: minute(now, 5) };
        async move {
            let job = job.claimed(lease, now).expect("it can be claimed");
            (ledger.save(&job).await.expect("saves") == Save::Done).then_some(job)
        }
    });
    let winners: Vec<Job> = at_once(attempts).await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "of 32 versions over the same one exactly one is done");
    let claimed = winners[0].clone();
    assert_eq!(ledger.jobs(&workspace, &[first.job_id]).await.expect("reads"), [Some(claimed.clone())]);

    assert_eq!(ledger.save(&claimed).await.expect("saves"), Save::Done, "a repeat of the same version is done");
    let mut other = claimed.clone();
    other.lease = Some(Lease { owner: Uuid::from_u128(99), until: minute(now, 5) });
    assert_eq!(ledger.save(&other).await.expect("saves"), Save::Stale, "another of the same number is not");
    let sending = claimed.sending(now).expect("allowed");
    let done = sending.completed(json!({ "message_id": "m1", "n": 0.1, "nested": [null, "日本"] }), minute(now, 1));
    let done = done.expect("allowed");
    assert_eq!(ledger.save(&done).await.expect("saves"), Save::Stale, "no version is left out");
    save(&ledger, &sending).await;
    assert_eq!(ledger.save(&claimed).await.expect("saves"), Save::Stale, "an older version is not written again");
    save(&ledger, &done).await;
    assert_eq!(
        ledger.jobs(&workspace, &[first.job_id]).await.expect("reads"),
        [Some(done.clone())],
        "it reads back equal"
    );
    assert_eq!(ledger.contents(first.job_id).await.expect("reads"), Some(contents("a")), "contents outlast the end");

    let again = sample_job(&workspace, "a", minute(now, 2));
    let insert = ledger.insert_jobs(&[(again, contents("again"))]).await.expect("inserts");
    assert_eq!(insert, Insert::Taken, "a job that has ended still holds its key");
}

/// Jobs are listed newest first, page by page, each workspace its own, all or of one status.
pub async fn lists_newest_first_in_pages(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("list", seed), workspace("foreign", seed));
    // Five times, five jobs each.
    let mut jobs: Vec<Job> =
        (0..25).map(|n| sample_job(&ours, &format!("{n}"), minute(now, -i64::from(n % 5)))).collect();
    let foreign = sample_job(&other, "0", now);
    for job in jobs.iter().chain([&foreign]) {
        insert(&ledger, job).await;
    }
    for job in jobs.iter_mut().take(10) {
        *job = job.cancelled(now).expect("pending");
        save(&ledger, job).await;
    }
    for job in jobs.iter_mut().skip(10).take(4) {
        *job = held(job, now);
        save(&ledger, job).await;
    }
    for job in jobs.iter_mut().skip(10).take(2) {
        *job = job.completed(json!({}), now).expect("it runs");
        save(&ledger, job).await;
    }
    let listed = |list, limit, after| {
        let filter = JobFilter { workspace: ours.clone(), list, after, limit };
        let ledger = ledger.clone();
        async move { ledger.list_jobs(&filter).await.expect("lists") }
    };
    let all = listed(JobList::All, 100, None).await;
    let set = |jobs: &[Job]| ids(jobs).into_iter().collect::<BTreeSet<JobId>>();
    assert_eq!((all.len(), set(&all)), (25, set(&jobs)), "all of the workspace's jobs, and no other's");
    assert!(all.is_sorted_by(|a, b| a.created_at >= b.created_at), "newest first");
    assert!(all.iter().all(|job| jobs.contains(job)), "in their newest version");
    for limit in [1, 3, 5, 24, 25] {
        let mut pages: Vec<Job> = Vec::new();
        loop {
            let after = pages.last().map(Position::from);
            let page = listed(JobList::All, limit, after).await;
            assert!(page.len() <= limit, "at most as many as asked for");
            if page.is_empty() {
                break;
            }
            pages.extend(page);
            assert!(pages.len() <= 25, "paging comes to an end");
        }
        assert_eq!(ids(&pages), ids(&all), "pages of {limit} are the list, equal times or not");
    }
    // The jobs of one request, a microsecond apart, stay in its order.
    let third = workspace("request", seed);
    let at = |place: i64| now - jiff::SignedDuration::from_micros(place);
    let request: Vec<Job> = (0..10).map(|place| sample_job(&third, &format!("{place}"), at(place))).collect();
    for job in request.iter().rev() {
        insert(&ledger, job).await;
    }
    let filter = JobFilter { workspace: third, list: JobList::All, after: None, limit: 100 };
    assert_eq!(ids(&ledger.list_jobs(&filter).await.expect("lists")), ids(&request));
    for (list, count) in [(JobList::Failed, 10), (JobList::Open, 13), (JobList::All, 25)] {
        let some = listed(list, 100, None).await;
        let is_in = |job: &&Job| list == JobList::All || JobList::with(job.state.status()) == list;
        let expected: Vec<Job> = all.iter().filter(is_in).cloned().collect();
        assert_eq!((some.len(), ids(&some)), (count, ids(&expected)), "{list:?}, newest first");
        let after = Position::from(&some[0]);
        assert_eq!(ids(&listed(list, 100, Some(after)).await), ids(&some[1..]), "pages of {list:?} go on, too");
    }
    jobs.retain(|job| !job.state.has_ended());
    end(&ledger, &jobs, now).await;
    end(&ledger, &[foreign], now).await;
}

/// Overdue jobs are found, longest due first.
pub async fn finds_overdue_jobs(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("open", seed);
    let mut jobs: Vec<Job> =
        (0..6).map(|n| sample_job(&workspace, &format!("{n}"), minute(now, -60 + i64::from(n)))).collect();
    for job in jobs.iter().rev() {
        insert(&ledger, job).await;
    }
    let untouched = async |before| {
        let jobs = ledger.overdue_jobs(before, 10_000).await.expect("reads");
        assert!(jobs.is_sorted_by_key(Job::due_at), "oldest first");
        jobs.into_iter().filter(|job| job.workspace_id == workspace).collect::<Vec<Job>>()
    };
    assert_eq!(untouched(jobs[3].due_at()).await, jobs[..3], "untouched since then: not one touched at the very time");
    let few = ledger.overdue_jobs(now, 2).await.expect("reads");
    assert_eq!(few.len(), 2, "no more than asked for");

    jobs[0] = held(&jobs[0], now);
    save(&ledger, &jobs[0]).await;
    assert_eq!(untouched(now).await, jobs[1..], "a save touches");
    let before = minute(now, 1);
    assert_eq!(untouched(before).await.len(), 6, "leased, but touched by nobody since");
    save(&ledger, &jobs[1].cancelled(now).expect("pending")).await;
    jobs.remove(1);
    assert_eq!(
        ids(&untouched(before).await),
        [ids(&jobs[1..]), ids(&jobs[..1])].concat(),
        "what has ended is not open"
    );
    end(&ledger, &jobs, now).await;
    assert_eq!(untouched(before).await, []);
}

/// The oldest job without a worker is known.
pub async fn knows_since_when_the_oldest_unclaimed_job_waits(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("unclaimed", seed);
    let oldest = async || ledger.oldest_unclaimed().await.expect("reads");
    let before = oldest().await;
    // Longer ago than what anybody else has in there.
    let long_ago = |minutes: i64| minute(now, -1_000_000 + minutes);
    let [first, second] = [("first", 0), ("second", 1)].map(|(key, at)| sample_job(&workspace, key, long_ago(at)));
    for job in [&second, &first] {
        insert(&ledger, job).await;
    }
    assert_eq!(oldest().await, Some(long_ago(0)));
    let nudged = first.nudged(now).expect("open");
    save(&ledger, &nudged).await;
    assert_eq!(oldest().await, Some(long_ago(0)), "to be nudged of is not to be claimed");
    let claimed = held(&nudged, now);
    save(&ledger, &claimed).await;
    assert_eq!(oldest().await, Some(long_ago(1)));
    let waiting = claimed.lease_released(minute(now, 5), None, now).expect("open");
    save(&ledger, &waiting).await;
    assert_eq!(oldest().await, Some(long_ago(1)), "what waits after a worker had it was claimed");
    let cancelled = second.cancelled(now).expect("pending");
    save(&ledger, &cancelled).await;
    assert_eq!(oldest().await, before, "what has ended waits for nobody");
    let retried = cancelled.retried(Terms::default(), long_ago(2)).expect("failed");
    save(&ledger, &retried).await;
    assert_eq!(oldest().await, Some(long_ago(2)), "a retry waits since it was asked for");
    end(&ledger, &[waiting, retried], now).await;
    assert_eq!(oldest().await, before);
}

/// A job that goes later waits for no worker before, and is overdue some minutes before if no queue can hold its message.
pub async fn finds_later_jobs_shortly_before_their_time(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("later", seed);
    let at = |key: &str, minutes: i64| {
        let terms = Terms { not_before: Some(minute(now, minutes)), ..Terms::default() };
        sample_job(&workspace, key, now).on(terms)
    };
    let (soon, late) = (at("soon", 15), at("late", 16));
    for job in [&soon, &late] {
        insert(&ledger, job).await;
        assert_eq!(job.waits_since(), job.not_before);
    }
    let due = async |minutes: i64| {
        let jobs = ledger.overdue_jobs(minute(now, minutes), 10_000).await.expect("reads");
        ids(&jobs.into_iter().filter(|job| job.workspace_id == workspace).collect::<Vec<_>>())
    };
    assert_eq!(due(13).await, [], "13 minutes are the time of the late one's sweep");
    assert_eq!(due(14).await, [late.job_id]);
    let nudged = late.nudged(minute(now, 14)).expect("open");
    save(&ledger, &nudged).await;
    assert_eq!(due(15).await, [], "a queue has both now");
    assert_eq!(due(17).await, [soon.job_id, late.job_id], "overdue after their time");
    end(&ledger, &[soon, nudged], now).await;
}

/// Held jobs are counted, and of many decisions about one at once, one is written with one entry in the audit.
pub async fn decides_once_about_a_held_job(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("held", seed);
    let held_jobs = async || ledger.held(1000).await.expect("reads");
    let before = held_jobs().await;
    // Longer ago than what anybody else has in there.
    let long_ago = |minutes: i64| minute(now, -2_000_000 + minutes);
    let held_at = |key: &str, minutes: i64| {
        let terms = Terms { because: vec![Because::All], expires_at: minute(now, 60), not_before: None };
        sample_job(&workspace, key, long_ago(minutes)).on(terms)
    };
    let jobs = [held_at("first", 0), held_at("second", 1), held_at("third", 2)];
    for job in &jobs {
        insert(&ledger, job).await;
        let there = ledger.job(&workspace, job.job_id).await.expect("reads");
        assert_eq!(there.as_ref(), Some(job), "it reads back equal");
    }
    assert_eq!(held_jobs().await, Held { count: before.count + 3, since: Some(long_ago(0)) });
    assert_eq!(ledger.held(2).await.expect("reads").count, 2, "no more than asked for");
    assert_ne!(ledger.oldest_unclaimed().await.expect("reads"), Some(long_ago(0)), "it waits for no worker");

    let [first, second, third] = jobs;
    let decisions = (0..32).map(|n| {
        let (ledger, job) = (ledger.clone(), first.clone());
        let by = domain::ActorHash::of(&job.workspace_id, &format!("person-{n}").parse().expect("an actor"));
        let decision = Decision { approved: n % 2 == 0, key_id: None, by, at: minute(now, 1) };
        async move {
            let decided = job.decided(decision, None).expect("it is held");
            (ledger.save(&decided).await.expect("saves") == Save::Done).then_some(decided)
        }
    });
    let won: Vec<Job> = at_once(decisions).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "of 32 decisions at once exactly one is done");
    assert_eq!(ledger.job(&workspace, first.job_id).await.expect("reads").as_ref(), Some(&won[0]));
    let told = entries(&ledger, Some(&workspace)).await;
    let told: Vec<_> = told.iter().filter(|entry| entry.job_id == Some(first.job_id)).collect();
    let event = if won[0].state == State::Queued { AuditEvent::JobApproved } else { AuditEvent::JobRejected };
    // The entry of the acceptance has expired long ago.
    assert_eq!(told.iter().map(|entry| entry.event).collect::<Vec<_>>(), [event]);
    assert_eq!(told[0].by_actor, won[0].decision.as_ref().map(|decision| decision.by.clone()));
    assert_eq!(told[0].sha256.as_deref(), Some(first.payload_hash.as_str()));

    let (cancelled, expired) = (second.cancelled(now).expect("pending"), third.expired(minute(now, 60)).expect("late"));
    for job in [&cancelled, &expired] {
        save(&ledger, job).await;
    }
    assert_eq!(held_jobs().await, before, "what is decided waits for nobody");
    let again =
        expired.retried(Terms { because: vec![Because::All], ..Terms::default() }, long_ago(3)).expect("failed");
    save(&ledger, &again).await;
    assert_eq!(held_jobs().await, Held { count: before.count + 1, since: Some(long_ago(3)) }, "since it was retried");
    let open: Vec<Job> = won.into_iter().chain([again]).filter(|job| !job.state.has_ended()).collect();
    end(&ledger, &open, now).await;
}

/// The last job that went out, or may have, is found by its recipients and content, in its workspace alone.
pub async fn finds_the_last_job_with_a_content(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let [workspace, foreign] = [workspace("content", seed), workspace("others", seed)];
    let alike = |key: &str, state: &str| {
        let content = sample_job(&workspace, state, now).content_hash;
        let job = held(&Job { content_hash: content, ..sample_job(&workspace, key, now) }, now).sending(now);
        job.expect("it is held")
    };
    let [completed, unknown, failed] =
        ["completed", "unknown", "failed"].map(|state| alike(&format!("{state} 1"), state));
    for job in [&completed, &unknown, &failed] {
        insert(&ledger, job).await;
        let content = job.content_hash.clone().expect("a sample job has recipients");
        let last = async |workspace| ledger.last_with_content(workspace, &content, now).await.expect("reads");
        assert_eq!(last(&workspace).await, None, "what has not ended did not go out");
        let ended = match job.client_request_id.as_str() {
            "completed 1" => job.completed(json!({}), now),
            "unknown 1" => job.unknown(error(), now),
            _ => job.failed(error(), now),
        };
        let ended = ended.expect("it was sending");
        save(&ledger, &ended).await;
        let expected = (ended.state != State::Failed).then(|| ended.clone());
        assert_eq!(last(&workspace).await, expected, "{}", job.client_request_id.as_str());
        assert_eq!(last(&foreign).await, None, "another workspace's jobs are not found");
        assert_eq!(expected.is_some(), ended.may_repeat_until().is_some());
    }
    let last = async |job: &Job| {
        let content = job.content_hash.as_ref().expect("a sample job has recipients");
        ledger.last_with_content(&workspace, content, now).await.expect("reads")
    };
    // Which was accepted last does not count.
    let [older, newer] = [("completed 2", -60), ("completed 3", 0)]
        .map(|(key, minutes)| Job { created_at: minute(now, minutes), ..alike(key, "completed") });
    for (job, minutes) in [(&newer, 1), (&older, 2)] {
        insert(&ledger, job).await;
        let ended = job.completed(json!({}), minute(now, minutes)).expect("it was sending");
        save(&ledger, &ended).await;
        assert_eq!(last(job).await, Some(ended), "the last one");
    }
    let unknown = last(&unknown).await.expect("it may have gone out");
    let not_sent = unknown.resolved(Outcome::NotSent, minute(now, 3)).expect("unknown");
    save(&ledger, &not_sent).await;
    assert_eq!(last(&not_sent).await, None, "it did not go out");
    let sent = alike("unknown 2", "unknown");
    insert(&ledger, &sent).await;
    let unknown = sent.unknown(error(), minute(now, 4)).expect("it was sending");
    save(&ledger, &unknown).await;
    let sent = unknown.resolved(Outcome::Sent, minute(now, 5)).expect("unknown");
    save(&ledger, &sent).await;
    assert_eq!(last(&sent).await, Some(sent), "it did");
}

/// Voiding leases ends them all and forgets nothing; for a ledger on which nothing else works.
pub async fn voids_leases(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("leases", seed);
    let queued = sample_job(&workspace, "queued", now);
    let waiting = sample_job(&workspace, "waiting", now).lease_released(minute(now, 9), None, now).expect("it is open");
    let claimed = held(&sample_job(&workspace, "claimed", now), now);
    let evidence = Evidence { draft_id: "d1".to_owned(), internet_message_id: None };
    let prepared = held(&sample_job(&workspace, "prepared", now), now).prepared(evidence, now).expect("allowed");
    let sending = held(&sample_job(&workspace, "sending", now), now).sending(now).expect("allowed");
    let ended = held(&sample_job(&workspace, "ended", now), now).completed(json!({}), now).expect("allowed");
    let jobs = [queued, waiting, claimed, prepared, sending, ended];
    for job in &jobs {
        insert(&ledger, job).await;
    }
    let later = minute(now, 1);
    let voided = ledger.void_leases(later).await.expect("voids");
    assert!(voided >= 3, "it says how many leases there were: {voided}");
    let after = ledger.jobs(&workspace, &ids(&jobs)).await.expect("reads");
    let after: Vec<Job> = after.into_iter().map(|job| job.expect("it is there")).collect();
    for (job, was) in after.iter().zip(&jobs) {
        let key = job.client_request_id.as_str();
        assert_eq!(job.lease, None, "no lease is left: {key}");
        if was.lease.is_none() {
            assert_eq!(job, was, "a job without one is left as it was: {key}");
            continue;
        }
        let state = if was.state == State::Claimed { State::Queued } else { was.state };
        assert_eq!(
            (job.state, &job.evidence),
            (state, &was.evidence),
            "what may have happened is not forgotten: {key}"
        );
        assert_eq!((job.revision, job.touched_at), (was.revision + 1, later), "it is a new version: {key}");
        assert_eq!(job.not_before, None, "a worker may take it up at once: {key}");
        assert_eq!(ledger.save(&was.failed(error(), now).expect("allowed")).await.expect("saves"), Save::Stale);
    }
    for job in after.iter().filter(|job| !job.state.has_ended()) {
        save(&ledger, &job.failed(error(), later).expect("it is open")).await;
    }
}
