//! The gate: whether an action may run. One place, asked when planning, when accepting and when working.

use std::sync::Arc;

use domain::{ActionId, Allowlist, Job, RecipientDomains, Rule, Violation, WorkspaceId};
use telemetry::{labels::Decision, names::PERMISSION_CHECKS};

use crate::{
    Caller, Problem, ProblemCode,
    keys::KeyStore,
    ports::{ActionSpec, Call, LedgerError},
    settings::OperatorSettings,
};

/// What a request or a job may run: what the deployment allows, narrowed by its workspace, narrowed by its key.
#[derive(Debug, Clone)]
pub struct Permissions {
    /// Each rule that is asked, in this order, with its allowlist; none allows everything.
    rules: Vec<(Rule, Option<Allowlist>)>,
    /// The rule by which sends end after their drafts, if there is one.
    draft_only: Option<Rule>,
}

impl Permissions {
    /// Whether an action may run: the one place that answers it. Gives the rules that said yes, or the rule
    /// that said no.
    pub fn can_execute(&self, action: &ActionId) -> Result<Vec<Rule>, Rule> {
        let ask = |(rule, allow): &(Rule, Option<Allowlist>)| match allow {
            Some(allow) if !allow.allows(action) => Err(*rule),
            _ => Ok(*rule),
        };
        self.rules.iter().map(ask).collect()
    }

    /// The rule by which sends end after their drafts, if there is one.
    pub fn draft_only(&self) -> Option<Rule> {
        self.draft_only
    }

    /// Whether sends end after their drafts.
    pub fn is_draft_only(&self) -> bool {
        self.draft_only.is_some()
    }

    /// The same, where sends end after their drafts also if a plan said so.
    pub(crate) fn and_draft_only(mut self, planned: bool) -> Self {
        self.draft_only = self.draft_only.or(planned.then_some(Rule::Key));
        self
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
    /// What a caller may run.
    pub(crate) async fn permissions(&self, caller: &Caller) -> Result<Permissions, LedgerError> {
        let mut permissions = self.permissions_in(&caller.workspace).await?;
        permissions.rules.extend(caller.key_id.as_ref().map(|_| (Rule::Key, caller.allow.clone())));
        Ok(permissions.and_draft_only(caller.draft_only))
    }

    /// What a workspace may run, whatever its keys may.
    pub(crate) async fn permissions_in(&self, workspace: &WorkspaceId) -> Result<Permissions, LedgerError> {
        let settings = self.settings.recent_workspace(workspace).await?;
        let mut rules = vec![(Rule::Deployment, Some(self.allowlist.clone()))];
        rules.extend(settings.allow.map(|allow| (Rule::Workspace, Some(allow))));
        Ok(Permissions { rules, draft_only: settings.draft_only.then_some(Rule::Workspace) })
    }

    /// What a job may run now, which may be less than when it was accepted. The key is read from the ledger, not from
    /// memory: a revoked key allows nothing, so that a job that was queued with a stolen key does not run after the key
    /// was revoked; so it is with the key that approved it. A key that has expired since was good when it asked.
    pub(crate) async fn permissions_of(&self, job: &Job) -> Result<Permissions, LedgerError> {
        let mut permissions = self.permissions_in(&job.workspace_id).await?.and_draft_only(job.draft_only);
        let approver = job.decision.as_ref().and_then(|decision| decision.key_id.as_ref());
        for id in job.key_id.iter().chain(approver.filter(|id| Some(*id) != job.key_id.as_ref())) {
            let key = self.keys.keys.key(id).await?.filter(|key| key.revoked_at.is_none());
            permissions = permissions.and_draft_only(key.as_ref().is_some_and(|key| key.draft_only));
            permissions.rules.push((Rule::Key, key.map_or_else(|| Some(Allowlist::default()), |key| key.allow)));
        }
        Ok(permissions)
    }

    /// Refuses an action that may not run, or a recipient of a domain that is not allowed. Where sends end after their
    /// drafts, it refuses whatever else reaches people. Pointers start at the action. Gives the rules that said yes.
    pub(crate) fn check(
        &self,
        permissions: &Permissions,
        spec: &ActionSpec,
        call: &dyn Call,
    ) -> Result<Vec<Rule>, Problem> {
        let checked = self.ask_rules(permissions, spec, call);
        let decision = if checked.is_err() { Decision::Deny } else { Decision::Allow };
        PERMISSION_CHECKS.count(&[decision.into()]);
        checked
    }

    /// The same without being counted, for what is only shown.
    pub(crate) fn ask_rules(
        &self,
        permissions: &Permissions,
        spec: &ActionSpec,
        call: &dyn Call,
    ) -> Result<Vec<Rule>, Problem> {
        let action = &spec.action_id();
        let mut rules = permissions.can_execute(action).map_err(|rule| {
            let detail = match rule {
                Rule::Workspace => format!("{action} is not among the actions of this workspace"),
                Rule::Key => format!("{action} is not among the actions of this API key, or the key was revoked"),
                _ => format!("{action} is not in ALLOW_ACTIONS_DEFAULT"),
            };
            Problem::at(ProblemCode::ActionNotAllowed, "/action", detail).by_rule(rule)
        })?;
        let addresses = call.addresses();
        if let Some(rule) = permissions.draft_only
            && !spec.may_be_draft_only(!call.recipients().is_empty())
        {
            let detail = format!("{action} reaches people and leaves no draft, and only drafts are allowed here");
            return Err(Problem::at(ProblemCode::ActionNotAllowed, "/action", detail).by_rule(rule));
        }
        let errors: Vec<Violation> = addresses
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
