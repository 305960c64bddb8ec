//! The catalogue: one file an action, in `src/actions/`.
//!
//! To add an action, add a file there with `pub fn action(apis: &Apis) -> Arc<dyn Action>`: its
//! params and their schema, its scopes, how it is rendered, prepared and sent. One whose params are
//! a mail is a [`MailAction`] with a [`Carrier`] of its own. The build script finds the file;
//! catalogue, planner schema, permission check, preview and OpenAPI follow. CONTRIBUTING.md has one
//! such file whole.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Address, Evidence, Mail, MailParams, Violation};
use engine::ports::{About, Access, Action, Call, RenderError, Rendered, SendError, Sent, Stamp};
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::{google::GmailApi, microsoft::GraphApi};

/// The providers' APIs, for the actions to use.
#[derive(Debug, Clone)]
pub struct Apis {
    /// Gmail.
    pub gmail: GmailApi,
    /// Outlook's mail.
    pub graph: GraphApi,
}

include!(concat!(env!("OUT_DIR"), "/actions.rs"));

/// How a provider carries a mail: what a mail action's file says.
#[async_trait]
trait Carrier: Clone + Send + Sync + 'static {
    /// As [`Call::render`].
    fn render(&self, mail: &Mail, stamp: &Stamp) -> Result<Rendered, RenderError>;

    /// As [`Call::prepare`].
    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, SendError>;

    /// As [`Call::send`].
    async fn send(&self, rendered: &Rendered, access: &Access, draft: Option<&Evidence>) -> Result<Sent, SendError>;
}

/// How a model fills in a mail.
const MAIL_RULES: &[&str] = &[
    "One entry in \"actions\" for each mail. People who get the same mail share one entry: all of them in \"to\". \
     \"cc\" where it says cc or copy, \"bcc\" where it says bcc or blind copy, \"reply_to\" where replies should go \
     elsewhere; else null.",
    "\"text\" is what the person would write: one or two sentences in the language of the message, no placeholders, \
     no signature. \"html\" is null unless HTML is asked for.",
];

/// An action whose params are a mail.
struct MailAction<C> {
    about: About,
    carrier: C,
}

/// One mail, ready to be carried.
struct MailCall<C> {
    mail: Mail,
    carrier: C,
}

impl<C: Carrier> Action for MailAction<C> {
    fn about(&self) -> &About {
        &self.about
    }

    fn params_schema(&self) -> Value {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
        settings.into_generator().into_root_schema_for::<MailParams>().to_value()
    }

    fn parse(&self, params: &Value) -> Result<Box<dyn Call>, Vec<Violation>> {
        Ok(Box::new(MailCall { mail: Mail::parse(params)?, carrier: self.carrier.clone() }))
    }
}

#[async_trait]
impl<C: Carrier> Call for MailCall<C> {
    fn params(&self) -> Value {
        self.mail.to_params()
    }

    fn addresses(&self) -> Vec<(String, &Address)> {
        let mut addresses = Vec::new();
        for (field, list) in self.mail.address_fields() {
            match list {
                [one] => addresses.push((format!("/{field}"), one)),
                many => addresses.extend(many.iter().enumerate().map(|(i, a)| (format!("/{field}/{i}"), a))),
            }
        }
        addresses
    }

    fn map_addresses(&self, change: &mut dyn FnMut(Address) -> Address) -> Box<dyn Call> {
        let mut mail = self.mail.clone();
        for (_, list) in mail.address_fields_mut() {
            *list = list.drain(..).map(&mut *change).collect();
        }
        Box::new(Self { mail, carrier: self.carrier.clone() })
    }

    fn render(&self, stamp: &Stamp) -> Result<Rendered, RenderError> {
        self.carrier.render(&self.mail, stamp)
    }

    async fn prepare(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, SendError> {
        self.carrier.prepare(rendered, access).await
    }

    async fn send(&self, rendered: &Rendered, access: &Access, draft: Option<&Evidence>) -> Result<Sent, SendError> {
        self.carrier.send(rendered, access, draft).await
    }
}
