//! Which jobs are held until a person approves them, and which go later: the operator's rules, applied to a request.

use domain::{
    Address, Because, DerivedRecipients, Job, LookupId, Recipient, RecipientDomains, RequireApproval, Rule, Source,
    Sources, Terms,
};
use jiff::{SignedDuration, Timestamp};

use crate::{Caller, Problem, ProblemCode, job_contents::reached, ports::Call};

/// When jobs are held, and for how long they wait.
#[derive(Debug, Clone)]
pub struct ApprovalOptions {
    /// Which jobs are held, whoever asks for them.
    pub require: RequireApproval,
    /// A held job that nobody has approved expires after this.
    pub expires_after: SignedDuration,
    /// What becomes of recipients that were looked up.
    pub derived: DerivedRecipients,
    /// Another actor approves than the one who asked.
    pub second_person: bool,
    /// Whatever reaches people waits this long, so that it can be cancelled.
    pub undo: SignedDuration,
}

impl Default for ApprovalOptions {
    fn default() -> Self {
        Self {
            require: RequireApproval::None,
            expires_after: SignedDuration::from_hours(24),
            derived: DerivedRecipients::default(),
            second_person: false,
            undo: SignedDuration::ZERO,
        }
    }
}

/// Says on which terms a job is accepted, retried or approved.
#[derive(Debug)]
pub(crate) struct ApprovalRules {
    pub(crate) options: ApprovalOptions,
    /// The operator's own domains; if none are named, every recipient is outside.
    pub(crate) internal: RecipientDomains,
}

impl ApprovalRules {
    /// The terms of a job that a caller asks for now, for the first time or once more. A job that was held before is held
    /// for the same reasons, and any new ones.
    pub(crate) fn terms(&self, caller: &Caller, job: &Job, call: &dyn Call, now: Timestamp) -> Terms {
        let mut because = job.because.clone();
        because.extend(self.because(caller, &job.sources, call));
        because.sort_unstable();
        because.dedup();
        Terms { because, expires_at: now + self.options.expires_after, not_before: self.not_before(job, now) }
    }

    /// Why a person has to approve an action first: the one place that collects the reasons.
    pub(crate) fn because(&self, caller: &Caller, sources: &Sources, call: &dyn Call) -> Vec<Because> {
        let mut because = Vec::from_iter(caller.agent.then_some(Because::Agent));
        let wants_approval = self.derived(caller) != DerivedRecipients::Ask;
        because.extend((sources.is_derived() && wants_approval).then_some(Because::Derived));
        match self.options.require {
            RequireApproval::None => {}
            RequireApproval::External => {
                let leaves = call.recipients().iter().any(|param| self.is_external(param.address));
                because.extend(leaves.then_some(Because::External));
            }
            RequireApproval::All => because.push(Because::All),
        }
        because
    }

    /// What becomes of recipients that were looked up for this caller. What an agent looks up, a person approves.
    fn derived(&self, caller: &Caller) -> DerivedRecipients {
        if caller.agent { DerivedRecipients::Approve } else { self.options.derived }
    }

    /// Refuses recipients that were looked up, or are to be, where there may be none.
    pub(crate) fn may_derive(&self, caller: &Caller) -> Result<(), Problem> {
        if self.derived(caller) != DerivedRecipients::Deny {
            return Ok(());
        }
        let detail = "no recipients are looked up here (DERIVED_RECIPIENTS); write their addresses into the request";
        Err(Problem::new(ProblemCode::RecipientNotAllowed, detail).by_rule(Rule::Recipients))
    }

    /// Refuses the approval of the one who asked for the job, where another person has to give it.
    pub(crate) fn may_approve(&self, caller: &Caller, job: &Job) -> Result<(), Problem> {
        let asked = [Some(&job.actor), job.asked_by.as_ref()];
        if self.options.second_person && asked.contains(&Some(&caller.default_actor)) {
            let detail = "another person than the one who asked for the job has to approve it (SECOND_PERSON)";
            return Err(Problem::new(ProblemCode::SecondPersonRequired, detail).by_rule(Rule::SecondPerson));
        }
        Ok(())
    }

    fn is_external(&self, address: &Address) -> bool {
        self.internal == RecipientDomains::Any || !self.internal.allow(address)
    }

    /// Everybody whom an action reaches, each once.
    pub(crate) fn recipients(
        &self,
        call: &dyn Call,
        source: impl Fn(usize, &Address) -> (Option<Source>, Option<LookupId>),
    ) -> Vec<Recipient> {
        let recipient = |(place, address): (usize, &Address)| {
            let (source, lookup) = source(place, address);
            Recipient { address: address.addr_spec(), source, lookup, external: !self.internal.allow(address) }
        };
        reached(call).into_iter().enumerate().map(recipient).collect()
    }

    /// When a job may go that nobody has to approve from now on: at the time that was asked for, and, if it reaches people,
    /// not before there was time to cancel it. None for at once.
    pub(crate) fn not_before(&self, job: &Job, now: Timestamp) -> Option<Timestamp> {
        let undo = job.content_hash.as_ref().map(|_| now + self.options.undo);
        job.send_at.max(undo).filter(|then| *then > now)
    }
}
