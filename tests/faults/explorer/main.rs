//! The crash explorer: the engine's own code over a world in memory, under schedules that kill it
//! at every port call, deliver messages twice, lose them, stop processes and wake them too late,
//! lose answers, and let all of that overlap. Every schedule is checked for what must always hold.

mod ports;
mod schedule;
mod search;
mod world;

use domain::JobErrorCode;
use schedule::{Run, outcome};
use search::{Search, Tally, at, replay, tell};
use world::{Phase, Sabotage, Setup, Site, Twist};

/// `EXPLORE=long` explores for some minutes more.
fn is_long() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a switch of the test, not of the program")]
    let given = std::env::var("EXPLORE");
    given.is_ok_and(|how| how == "long")
}

#[test]
fn nothing_is_lost_or_sent_twice_under_any_schedule() {
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let searches: Vec<_> = Setup::ALL
            .map(|setup| scope.spawn(move || Search::new(setup, Sabotage::None).everything(is_long())))
            .into_iter()
            .collect();
        searches.into_iter().map(|search| search.join().expect("a search ends")).collect()
    });
    println!("{}", Tally::table(&tallies));
    for tally in &tallies {
        if let Some((sabotage, twists, why)) = &tally.violation {
            panic!("{}", tell(tally.setup, *sabotage, twists, why));
        }
    }
    let schedules: u64 = tallies.iter().map(|tally| tally.schedules).sum();
    let least = if is_long() { 500_000 } else { 50_000 };
    assert!(schedules >= least, "only {schedules} schedules were explored");
    let waits = tallies.iter().filter(|tally| tally.setup.held() || tally.setup.send_at().is_some());
    let waits: u64 = waits.map(|tally| tally.schedules).sum();
    assert!(waits >= least / 5, "only {waits} schedules of held and later jobs were explored");
    for twist in Twist::ALL {
        assert!(tallies.iter().any(|tally| tally.twists.contains_key(&twist)), "{twist:?} never happened");
    }
    for end in ["completed", "presumed", "failed", "unknown"] {
        assert!(tallies.iter().any(|tally| tally.outcomes.contains_key(end)), "no job ended as {end}");
    }
}

/// Takes one guard away and expects the search to notice, with a trace that shows it again.
fn notices(setup: Setup, sabotage: Sabotage, expected: &str) {
    let tally = Search::new(setup, sabotage).pairs();
    let (_, twists, why) = tally.violation.unwrap_or_else(|| panic!("{sabotage:?} goes unnoticed"));
    assert!(why.contains(expected), "{sabotage:?} shows as: {why}");
    assert_eq!(replay(setup, sabotage, &twists).violation.as_ref(), Some(&why), "{twists:?} is not replayed");
    assert_eq!(replay(setup, Sabotage::None, &twists).violation, None, "{twists:?} fails with the guard in place");
    println!("{sabotage:?} is noticed after {} schedules: {why}: {twists:?}", tally.schedules);
}

#[test]
fn without_compared_revisions_a_send_happens_twice() {
    notices(Setup::SendOnly, Sabotage::BlindSave, "twice");
}

#[test]
fn without_the_mark_of_a_begun_send_a_send_happens_twice() {
    notices(Setup::SendOnly, Sabotage::NoSendingMark, "twice");
}

#[test]
fn without_drafts_that_go_once_a_send_happens_twice() {
    notices(Setup::GmailDrafts, Sabotage::ImmortalDrafts, "twice");
}

#[test]
fn without_ids_that_are_taken_once_a_change_happens_twice() {
    notices(Setup::Changes, Sabotage::NoChangeId, "twice");
}

#[test]
fn without_evidence_an_outcome_is_unknown() {
    notices(Setup::GmailDrafts, Sabotage::NoEvidence, "unknown");
}

#[test]
fn without_a_sweeper_a_job_is_lost() {
    notices(Setup::SendOnly, Sabotage::NoSweeper, "lost");
}

#[test]
fn without_leases_a_stale_fence_reaches_the_provider() {
    notices(Setup::GmailDrafts, Sabotage::NoLease, "stale fence");
}

