//! Whether an action may run: one place, asked when planning, when accepting and when working.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use domain::{ActionId, ActorHash, ActorId, Allowlist, Job, Provider, Rule, Violation, WorkspaceId, in_rollout};
use jiff::{SignedDuration, Timestamp};
use telemetry::record::{Decision, record_permission_check, record_rollout_decision};

use crate::{
    Caller, Engine, Problem, ProblemCode, labels,
    ports::{Call, LedgerError},
};

/// What a request or a job may run: what the deployment allows, narrowed by its workspace, narrowed by its key.
#[derive(Debug, Clone)]
pub struct Permissions {
    deployment: Allowlist,
    workspace: Option<Allowlist>,
    key: Option<Allowlist>,
    /// There is a key, and it still is one; none where there are no keys.
    key_holds: Option<bool>,
}

impl Permissions {
    /// Whether an action may run: the one place that answers it. Gives the rules that said yes, or the one
    /// that said no.
    pub fn can_execute(&self, action: &ActionId) -> Result<Vec<Rule>, Rule> {
        if !self.deployment.allows(action) {
            return Err(Rule::Deployment);
        }
        if self.workspace.as_ref().is_some_and(|allow| !allow.allows(action)) {
            return Err(Rule::Workspace);
        }
        if self.key_holds == Some(false) || self.key.as_ref().is_some_and(|allow| !allow.allows(action)) {
            return Err(Rule::Key);
        }
        let narrowed = self.workspace.is_some().then_some(Rule::Workspace);
        let key = self.key_holds.is_some().then_some(Rule::Key);
        Ok([Some(Rule::Deployment), narrowed, key].into_iter().flatten().collect())
    }

    /// Whether it may; for what is only shown.
    pub fn allow(&self, action: &ActionId) -> bool {
        self.can_execute(action).is_ok()
    }
}

impl Engine {
    /// What a caller may run: the workspace's settings as they were within the last minute.
    pub(crate) async fn permissions(&self, caller: &Caller) -> Result<Permissions, LedgerError> {
        Ok(Permissions {
            deployment: self.settings.allowlist.clone(),
            workspace: self.workspace(&caller.workspace).await?.allow,
            key: caller.allow.clone(),
            key_holds: caller.key_id.is_some().then_some(true),
        })
    }

    /// What a workspace may run, whatever its keys may.
    pub(crate) async fn permissions_in(&self, workspace: &WorkspaceId) -> Result<Permissions, LedgerError> {
        Ok(Permissions {
            deployment: self.settings.allowlist.clone(),
            workspace: self.workspace(workspace).await?.allow,
            key: None,
            key_holds: None,
        })
    }

    /// What a job may run now, which may be less than when it was accepted: workspace and key are looked up again,
    /// and a key that was revoked meanwhile allows nothing, so that what somebody queued with a stolen key does
    /// not go out after it was ended. Both are as they were within the last minute.
    pub(crate) async fn permissions_of(&self, job: &Job) -> Result<Permissions, LedgerError> {
        let key = match &job.key_id {
            None => None,
            Some(id) => Some(self.key_record(id).await?.filter(|key| key.revoked_at.is_none())),
        };
        Ok(Permissions {
            deployment: self.settings.allowlist.clone(),
            workspace: self.workspace(&job.workspace_id).await?.allow,
            key_holds: key.as_ref().map(Option::is_some),
            key: key.flatten().and_then(|key| key.allow),
        })
    }

    /// Refuses an action that may not run, or a recipient that mail may not go to. Pointers start at the
    /// action. Gives the rules that said yes.
    pub(crate) fn check_permission(
        &self,
        permissions: &Permissions,
        action: &ActionId,
        call: &dyn Call,
    ) -> Result<Vec<Rule>, Problem> {
        let checked = self.ask_rules(permissions, action, call);
        record_permission_check(if checked.is_err() { Decision::Deny } else { Decision::Allow });
        checked
    }

    fn ask_rules(&self, permissions: &Permissions, action: &ActionId, call: &dyn Call) -> Result<Vec<Rule>, Problem> {
        let mut rules = permissions.can_execute(action).map_err(|rule| {
            let detail = match rule {
                Rule::Workspace => format!("{action} is not among the actions of this workspace"),
                Rule::Key => format!("{action} is not among the actions of this API key, or the key was revoked"),
                _ => format!("{action} is not in ALLOW_ACTIONS_DEFAULT"),
            };
            let errors = vec![Violation::new("/action", detail.clone())];
            Problem::new(ProblemCode::ActionNotAllowed, detail).with_errors(errors).by_rule(rule)
        })?;
        let errors: Vec<Violation> = call
            .addresses()
            .into_iter()
            .filter(|(_, address)| !self.settings.recipient_domains.allow(address))
            .map(|(pointer, address)| {
                let detail = format!("{} is not among ALLOW_RECIPIENT_DOMAINS", address.domain());
                Violation::new(format!("/params{pointer}"), detail)
            })
            .collect();
        if !errors.is_empty() {
            let detail = "mail may not go to every one of these recipients";
            let problem = Problem::new(ProblemCode::RecipientNotAllowed, detail).with_errors(errors);
            return Err(problem.by_rule(Rule::Recipients));
        }
        if self.settings.recipient_domains != domain::RecipientDomains::Any {
            rules.push(Rule::Recipients);
        }
        Ok(rules)
    }

    /// Whether the rollout gate lets an actor use a provider, as far as the ledger knows, and by which percent.
    pub(crate) async fn rollout_allows(
        &self,
        provider: Provider,
        actor: &ActorHash,
    ) -> Result<(bool, u8), LedgerError> {
        let percent = match self.cached_percent(provider).await {
            Ok(percent) => percent,
            Err(_) => self.ledger_percent(provider).await?,
        };
        Ok((decide(provider, actor, percent), percent))
    }

    /// The same before a send: no answer from any store that the gate asks is a wait, never a yes.
    pub(crate) async fn rollout_allows_now(&self, provider: Provider, actor: &ActorHash) -> Result<bool, NoAnswer> {
        Ok(decide(provider, actor, self.cached_percent(provider).await?))
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

fn decide(provider: Provider, actor: &ActorHash, percent: u8) -> bool {
    let allowed = in_rollout(actor, percent);
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
                let errors = vec![Violation::new("/workspace_id", detail)];
                Err(Problem::new(ProblemCode::WorkspaceMismatch, detail).with_errors(errors).by_rule(Rule::Key))
            }
            _ => Ok(&self.workspace),
        }
    }

    /// The actor that a request acts for; none when neither it nor the credential names one.
    pub fn actor_of(&self, asked: Option<ActorId>) -> Result<Option<ActorHash>, Problem> {
        let asked = asked.map(|asked| ActorHash::of(&self.workspace, &asked));
        match (&self.bound_actor, asked) {
            (Some(bound), Some(asked)) if *bound != asked => {
                let detail = "the credential acts for another actor";
                let errors = vec![Violation::new("/actor_id", detail)];
                Err(Problem::new(ProblemCode::ActorMismatch, detail).with_errors(errors).by_rule(Rule::Key))
            }
            (Some(bound), _) => Ok(Some(bound.clone())),
            (None, asked) => Ok(asked),
        }
    }
}
