//! `gmail.send`: a mail from the connected Gmail account.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Address, Evidence, Mail, Provider, Violation};
use engine::ports::{About, Access, Action, Call, OAuthScopes, RenderError, Rendered, SendError, Sent, Stamp};
use serde_json::Value;

use super::{Apis, mail_addresses, mail_schema, map_mail_addresses};
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
    };
    Arc::new(GmailSend { about, api: apis.gmail.clone() })
}

struct GmailSend {
    about: About,
    api: GmailApi,
}

impl Action for GmailSend {
    fn about(&self) -> &About {
        &self.about
    }

    fn params_schema(&self) -> Value {
        mail_schema()
    }

    fn parse(&self, params: &Value) -> Result<Box<dyn Call>, Vec<Violation>> {
        Ok(Box::new(GmailCall { mail: Mail::parse(params)?, api: self.api.clone() }))
    }
}

struct GmailCall {
    mail: Mail,
    api: GmailApi,
}

#[async_trait]
impl Call for GmailCall {
    fn params(&self) -> Value {
        self.mail.to_params()
    }

    fn addresses(&self) -> Vec<(String, &Address)> {
        mail_addresses(&self.mail)
    }

    fn map_addresses(&self, change: &mut dyn FnMut(Address) -> Address) -> Box<dyn Call> {
        Box::new(Self { mail: map_mail_addresses(&self.mail, change), api: self.api.clone() })
    }

    fn render(&self, stamp: &Stamp) -> Result<Rendered, RenderError> {
        let body = mime::render(&self.mail, stamp)?;
        Ok(Rendered { content_type: "message/rfc822", body, warnings: Vec::new() })
    }

    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, SendError> {
        self.api.create_draft(&rendered.body, access).await
    }

    async fn send(&self, rendered: &Rendered, access: &Access, draft: Option<&Evidence>) -> Result<Sent, SendError> {
        match draft {
            Some(draft) => self.api.send_draft(draft, access).await,
            None => self.api.send_message(&rendered.body, access).await,
        }
    }
}
