//! `outlook.send`: a mail from the connected Outlook account, by Microsoft Graph.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Address, Evidence, Mail, Provider, Violation};
use engine::ports::{About, Access, Action, Call, OAuthScopes, RenderError, Rendered, SendError, Sent, Stamp};
use serde_json::Value;

use super::{Apis, mail_addresses, mail_schema, map_mail_addresses};
use crate::{graph_message, microsoft::GraphApi};

pub fn action(apis: &Apis) -> Arc<dyn Action> {
    let about = About {
        id: "outlook.send",
        provider: Provider::Microsoft,
        description: "Sends an email from the connected Outlook account.",
        scopes: OAuthScopes { send: &["Mail.Send"], draft: &["Mail.ReadWrite", "Mail.Send"] },
    };
    Arc::new(OutlookSend { about, api: apis.graph.clone() })
}

struct OutlookSend {
    about: About,
    api: GraphApi,
}

impl Action for OutlookSend {
    fn about(&self) -> &About {
        &self.about
    }

    fn params_schema(&self) -> Value {
        mail_schema()
    }

    fn parse(&self, params: &Value) -> Result<Box<dyn Call>, Vec<Violation>> {
        Ok(Box::new(OutlookCall { mail: Mail::parse(params)?, api: self.api.clone() }))
    }
}

struct OutlookCall {
    mail: Mail,
    api: GraphApi,
}

#[async_trait]
impl Call for OutlookCall {
    fn params(&self) -> Value {
        self.mail.to_params()
    }

    fn addresses(&self) -> Vec<(String, &Address)> {
        mail_addresses(&self.mail)
    }

    fn map_addresses(&self, change: &mut dyn FnMut(Address) -> Address) -> Box<dyn Call> {
        Box::new(Self { mail: map_mail_addresses(&self.mail, change), api: self.api.clone() })
    }

    /// Sender, date and ids are Graph's to set, so the stamp changes nothing.
    fn render(&self, _: &Stamp) -> Result<Rendered, RenderError> {
        let body = graph_message::render(&self.mail)?;
        let warnings = match self.mail.html {
            Some(_) => vec!["Outlook sends one body: the HTML goes, the plain text is left out.".to_owned()],
            None => Vec::new(),
        };
        Ok(Rendered { content_type: "application/json", body, warnings })
    }

    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, SendError> {
        self.api.create_draft(&rendered.body, access).await
    }

    async fn send(&self, rendered: &Rendered, access: &Access, draft: Option<&Evidence>) -> Result<Sent, SendError> {
        match draft {
            Some(draft) => self.api.send_draft(draft, access).await,
            None => self.api.send_mail(&rendered.body, access).await,
        }
    }
}
