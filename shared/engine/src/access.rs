//! Whether an action may run: one place, asked when planning, when accepting and when working.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use domain::{ActionId, ActorId, Provider, Violation, WorkspaceId, in_rollout};
use jiff::{SignedDuration, Timestamp};
use telemetry::record::{Decision, record_permission_check, record_rollout_decision};

use crate::{
    Caller, Engine, Problem, ProblemCode, labels,
    ports::{Call, LedgerError},
};

impl Engine {
    /// Refuses an action that the allowlist does not hold, or a recipient that mail may not go to.
    /// Pointers start at the action.
    pub(crate) fn check_permission(&self, action: &ActionId, call: &dyn Call) -> Result<(), Problem> {
        let refusal = self.permission_problem(action, call);
        record_permission_check(if refusal.is_some() { Decision::Deny } else { Decision::Allow });
        refusal.map_or(Ok(()), Err)
    }

    fn permission_problem(&self, action: &ActionId, call: &dyn Call) -> Option<Problem> {
        if !self.settings.allowlist.can_execute(action) {
            let detail = format!("{action} is not in ALLOW_ACTIONS_DEFAULT");
            let errors = vec![Violation::new("/action", detail.clone())];
            return Some(Problem::new(ProblemCode::ActionNotAllowed, detail).with_errors(errors));
        }
        let errors: Vec<Violation> = call
            .addresses()
            .into_iter()
            .filter(|(_, address)| !self.settings.recipient_domains.allow(address))
            .map(|(pointer, address)| {
                let detail = format!("{} is not among ALLOW_RECIPIENT_DOMAINS", address.domain());
                Violation::new(format!("/params{pointer}"), detail)
            })
            .collect();
        (!errors.is_empty()).then(|| {
            Problem::new(ProblemCode::RecipientNotAllowed, "mail may not go to every one of these recipients")
                .with_errors(errors)
        })
    }

    /// Whether the rollout gate lets an actor use a provider, as far as the ledger knows.
    pub(crate) async fn rollout_allows(
        &self,
        provider: Provider,
        workspace: &WorkspaceId,
        actor: &ActorId,
    ) -> Result<bool, LedgerError> {
        let percent = match self.cached_percent(provider).await {
            Ok(percent) => percent,
            Err(_) => self.ledger_percent(provider).await?,
        };
        Ok(decide(provider, workspace, actor, percent))
    }

    /// The same before a send: no answer from any store that the gate asks is a wait, never a yes.
    pub(crate) async fn rollout_allows_now(
        &self,
        provider: Provider,
        workspace: &WorkspaceId,
        actor: &ActorId,
    ) -> Result<bool, NoAnswer> {
        Ok(decide(provider, workspace, actor, self.cached_percent(provider).await?))
    }

    async fn cached_percent(&self, provider: Provider) -> Result<u8, NoAnswer> {
        let now = self.clock.now();
        if let Some(percent) = self.rollouts.recall(provider, now) {
            return Ok(percent);
        }
        let kept = self.cache.rollout_percent(provider).await.map_err(|_| NoAnswer)?;
        let percent = if let Some(percent) = kept {
            percent
        } else {
            let percent = self.ledger_percent(provider).await.map_err(|_| NoAnswer)?;
            self.cache.put_rollout_percent(provider, percent).await.map_err(|_| NoAnswer)?;
            percent
        };
        self.rollouts.remember(provider, percent, now);
        Ok(percent)
    }

    async fn ledger_percent(&self, provider: Provider) -> Result<u8, LedgerError> {
        let percent = self.ledger.rollout_percent(provider).await?;
        Ok(percent.unwrap_or_else(|| self.settings.rollout_percent(provider)))
    }
}

/// A store that the rollout gate asks did not answer.
pub(crate) struct NoAnswer;

fn decide(provider: Provider, workspace: &WorkspaceId, actor: &ActorId, percent: u8) -> bool {
    let allowed = in_rollout(workspace, actor, percent);
    record_rollout_decision(labels::provider(provider), if allowed { Decision::Allow } else { Decision::Deny });
    allowed
}

/// The rollout gate's percents as this process read them last.
#[derive(Debug)]
pub struct Rollouts {
    good_for: SignedDuration,
    read: Mutex<BTreeMap<Provider, (Timestamp, u8)>>,
}

impl Rollouts {
    /// A memory in which each percent is good for this long.
    pub const fn good_for(good_for: SignedDuration) -> Self {
        Self { good_for, read: Mutex::new(BTreeMap::new()) }
    }

    fn recall(&self, provider: Provider, now: Timestamp) -> Option<u8> {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, percent) = known.get(&provider)?;
        (now.duration_since(*read_at).abs() < self.good_for).then_some(*percent)
    }

    fn remember(&self, provider: Provider, percent: u8, now: Timestamp) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(provider, (now, percent));
    }
}

impl Caller {
    /// The workspace that a request is for: the credential's, and no other.
    pub fn workspace_of(&self, asked: Option<&str>) -> Result<&WorkspaceId, Problem> {
        match asked {
            Some(asked) if asked != self.workspace.as_str() => {
                let detail = "workspace_id is not the credential's; leave it out";
                Err(Problem::new(ProblemCode::WorkspaceMismatch, detail)
                    .with_errors(vec![Violation::new("/workspace_id", detail)]))
            }
            _ => Ok(&self.workspace),
        }
    }

    /// The actor that a request acts for; none when neither it nor the credential names one.
    pub fn actor_of(&self, asked: Option<ActorId>) -> Result<Option<ActorId>, Problem> {
        match (&self.bound_actor, asked) {
            (Some(bound), Some(asked)) if *bound != asked => {
                let detail = "the credential acts for another actor";
                Err(Problem::new(ProblemCode::ActorMismatch, detail)
                    .with_errors(vec![Violation::new("/actor_id", detail)]))
            }
            (Some(bound), _) => Ok(Some(bound.clone())),
            (None, asked) => Ok(asked),
        }
    }
}
