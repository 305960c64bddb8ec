//! `outlook.send`: a mail from the connected Outlook account, by Microsoft Graph.

use std::sync::Arc;

use domain::{Effect, Provider};
use engine::ports::{Action, ActionSpec, Example, Instructions, OAuthScopes};

use super::graph::GraphApi;
use crate::providers::mail;

pub(super) fn action(api: GraphApi) -> Arc<dyn Action> {
    let spec = ActionSpec {
        id: "outlook.send",
        title: "Send a mail with Outlook",
        provider: Provider::Microsoft,
        effect: Effect::Send,
        description: "Sends an email from the connected Outlook account.",
        scopes: OAuthScopes { required: &["Mail.Send"], draft: &["Mail.ReadWrite", "Mail.Send"] },
        instructions: Instructions {
            choose: super::CHOOSE,
            examples: &[
                mail::LOOKUP_EXAMPLE,
                Example {
                    request: "With Outlook, thank kim@fabrikam.example for the flowers, cc joy@fabrikam.example, and ask pat@fabrikam.example for the keys",
                    lookups: &[],
                    params: &[
                        r#"{"to":["kim@fabrikam.example"],"cc":["joy@fabrikam.example"],"bcc":null,"reply_to":null,"subject":"Thank you","text":"Hello Kim, thank you very much for the flowers.","html":null}"#,
                        r#"{"to":["pat@fabrikam.example"],"cc":null,"bcc":null,"reply_to":null,"subject":"The keys","text":"Hello Pat, may I have the keys?","html":null}"#,
                    ],
                    question: None,
                },
                mail::CONDITION_EXAMPLE,
                mail::CONTENT_EXAMPLE,
            ],
            requests: &[mail::REQUESTS, "outlook"],
            ..mail::INSTRUCTIONS
        },
        wording: mail::WORDING,
    };
    mail::action(spec, api)
}
