//! `gmail.send`: a mail from the connected Gmail account.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Effect, Evidence, Mail, Provider};
use engine::ports::{
    Access, Action, ActionSpec, Done, Example, Instructions, OAuthScopes, ProviderError, RenderContext, RenderError,
    Rendered,
};

use super::gmail::GmailApi;
use crate::{
    mime,
    providers::mail::{self, MailAction, MailTransport},
};

pub(super) fn action(api: GmailApi) -> Arc<dyn Action> {
    let spec = ActionSpec {
        id: "gmail.send",
        title: "Send a mail with Gmail",
        provider: Provider::Google,
        effect: Effect::Send,
        description: "Sends an email from the connected Gmail account.",
        scopes: OAuthScopes {
            required: &["https://www.googleapis.com/auth/gmail.send"],
            // Enough by itself: gmail.compose may create drafts and send.
            draft: &["https://www.googleapis.com/auth/gmail.compose"],
        },
        instructions: Instructions {
            intent: mail::INTENT,
            when: mail::WHEN,
            choose: "is the default",
            rules: mail::RULES,
            examples: &[
                Example {
                    request: "Write to mia@fabrikam.example and tom@fabrikam.example that lunch is at noon, bcc ned@fabrikam.example",
                    params: &[
                        r#"{"to":["mia@fabrikam.example","tom@fabrikam.example"],"cc":null,"bcc":["ned@fabrikam.example"],"reply_to":null,"subject":"Lunch at noon","text":"Hello, lunch is at noon.","html":null}"#,
                    ],
                    question: None,
                },
                mail::CONDITION_EXAMPLE,
            ],
        },
        wording: mail::WORDING,
    };
    Arc::new(MailAction::new(spec, api))
}

#[async_trait]
impl MailTransport for GmailApi {
    fn render(&self, mail: &Mail, context: &RenderContext) -> Result<Rendered, RenderError> {
        Ok(Rendered { content_type: "message/rfc822", body: mime::render(mail, context)? })
    }

    async fn create_draft(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, ProviderError> {
        Self::create_draft(self, &rendered.body, access).await
    }

    async fn send_draft(&self, draft: &Evidence, access: &Access) -> Result<Done, ProviderError> {
        Self::send_draft(self, draft, access).await
    }

    async fn send(&self, rendered: &Rendered, access: &Access) -> Result<Done, ProviderError> {
        self.send_message(&rendered.body, access).await
    }
}
