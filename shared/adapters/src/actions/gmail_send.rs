//! `gmail.send`: a mail from the connected Gmail account.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Evidence, Mail, Provider};
use engine::ports::{
    About, Access, Action, Example, Guide, OAuthScopes, RenderError, Rendered, SendError, Sent, Stamp,
};

use super::{Apis, Carrier, MAIL_RULES, MailAction};
use crate::{google::GmailApi, mime};

pub fn action(apis: &Apis) -> Arc<dyn Action> {
    let about = About {
        id: "gmail.send",
        provider: Provider::Google,
        description: "Sends an email from the connected Gmail account.",
        scopes: OAuthScopes {
            send: &["https://www.googleapis.com/auth/gmail.send"],
            // Enough by itself: compose may create drafts and send, so an account with it alone sends too.
            draft: &["https://www.googleapis.com/auth/gmail.compose"],
        },
        guide: Guide {
            choose: "is the default",
            rules: MAIL_RULES,
            examples: &[Example {
                request: "Write to mia@fabrikam.example and tom@fabrikam.example that lunch is at noon, bcc ned@fabrikam.example",
                intent: "send_email",
                params: &[
                    r#"{"to":["mia@fabrikam.example","tom@fabrikam.example"],"cc":null,"bcc":["ned@fabrikam.example"],"reply_to":null,"subject":"Lunch at noon","text":"Hello, lunch is at noon.","html":null}"#,
                ],
            }],
        },
    };
    Arc::new(MailAction { about, carrier: apis.gmail.clone() })
}

#[async_trait]
impl Carrier for GmailApi {
    fn render(&self, mail: &Mail, stamp: &Stamp) -> Result<Rendered, RenderError> {
        let body = mime::render(mail, stamp)?;
        Ok(Rendered { content_type: "message/rfc822", body, warnings: Vec::new() })
    }

    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, SendError> {
        self.create_draft(&rendered.body, access).await
    }

    async fn send(&self, rendered: &Rendered, access: &Access, draft: Option<&Evidence>) -> Result<Sent, SendError> {
        match draft {
            Some(draft) => self.send_draft(draft, access).await,
            None => self.send_message(&rendered.body, access).await,
        }
    }
}
