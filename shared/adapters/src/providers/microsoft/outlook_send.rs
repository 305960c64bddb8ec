//! `outlook.send`: a mail from the connected Outlook account, by Microsoft Graph.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Effect, Evidence, Mail, Provider, Warning, WarningCode};
use engine::ports::{
    Access, Action, ActionSpec, Done, Example, Instructions, OAuthScopes, ProviderError, RenderContext, RenderError,
    Rendered,
};

use super::{graph::GraphApi, message};
use crate::providers::mail::{self, MailAction, MailTransport};

pub(super) fn action(api: GraphApi) -> Arc<dyn Action> {
    let spec = ActionSpec {
        id: "outlook.send",
        title: "Send a mail with Outlook",
        provider: Provider::Microsoft,
        effect: Effect::Send,
        description: "Sends an email from the connected Outlook account.",
        scopes: OAuthScopes { required: &["Mail.Send"], draft: &["Mail.ReadWrite", "Mail.Send"] },
        instructions: Instructions {
            intent: mail::INTENT,
            when: mail::WHEN,
            choose: "only where the message says Outlook, Microsoft, Office or Hotmail",
            rules: mail::RULES,
            examples: &[
                Example {
                    request: "With Outlook, thank kim@fabrikam.example for the flowers, cc joy@fabrikam.example, and ask pat@fabrikam.example for the keys",
                    params: &[
                        r#"{"to":["kim@fabrikam.example"],"cc":["joy@fabrikam.example"],"bcc":null,"reply_to":null,"subject":"Thank you","text":"Hello Kim, thank you very much for the flowers.","html":null}"#,
                        r#"{"to":["pat@fabrikam.example"],"cc":null,"bcc":null,"reply_to":null,"subject":"The keys","text":"Hello Pat, may I have the keys?","html":null}"#,
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
impl MailTransport for GraphApi {
    fn warnings(&self, mail: &Mail) -> Vec<Warning> {
        let text = "Outlook sends one body: the HTML goes, the plain text is left out.";
        let warning =
            Warning { code: WarningCode::NotDelivered, field: Some("/text".to_owned()), text: text.to_owned() };
        mail.html.is_some().then_some(warning).into_iter().collect()
    }

    /// Graph sets sender, date and ids, so the context changes nothing.
    fn render(&self, mail: &Mail, _: &RenderContext) -> Result<Rendered, RenderError> {
        Ok(Rendered { content_type: "application/json", body: message::render(mail)? })
    }

    async fn create_draft(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, ProviderError> {
        Self::create_draft(self, &rendered.body, access).await
    }

    async fn send_draft(&self, draft: &Evidence, access: &Access) -> Result<Done, ProviderError> {
        Self::send_draft(self, draft, access).await
    }

    async fn send(&self, rendered: &Rendered, access: &Access) -> Result<Done, ProviderError> {
        self.send_mail(&rendered.body, access).await
    }
}