#[test]
fn without_the_hold_a_job_reaches_the_provider_that_nobody_approved() {
    for setup in [Setup::HeldDrafts, Setup::HeldSend, Setup::HeldChanges] {
        notices(setup, Sabotage::NoHold, "held job");
    }
}

#[test]
fn without_its_time_an_early_job_reaches_the_provider() {
    for setup in [Setup::LaterDrafts, Setup::LaterSend] {
        notices(setup, Sabotage::NoNotBefore, "early job");
    }
}

#[test]
fn without_compared_revisions_a_job_is_decided_twice() {
    notices(Setup::HeldSend, Sabotage::BlindSave, "decided");
}

#[test]
fn a_held_job_ends_as_it_was_decided_and_a_later_one_as_it_was_left() {
    let whenever = |setup, twist: Twist| {
        end(&schedule::run(setup, Sabotage::None, false, &mut |_, _, set| (set & twist.bit() != 0).then_some(twist)))
    };
    for setup in [Setup::HeldDrafts, Setup::HeldSend, Setup::HeldChanges] {
        let goes = ("completed", None, 1);
        assert_eq!(end(&one_after_another(setup, &[]).0), goes, "{setup:?}");
        assert_eq!(whenever(setup, Twist::Approve), goes, "{setup:?}");
        assert_eq!(whenever(setup, Twist::Reject), ("failed", Some(JobErrorCode::ApprovalRejected), 0), "{setup:?}");
        assert_eq!(whenever(setup, Twist::Cancel), ("failed", Some(JobErrorCode::Cancelled), 0), "{setup:?}");
        // Its retry is held again, and approved then.
        assert_eq!(whenever(setup, Twist::Expire), goes, "{setup:?}");
    }
    for setup in [Setup::LaterDrafts, Setup::LaterSend] {
        assert_eq!(end(&one_after_another(setup, &[]).0), ("completed", None, 1), "{setup:?}");
    }
}

#[test]
fn without_the_mark_of_a_draft_only_job_its_draft_is_sent() {
    notices(Setup::DraftOnly, Sabotage::NoDraftOnly, "draft-only");
}

#[test]
fn a_draft_only_job_ends_with_its_draft_and_one_that_becomes_so_is_not_sent_again() {
    for twist in [Twist::Crash, Twist::Freeze, Twist::Fault] {
        for point in [(Site::Prepare, Phase::Before), (Site::Prepare, Phase::After), (Site::Save, Phase::After)] {
            assert_eq!(end(&at(Setup::DraftOnly, point, twist, 1)), ("completed", None, 0), "{twist:?} {point:?}");
        }
    }
    let gate = (Site::Open, Phase::After, Twist::DraftOnly, 1);
    let refused = (Site::Perform, Phase::Before, Twist::RateLimited, 1);
    let lost = (Site::Perform, Phase::After, Twist::Fault, 1);
    for setup in [Setup::GmailDrafts, Setup::GraphDrafts] {
        assert_eq!(end(&one_after_another(setup, &[gate]).0), ("completed", None, 0), "{setup:?}");
        assert_eq!(end(&one_after_another(setup, &[refused, gate]).0), ("completed", None, 0), "{setup:?}");
        let unknown = ("unknown", Some(JobErrorCode::OutcomeUnknown), 1);
        assert_eq!(end(&one_after_another(setup, &[lost, gate]).0), unknown, "{setup:?}");
    }
    let reauth = ("failed", Some(JobErrorCode::ReauthRequired), 0);
    assert_eq!(end(&one_after_another(Setup::SendOnly, &[gate]).0), reauth, "its account cannot make drafts");
}

const FOR_EVER: u32 = u32::MAX;

fn end(run: &Run) -> (&'static str, Option<JobErrorCode>, u32) {
    assert_eq!(run.violation, None);
    let error = run.job.as_ref().and_then(|job| job.error.as_ref()).map(|error| error.code);
    (outcome(run), error, run.delivered)
}

