//! Shows one action as it would go out, and sends nothing.

use domain::{Address, sha256_hex};
use serde_json::Value;

use crate::{
    Caller, Engine, Problem, ProblemCode,
    catalogue::Mode,
    ports::{Call, RenderError, Rendered, Stamp},
};

/// An action, rendered.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The very text that would go over the wire, but for its date and ids.
    pub rendered: Rendered,
    /// The SHA-256 of the text without Date and Message-ID and with a fixed boundary: the same as
    /// that of the job's result.
    pub sha256: String,
    /// Who would send it, where that is known.
    pub from: Option<Address>,
}

impl Engine {
    /// Renders one action by the code that sends it. Pointers start at the action.
    pub async fn preview(
        &self,
        caller: &Caller,
        provider: Option<&str>,
        action: &str,
        params: &Value,
    ) -> Result<Preview, Problem> {
        let (about, call) = self.catalogue.parse(provider, action, params)?;
        let (mode, from) = self.mode(caller, about.provider).await?;
        let stamp = Stamp { from: from.clone(), date: Some(self.clock.now()), id: Some(self.ids.uuid().to_string()) };
        let mut rendered = call.render(&stamp)?;
        if !self.permissions(caller).await?.allow(&about.action_id()) {
            rendered.warnings.push(format!("{} is not allowed here and would be refused", about.id));
        }
        match mode {
            Mode::NotConnected => rendered.warnings.push(format!("{} is not connected", about.provider)),
            Mode::NeedsReauth => {
                rendered.warnings.push(format!("{} wants the account's owner to consent again", about.provider));
            }
            Mode::Sandbox | Mode::Live => {}
        }
        Ok(Preview { sha256: content_sha256(&*call, from.as_ref())?, rendered, from })
    }
}

/// What two renderings of one mail from one address have in common.
pub(crate) fn content_sha256(call: &dyn Call, from: Option<&Address>) -> Result<String, RenderError> {
    let fixed = call.render(&Stamp { from: from.cloned(), date: None, id: None })?;
    Ok(sha256_hex(fixed.body.as_bytes()))
}

impl From<RenderError> for Problem {
    fn from(error: RenderError) -> Self {
        Self::new(ProblemCode::InvalidParams, error.to_string())
            .with_errors(vec![domain::Violation::new("/params", error.to_string())])
    }
}
