//! Shows one action as it would be carried out, and does nothing.

use domain::{Address, Because, JobId, PlanId, PlannedAction, SendAt, Warning, WarningCode, sha256_hex};
use serde::Serialize;

use crate::{
    Caller, Problem, ProblemCode,
    accounts::Connection,
    catalogue::{CatalogueView, RequestedAction},
    ports::{Call, RenderContext, RenderError, Rendered},
    warnings::Proposal,
};

/// The action as it would go out.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = PreviewResponse))]
pub struct Preview {
    /// `message/rfc822` or `application/json`.
    pub content_type: &'static str,
    /// The exact text, except for its date and ids.
    pub body: String,
    /// The SHA-256 of the text without Date and Message-ID and with a fixed boundary; the `content_sha256` of the
    /// completed job is the same.
    pub sha256: String,
    /// The account's address, if it is known.
    pub from: Option<String>,
    /// It would end after its draft: this key or its workspace is draft-only.
    pub draft_only: bool,
    /// Why a person would have to approve it first; empty if nobody has to.
    pub because: Vec<Because>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// When it would go out, if the action says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>, format = DateTime))]
    pub send_at: Option<SendAt>,
}

impl CatalogueView {
    /// Renders one action by the code that sends it. Pointers start at the action. `plan` is the plan that holds it.
    pub async fn preview(
        &self,
        caller: &Caller,
        asked: &RequestedAction,
        plan: Option<PlanId>,
    ) -> Result<Preview, Problem> {
        let (action, call) = self.catalogue.parse(asked.provider.as_deref(), &asked.action, &asked.params)?;
        let (spec, workspace) = (action.spec(), &caller.workspace);
        let (plan, words) = match plan {
            Some(plan) => self.plans.kept(caller, plan).await.map(|(plan, words)| (Some(plan), Some(words)))?,
            None => (None, None),
        };
        let is_asked = |planned: &&PlannedAction| Some(&planned.client_request_id) == asked.client_request_id.as_ref();
        let planned = plan.as_ref().and_then(|plan| plan.actions.iter().find(is_asked));
        let connection = self.accounts.known(&caller.workspace, spec.provider).await?;
        let from = connection.address().cloned();
        let (date, id) = (Some(self.clock.now()), Some(self.ids.uuid().to_string()));
        let rendered = call.render(&RenderContext { from: from.clone(), date, id })?;
        let job = asked.client_request_id.as_ref().map(|key| JobId::of(workspace, key));
        let bound_actor = caller.bound_actor.as_ref();
        let permissions = self.gate.permissions(caller).await?;
        let (words, draft_only) = (words.as_deref(), permissions.is_draft_only());
        let proposal = Proposal { workspace, bound_actor, action, call: &*call, words, job, draft_only };
        let warnings = self.lookout.warnings(proposal).await?;
        let mut warnings: Vec<Warning> = warnings.into_iter().map(|warning| warning.under("/params")).collect();
        let name = self.catalogue.provider(spec.provider).name;
        let mut warn = |code, field: &str, text: String| {
            warnings.push(Warning { code, field: Some(field.to_owned()), text });
        };
        let refused = self.gate.ask_rules(&permissions, spec, &*call).err();
        if refused.is_some_and(|problem| problem.code == ProblemCode::ActionNotAllowed) {
            warn(WarningCode::NotAllowed, "/action", format!("{} is not allowed here and would be refused", spec.id));
        }
        let provider = self.catalogue.provider(spec.provider);
        if let Some(problem) = spec.lacks_draft_scope(provider, &connection, draft_only) {
            warn(WarningCode::NeedsReauth, "/provider", problem.detail);
        }
        match connection {
            Connection::None => warn(WarningCode::NotConnected, "/provider", format!("{name} is not connected")),
            Connection::NeedsReauth(_) => {
                let text = format!("{name} requires the account's owner to consent again");
                warn(WarningCode::NeedsReauth, "/provider", text);
            }
            Connection::Sandbox(_) | Connection::Live(_) => {}
        }
        let sha256 = content_sha256(&*call, from.as_ref())?;
        let because = self.approval.because(caller, &planned.map(PlannedAction::sources).unwrap_or_default(), &*call);
        let from = from.as_ref().map(Address::addr_spec);
        let Rendered { content_type, body } = rendered;
        Ok(Preview { content_type, body, sha256, from, draft_only, because, warnings, send_at: asked.send_at })
    }
}

/// What two renderings of one call from one address have in common.
pub(crate) fn content_sha256(call: &dyn Call, from: Option<&Address>) -> Result<String, RenderError> {
    let fixed = call.render(&RenderContext { from: from.cloned(), date: None, id: None })?;
    Ok(sha256_hex(fixed.body.as_bytes()))
}

impl From<RenderError> for Problem {
    fn from(error: RenderError) -> Self {
        Self::at(ProblemCode::InvalidParams, "/params", error.to_string())
    }
}