#[test]
fn a_draft_tells_what_became_of_a_send_and_nothing_else_does() {
    let after_send = (Site::Perform, Phase::After);
    for twist in [Twist::Crash, Twist::Freeze, Twist::Fault] {
        assert_eq!(outcome(&at(Setup::GraphDrafts, after_send, twist, 1)), "presumed", "{twist:?}");
        assert_eq!(end(&at(Setup::SendOnly, after_send, twist, 1)).0, "unknown", "{twist:?}");
    }
    let late = |setup| end(&at(setup, (Site::Perform, Phase::Before), Twist::Late, 1));
    assert_eq!(late(Setup::GmailDrafts), ("completed", None, 1));
    assert_eq!(late(Setup::SendOnly), ("unknown", Some(JobErrorCode::OutcomeUnknown), 1));
}

#[test]
fn a_change_is_never_unknown_while_the_provider_answers() {
    let (before_call, after_call) = ((Site::Perform, Phase::Before), (Site::Perform, Phase::After));
    for setup in [Setup::Changes, Setup::SilentChanges] {
        for twist in [Twist::Crash, Twist::Freeze, Twist::Fault] {
            assert_eq!(end(&at(setup, after_call, twist, 1)), ("presumed", None, 1), "{setup:?} {twist:?}");
        }
        assert_eq!(end(&at(setup, before_call, Twist::Late, 1)), ("completed", None, 1), "{setup:?}");
        // The account is refused after a lost answer: the job waits for it.
        let lost = (Site::Perform, Phase::After, Twist::Fault, 1);
        let forbidden = (Site::Compare, Phase::After, Twist::Forbidden, 2);
        let (run, left) = one_after_another(setup, &[lost, forbidden]);
        assert_eq!((end(&run), left), (("presumed", None, 1), 0), "{setup:?}");
        let late = (Site::Perform, Phase::Before, Twist::Late, 1);
        let forbidden = (Site::Perform, Phase::Before, Twist::Forbidden, 1);
        let (run, left) = one_after_another(setup, &[late, forbidden]);
        assert_eq!((end(&run).2, left), (1, 0), "{setup:?}");
        assert!(matches!(outcome(&run), "completed" | "presumed"), "{setup:?}");
    }
}

#[test]
fn what_a_person_deleted_is_not_made_again() {
    let after_call = (Site::Perform, Phase::After);
    for setup in [Setup::Changes, Setup::SilentChanges] {
        for lost in [Twist::Fault, Twist::Crash] {
            let deleted = (Site::Connection, Phase::After, Twist::ChangeDeleted, 1);
            let (run, left) = one_after_another(setup, &[(after_call.0, after_call.1, lost, 1), deleted]);
            assert_eq!((end(&run).2, run.job.is_some(), left), (1, true, 0), "{setup:?} {lost:?}");
            assert!(matches!(outcome(&run), "completed" | "presumed"), "{setup:?} {lost:?}");
        }
    }
}

/// Runs a schedule of twists that workers meet one after another, each so often; says how many were left.
fn one_after_another(setup: Setup, twists: &[(Site, Phase, Twist, u32)]) -> (Run, usize) {
    let mut left: Vec<_> = twists.iter().rev().copied().collect();
    let run = schedule::run(setup, Sabotage::None, false, &mut |_, (_, point), _| {
        let (site, phase, twist, times) = left.last_mut()?;
        if point != (*site, *phase) || *times == 0 {
            return None;
        }
        let twist = *twist;
        *times -= u32::from(*times != FOR_EVER);
        if *times == 0 {
            left.pop();
        }
        Some(twist)
    });
    (run, left.len())
}

