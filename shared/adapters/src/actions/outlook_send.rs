//! `outlook.send`: a mail from the connected Outlook account, by Microsoft Graph.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Evidence, Mail, Provider};
use engine::ports::{
    About, Access, Action, Example, Guide, OAuthScopes, RenderError, Rendered, SendError, Sent, Stamp,
};

use super::{Apis, Carrier, MAIL_RULES, MailAction};
use crate::{graph_message, microsoft::GraphApi};

pub fn action(apis: &Apis) -> Arc<dyn Action> {
    let about = About {
        id: "outlook.send",
        provider: Provider::Microsoft,
        description: "Sends an email from the connected Outlook account.",
        scopes: OAuthScopes { send: &["Mail.Send"], draft: &["Mail.ReadWrite", "Mail.Send"] },
        guide: Guide {
            choose: "only where the message says Outlook, Microsoft, Office or Hotmail",
            rules: MAIL_RULES,
            examples: &[Example {
                request: "With Outlook, thank kim@fabrikam.example for the flowers, cc joy@fabrikam.example, and ask pat@fabrikam.example for the keys",
                intent: "send_email",
                params: &[
                    r#"{"to":["kim@fabrikam.example"],"cc":["joy@fabrikam.example"],"bcc":null,"reply_to":null,"subject":"Thank you","text":"Hello Kim, thank you very much for the flowers.","html":null}"#,
                    r#"{"to":["pat@fabrikam.example"],"cc":null,"bcc":null,"reply_to":null,"subject":"The keys","text":"Hello Pat, may I have the keys?","html":null}"#,
                ],
            }],
        },
    };
    Arc::new(MailAction { about, carrier: apis.graph.clone() })
}

#[async_trait]
impl Carrier for GraphApi {
    /// Sender, date and ids are Graph's to set, so the stamp changes nothing.
    fn render(&self, mail: &Mail, _: &Stamp) -> Result<Rendered, RenderError> {
        let body = graph_message::render(mail)?;
        let warnings = match mail.html {
            Some(_) => vec!["Outlook sends one body: the HTML goes, the plain text is left out.".to_owned()],
            None => Vec::new(),
        };
        Ok(Rendered { content_type: "application/json", body, warnings })
    }

    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, SendError> {
        self.create_draft(&rendered.body, access).await
    }

    async fn send(&self, rendered: &Rendered, access: &Access, draft: Option<&Evidence>) -> Result<Sent, SendError> {
        match draft {
            Some(draft) => self.send_draft(draft, access).await,
            None => self.send_mail(&rendered.body, access).await,
        }
    }
}
