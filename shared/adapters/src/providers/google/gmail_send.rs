//! `gmail.send`: a mail from the connected Gmail account.

use std::sync::Arc;

use domain::{Effect, Provider};
use engine::ports::{Action, ActionSpec, Example, Instructions, OAuthScopes};

use super::gmail::GmailApi;
use crate::providers::mail;

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
            choose: "is the default",
            examples: &[
                mail::LOOKUP_EXAMPLE,
                Example {
                    request: "Write to mia@fabrikam.example and tom@fabrikam.example that lunch is at noon, cc lee@fabrikam.example, bcc ned@fabrikam.example, replies to kay@fabrikam.example",
                    lookups: &[],
                    params: &[
                        r#"{"to":["mia@fabrikam.example","tom@fabrikam.example"],"cc":["lee@fabrikam.example"],"bcc":["ned@fabrikam.example"],"reply_to":["kay@fabrikam.example"],"subject":"Lunch at noon","text":"Hello, lunch is at noon.","html":null}"#,
                    ],
                    question: None,
                },
                mail::CONDITION_EXAMPLE,
                mail::CONTENT_EXAMPLE,
            ],
            requests: &[mail::REQUESTS, "gmail"],
            ..mail::INSTRUCTIONS
        },
        wording: mail::WORDING,
    };
    mail::action(spec, api)
}
