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
            intent: mail::INTENT,
            when: mail::WHEN,
            choose: "is the default",
            rules: mail::RULES,
            examples: &[
                Example {
                    request: "Write to mia@fabrikam.example and tom@fabrikam.example that lunch is at noon, bcc ned@fabrikam.example, replies to kay@fabrikam.example",
                    params: &[
                        r#"{"to":["mia@fabrikam.example","tom@fabrikam.example"],"cc":null,"bcc":["ned@fabrikam.example"],"reply_to":["kay@fabrikam.example"],"subject":"Lunch at noon","text":"Hello, lunch is at noon.","html":null}"#,
                    ],
                    question: None,
                },
                Example {
                    request: "gmail sam@fabrikam.example: the build is done. Copy lee@fabrikam.example",
                    params: &[
                        r#"{"to":["sam@fabrikam.example"],"cc":["lee@fabrikam.example"],"bcc":null,"reply_to":null,"subject":"Build done","text":"Hello, the build is done.","html":null}"#,
                    ],
                    question: None,
                },
                mail::CONDITION_EXAMPLE,
                mail::CONTENT_EXAMPLE,
            ],
            requests: &[mail::REQUESTS, "gmail"],
            other_requests: mail::OTHER_REQUESTS,
            reading_requests: mail::READING_REQUESTS,
            handing_over: mail::HANDING_OVER,
            telling: mail::TELLING,
            nouns: mail::NOUNS,
        },
        wording: mail::WORDING,
    };
    mail::action(spec, api)
}
