//! `outlook.draft`: a mail among the drafts of the connected Outlook account, by Microsoft Graph.

use std::sync::Arc;

use domain::{Effect, Provider};
use engine::ports::{Action, ActionSpec, Instructions, OAuthScopes};

use super::graph::GraphApi;
use crate::providers::mail;

pub(super) fn action(api: GraphApi) -> Arc<dyn Action> {
    let spec = ActionSpec {
        id: "outlook.draft",
        title: "Leave a draft in Outlook",
        provider: Provider::Microsoft,
        effect: Effect::Draft,
        description: "Leaves a draft of an email in the connected Outlook account.",
        scopes: OAuthScopes { required: &[], draft: &["Mail.ReadWrite"] },
        instructions: Instructions { choose: super::CHOOSE, ..mail::DRAFTS },
        wording: mail::DRAFT_WORDING,
    };
    mail::action(spec, api)
}
