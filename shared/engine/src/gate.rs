//! The gate: whether an action may run. One place, asked when planning, when accepting and when working.

use std::sync::Arc;

use domain::{ActionId, Allowlist, Job, RecipientDomains, Rule, Violation, WorkspaceId};
use telemetry::record::{Decision, record_permission_check};

use crate::{
    Caller, Problem, ProblemCode,
    keys::KeyStore,
    ports::{Call, LedgerError},
    settings::OperatorSettings,
};

/// What a request or a job may run: what the deployment allows, narrowed by its workspace, narrowed by its key.
#[derive(Debug, Clone)]
pub struct Permissions {
    deployment: Allowlist,
    workspace: Option<Allowlist>,
    key: Option<Allowlist>,
    /// Whether the key is still valid; none without keys.
    key_holds: Option<bool>,
}

impl Permissions {
    /// Whether an action may run: the one place that answers it. Gives the rules that said yes, or the rule
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

    /// Whether an action may run; for what is only shown.
    pub fn allow(&self, action: &ActionId) -> bool {
        self.can_execute(action).is_ok()
    }
}

/// The allowlists, recipient domains and rollouts of the deployment.
pub(crate) struct Gate {
    pub(crate) allowlist: Allowlist,
    pub(crate) recipient_domains: RecipientDomains,
    pub(crate) settings: Arc<OperatorSettings>,
    pub(crate) keys: Arc<KeyStore>,
}

impl Gate {
    /// What a caller may run: the workspace's settings as they were within the last minute.
    pub(crate) async fn permissions(&self, caller: &Caller) -> Result<Permissions, LedgerError> {
        Ok(Permissions {
            key: caller.allow.clone(),
            key_holds: caller.key_id.is_some().then_some(true),
            ..self.permissions_in(&caller.workspace).await?
        })
    }

    /// What a workspace may run, whatever its keys may.
    pub(crate) async fn permissions_in(&self, workspace: &WorkspaceId) -> Result<Permissions, LedgerError> {
        let workspace = self.settings.recent_workspace(workspace).await?.allow;
        Ok(Permissions { deployment: self.allowlist.clone(), workspace, key: None, key_holds: None })
    }

    /// What a job may run now, which may be less than when it was accepted. Workspace and key are looked up again,
    /// as they were within the last minute; a revoked key allows nothing, so that a job that was queued with a
    /// stolen key does not run after the key was revoked.
    pub(crate) async fn permissions_of(&self, job: &Job) -> Result<Permissions, LedgerError> {
        let key = match &job.key_id {
            None => None,
            Some(id) => Some(self.keys.record(id).await?.filter(|key| key.revoked_at.is_none())),
        };
        Ok(Permissions {
            key_holds: key.as_ref().map(Option::is_some),
            key: key.flatten().and_then(|key| key.allow),
            ..self.permissions_in(&job.workspace_id).await?
        })
    }

    /// Refuses an action that may not run, or a recipient of a domain that is not allowed. Pointers start at the
    /// action. Gives the rules that said yes.
    pub(crate) fn check(
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
            .filter(|param| !self.recipient_domains.allow(param.address))
            .map(|param| {
                let detail = format!("{} is not among ALLOW_RECIPIENT_DOMAINS", param.address.domain());
                Violation::new(format!("/params{}", param.pointer), detail)
            })
            .collect();
        if !errors.is_empty() {
            let detail = "not every one of these recipients is allowed";
            let problem = Problem::new(ProblemCode::RecipientNotAllowed, detail).with_errors(errors);
            return Err(problem.by_rule(Rule::Recipients));
        }
        if self.recipient_domains != RecipientDomains::Any {
            rules.push(Rule::Recipients);
        }
        Ok(rules)
    }
}