#[test]
fn a_job_whose_draft_is_known_waits_for_its_account() {
    let lost = (Site::Perform, Phase::After, Twist::Fault, 1);
    for setup in [Setup::GmailDrafts, Setup::GraphDrafts] {
        for refusal in [
            &[(Site::Perform, Phase::Before, Twist::Forbidden, 3)][..],
            &[(Site::Perform, Phase::Before, Twist::Unauthorized, 5)],
            &[(Site::Perform, Phase::Before, Twist::Unauthorized, 1), (Site::Refresh, Phase::After, Twist::NoToken, 1)],
            &[
                (Site::Perform, Phase::Before, Twist::RateLimited, 1),
                (Site::Connection, Phase::After, Twist::Downgrade, 1),
            ],
        ] {
            let (run, left) = one_after_another(setup, refusal);
            assert_eq!((end(&run), left), (("completed", None, 1), 0), "{setup:?} {refusal:?}");
            let (run, left) = one_after_another(setup, &[&[lost], refusal].concat());
            assert_eq!((end(&run), left), (("presumed", None, 1), 0), "{setup:?} {refusal:?} after a lost answer");
        }
        // Nobody connects it again.
        let forever = (Site::Perform, Phase::Before, Twist::Forbidden, FOR_EVER);
        let (run, _) = one_after_another(setup, &[forever]);
        assert_eq!(end(&run), ("failed", Some(JobErrorCode::GaveUp), 0), "{setup:?}");
        let (run, _) = one_after_another(setup, &[lost, forever]);
        assert_eq!(end(&run), ("unknown", Some(JobErrorCode::OutcomeUnknown), 1), "{setup:?}");
    }
    // Without a draft a missing permission ends a job, which certainly sent nothing.
    let (run, _) = one_after_another(Setup::SendOnly, &[(Site::Perform, Phase::Before, Twist::Forbidden, FOR_EVER)]);
    assert_eq!(end(&run), ("failed", Some(JobErrorCode::ReauthRequired), 0));
}

#[test]
fn a_job_that_kills_its_workers_is_settled() {
    let killed = |point| end(&at(Setup::GmailDrafts, point, Twist::Crash, FOR_EVER));
    assert_eq!(killed((Site::Contents, Phase::After)), ("failed", Some(JobErrorCode::Internal), 0));
    let unknown = Some(JobErrorCode::OutcomeUnknown);
    assert_eq!(killed((Site::Perform, Phase::Before)), ("unknown", unknown, 0));
    assert_eq!(killed((Site::Perform, Phase::After)), ("unknown", unknown, 1));
}

#[test]
fn a_job_that_can_only_wait_gives_up() {
    let before_send = (Site::Perform, Phase::Before);
    let gave_up = ("failed", Some(JobErrorCode::GaveUp), 0);
    assert_eq!(end(&at(Setup::SendOnly, before_send, Twist::RateLimited, FOR_EVER)), gave_up);
    assert_eq!(end(&at(Setup::SendOnly, (Site::Rollout, Phase::After), Twist::Fault, FOR_EVER)), gave_up);
    // Never is there time for a send: none is begun, and the job turns in a circle neither fast nor for ever.
    let slow = at(Setup::SendOnly, (Site::Connection, Phase::After), Twist::Slow, FOR_EVER);
    assert_eq!(end(&slow), gave_up);
    assert!(slow.job.is_some_and(|job| job.attempts < 1_200));
    let unreached = ("failed", Some(JobErrorCode::ProviderUnavailable), 0);
    assert_eq!(end(&at(Setup::SendOnly, before_send, Twist::Fault, FOR_EVER)), unreached);
}

#[test]
fn an_answer_that_comes_too_late_for_a_send_is_not_used() {
    // Half a minute for a fresh token leaves no time: the next run sends.
    let mut step = 0;
    let run = schedule::run(Setup::SendOnly, Sabotage::None, false, &mut |_, (_, point), _| {
        let twist = match (step, point) {
            (0, (Site::Perform, Phase::Before)) => Twist::Unauthorized,
            (1, (Site::Refresh, Phase::After)) => Twist::Slow,
            _ => return None,
        };
        step += 1;
        Some(twist)
    });
    assert_eq!(end(&run), ("completed", None, 1));
    assert_eq!(run.job.map(|job| job.attempts), Some(2));
}

#[test]
fn a_job_that_waits_is_not_taken_for_one_that_kills_its_workers() {
    // No message can be acknowledged, so that the first comes a sixth time while the job waits.
    let (mut sends, mut receipts) = (0, 0);
    let run = schedule::run(Setup::SendOnly, Sabotage::None, false, &mut |_, (_, point), _| match point {
        (Site::Perform, Phase::Before) if sends < 15 => {
            sends += 1;
            Some(Twist::RateLimited)
        }
        (Site::Acknowledge, Phase::Before) if receipts < 200 => {
            receipts += 1;
            Some(Twist::Fault)
        }
        _ => None,
    });
    assert_eq!(end(&run), ("completed", None, 1));
    assert_eq!(run.job.map(|job| job.attempts), Some(16), "it was given up, and tried anew");
}
