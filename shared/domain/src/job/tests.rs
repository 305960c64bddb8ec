use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn lease(until: i64) -> Lease {
    Lease { owner: Uuid::from_u128(1), until: at(until) }
}

fn error() -> JobError {
    JobError {
        code: JobErrorCode::OutcomeUnknown,
        message: "The answer was lost.".to_owned(),
        retriable: false,
        remediation: "Look.".to_owned(),
    }
}

fn job() -> Job {
    let action: ActionId = "gmail.send".parse().unwrap();
    let params = serde_json::json!({});
    Job::accepted(
        NewJob {
            workspace_id: "local".parse().unwrap(),
            actor: ActorHash::of(&"local".parse().unwrap(), &"ana".parse().unwrap()),
            key_id: None,
            asked_by: None,
            allowed_by: vec![Rule::Deployment],
            provider: Provider::Google,
            payload_hash: crate::payload_hash(Provider::Google, &action, &params),
            content_hash: None,
            action,
            client_request_id: "r1".parse().unwrap(),
            draft_only: false,
            via: Via::Live,
            account: None,
            sources: Sources::default(),
            send_at: None,
            traceparent: None,
        },
        at(0),
    )
}

#[test]
fn a_job_goes_from_queued_to_completed_and_no_further() {
    let job = job().claimed(lease(60), at(1)).unwrap().sending(at(2)).unwrap();
    let done = job.completed(serde_json::json!({ "message_id": "m" }), at(3)).unwrap();
    assert_eq!((done.state.status(), done.attempts, done.fence, done.revision), (JobStatus::Completed, 1, 1, 4));
    assert_eq!(done.duration(), Some(SignedDuration::from_secs(2)));
    assert!(done.claimed(lease(60), at(4)).is_err());
    assert!(
        done.cancelled(at(4)).is_err()
            && done.retried(Terms::default(), at(4)).is_err()
            && done.unknown(error(), at(4)).is_err()
    );
}

#[test]
fn a_lease_keeps_others_out_until_it_ends() {
    let held = job().claimed(lease(60), at(1)).unwrap();
    assert!(held.claimed(lease(120), at(59)).is_err());
    let taken = held.claimed(lease(120), at(60)).unwrap();
    assert_eq!((taken.fence, taken.attempts, taken.crashes), (2, 2, 1));
    assert_eq!(taken.lease_released(at(70), None, at(61)).unwrap().crashes, 0, "a wait is a sign of life");
    assert_eq!(taken.orphaned(at(61)).unwrap().crashes, 2);
    let unreachable = taken.unreachable(at(70), at(61)).unwrap();
    assert_eq!((unreachable.failures, unreachable.lease_released(at(70), None, at(61)).unwrap().failures), (1, 0));
}

#[test]
fn what_may_have_been_sent_is_never_forgotten() {
    let sending = job().claimed(lease(60), at(1)).unwrap().sending(at(2)).unwrap();
    let again = sending.claimed(lease(120), at(61)).unwrap();
    assert_eq!(again.state, State::Sending);
    let waiting = sending.lease_released(at(10), None, at(3)).unwrap();
    assert_eq!(waiting.state, State::Sending);
    assert!(waiting.cancelled(at(4)).is_err(), "a possible send cannot be taken back");
    assert!(waiting.claimed(lease(60), at(9)).is_err(), "not before its time");
}

#[test]
fn only_what_certainly_was_not_sent_is_retried() {
    let sending = job().claimed(lease(60), at(1)).unwrap().sending(at(2)).unwrap();
    let unknown = sending.unknown(error(), at(3)).unwrap();
    assert!(unknown.retried(Terms::default(), at(4)).is_err());
    let not_sent = unknown.resolved(Outcome::NotSent, at(5)).unwrap();
    let retried = not_sent.retried(Terms::default(), at(6)).unwrap();
    assert_eq!((retried.state, retried.attempts, retried.error), (State::Queued, 0, None));
    assert_eq!(unknown.resolved(Outcome::Sent, at(5)).unwrap().state, State::Completed);
}

#[test]
fn a_draft_from_before_a_retry_can_be_given_up() {
    let evidence = Evidence { draft_id: "d1".to_owned(), internet_message_id: None };
    let error = JobError {
        code: JobErrorCode::ReauthRequired,
        message: String::new(),
        retriable: true,
        remediation: String::new(),
    };
    let failed = job().claimed(lease(60), at(1)).unwrap().prepared(evidence, at(2)).unwrap().failed(error, at(3));
    let again = failed.unwrap().retried(Terms::default(), at(4)).unwrap().claimed(lease(60), at(5)).unwrap();
    assert!(again.state == State::Claimed && again.evidence.is_some());
    assert_eq!(again.unprepared(at(6)).unwrap().evidence, None);
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let sending = job().claimed(lease(60), at(1)).unwrap().sending(at(2)).unwrap();
    let text = serde_json::to_string(&sending).unwrap();
    assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), sending);
}

#[test]
fn a_job_that_waits_says_for_what_and_until_when() {
    let running = job().claimed(lease(60), at(1)).unwrap();
    assert_eq!((running.waiting_for, running.waiting_until()), (None, None));
    let day = Some(at(1 + 24 * 3600));
    for (what, until) in [
        (Some(WaitingFor::RateLimit), Some(at(70))),
        (Some(WaitingFor::Provider), Some(at(70))),
        (Some(WaitingFor::Gate), Some(at(70))),
        // Nobody knows when, but not longer.
        (Some(WaitingFor::Reauth), day),
        (None, None),
    ] {
        let waiting = running.lease_released(at(70), what, at(2)).unwrap();
        assert_eq!((waiting.waiting_for, waiting.waiting_until()), (what, until), "{what:?}");
        assert_eq!(waiting.nudged(at(3)).unwrap().waiting_for, what, "{what:?}");
        let woken = waiting.woken(at(3)).unwrap();
        assert_eq!((woken.waiting_for, woken.is_claimable(at(3)), waiting.is_claimable(at(3))), (None, true, false));
        assert_eq!(waiting.claimed(lease(120), at(70)).unwrap().waiting_for, None);
        assert_eq!(waiting.cancelled(at(5)).unwrap().waiting_for, None);
    }
    assert_eq!(running.unreachable(at(70), at(2)).unwrap().waiting_for, Some(WaitingFor::Provider));
    assert!(running.woken(at(2)).is_err(), "it does not wait");
}

#[test]
fn what_a_provider_said_goes_with_its_error() {
    let failed = job().claimed(lease(60), at(1)).unwrap().failed(error(), at(2)).unwrap();
    let failed = Job { sealed_provider_says: Some("sealed".to_owned()), ..failed };
    assert_eq!(failed.retried(Terms::default(), at(3)).unwrap().sealed_provider_says, None);
    assert_eq!((failed.contents_erased_at(at(2 + 7 * 86_400 - 1)), failed.finished_at), (None, Some(at(2))));
    assert_eq!(failed.contents_erased_at(at(2 + 7 * 86_400)), Some(at(2 + 7 * 86_400)));
    assert_eq!(job().contents_erased_at(at(1_000_000)), None, "an open job's contents are kept");
}
