//! Shows one action as it would be carried out, and does nothing.

use std::sync::Arc;

use domain::{Address, Warning, WarningCode, sha256_hex};
use serde_json::Value;

use crate::{
    Caller, Problem, ProblemCode,
    accounts::{Accounts, Connection},
    catalogue::Catalogue,
    gate::Gate,
    ports::{Call, Clock, Ids, RenderContext, RenderError, Rendered},
};

/// An action, rendered.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The very text that would go over the wire, but for its date and ids.
    pub rendered: Rendered,
    /// The SHA-256 of the text without Date and Message-ID and with a fixed boundary: the same as
    /// that of the job's result.
    pub sha256: String,
    /// The sending address, where it is known.
    pub from: Option<Address>,
    /// What a person should know. Pointers start at the action.
    pub warnings: Vec<Warning>,
}

/// Shows actions as they would go out.
pub struct Previewer {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Previewer {
    /// Renders one action by the code that sends it. Pointers start at the action.
    pub async fn preview(
        &self,
        caller: &Caller,
        provider: Option<&str>,
        action: &str,
        params: &Value,
    ) -> Result<Preview, Problem> {
        let (spec, call) = self.catalogue.parse(provider, action, params)?;
        let connection = self.accounts.known(&caller.workspace, spec.provider).await?;
        let from = connection.address().cloned();
        let (date, id) = (Some(self.clock.now()), Some(self.ids.uuid().to_string()));
        let rendered = call.render(&RenderContext { from: from.clone(), date, id })?;
        let mut warnings: Vec<Warning> = call.warnings().into_iter().map(|warning| warning.under("/params")).collect();
        let name = self.catalogue.provider(spec.provider).name;
        let mut warn = |code, field: &str, text: String| {
            warnings.push(Warning { code, field: Some(field.to_owned()), text });
        };
        if !self.gate.permissions(caller).await?.allow(&spec.action_id()) {
            warn(WarningCode::NotAllowed, "/action", format!("{} is not allowed here and would be refused", spec.id));
        }
        match connection {
            Connection::None => warn(WarningCode::NotConnected, "/provider", format!("{name} is not connected")),
            Connection::NeedsReauth(_) => {
                let text = format!("{name} wants the account's owner to consent again");
                warn(WarningCode::NeedsReauth, "/provider", text);
            }
            Connection::Sandbox(_) | Connection::Live(_) => {}
        }
        Ok(Preview { sha256: content_sha256(&*call, from.as_ref())?, rendered, from, warnings })
    }
}

/// What two renderings of one call from one address have in common.
pub(crate) fn content_sha256(call: &dyn Call, from: Option<&Address>) -> Result<String, RenderError> {
    let fixed = call.render(&RenderContext { from: from.cloned(), date: None, id: None })?;
    Ok(sha256_hex(fixed.body.as_bytes()))
}

impl From<RenderError> for Problem {
    fn from(error: RenderError) -> Self {
        Self::new(ProblemCode::InvalidParams, error.to_string())
            .with_errors(vec![domain::Violation::new("/params", error.to_string())])
    }
}
