//! `gmail.draft`: a mail among the drafts of the connected Gmail account.

use std::sync::Arc;

use domain::{Effect, Provider};
use engine::ports::{Action, ActionSpec, Instructions, OAuthScopes};

use super::gmail::GmailApi;
use crate::providers::mail;

pub(super) fn action(api: GmailApi) -> Arc<dyn Action> {
    let spec = ActionSpec {
        id: "gmail.draft",
        title: "Leave a draft in Gmail",
        provider: Provider::Google,
        effect: Effect::Draft,
        description: "Leaves a draft of an email in the connected Gmail account.",
        scopes: OAuthScopes { required: &[], draft: &["https://www.googleapis.com/auth/gmail.compose"] },
        instructions: Instructions { choose: "is the default", ..mail::DRAFTS },
        wording: mail::DRAFT_WORDING,
    };
    mail::action(spec, api)
}
