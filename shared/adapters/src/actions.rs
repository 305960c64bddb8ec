//! The catalogue: one file an action, in `src/actions/`.
//!
//! To add an action, add a file there with `pub fn action(apis: &Apis) -> Arc<dyn Action>`: its
//! params and their schema, its scopes, how it is rendered, prepared and sent. The build script
//! finds the file; catalogue, planner schema, permission check, preview and OpenAPI follow.

use std::sync::Arc;

use domain::{Address, Mail, MailParams};
use engine::ports::Action;
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

/// The schema of the params that both mail actions take.
fn mail_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
    settings.into_generator().into_root_schema_for::<MailParams>().to_value()
}

/// Every address of a mail, with its pointer in the canonical params.
fn mail_addresses(mail: &Mail) -> Vec<(String, &Address)> {
    let mut addresses = Vec::new();
    for (field, list) in mail.address_fields() {
        match list {
            [one] => addresses.push((format!("/{field}"), one)),
            many => addresses.extend(many.iter().enumerate().map(|(i, a)| (format!("/{field}/{i}"), a))),
        }
    }
    addresses
}

/// The mail with every address replaced.
fn map_mail_addresses(mail: &Mail, change: &mut dyn FnMut(Address) -> Address) -> Mail {
    let mut mail = mail.clone();
    for (_, list) in mail.address_fields_mut() {
        *list = list.drain(..).map(&mut *change).collect();
    }
    mail
}
