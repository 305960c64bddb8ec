//! `outlook.create_event`: an event in the connected account's Outlook calendar, by Microsoft Graph.

use std::sync::Arc;

use domain::{Effect, Provider};
use engine::ports::{Action, ActionSpec, Instructions, OAuthScopes};

use super::graph::GraphApi;
use crate::providers::event;

pub(super) fn action(api: GraphApi) -> Arc<dyn Action> {
    let spec = ActionSpec {
        id: "outlook.create_event",
        title: "Create an event in Outlook",
        provider: Provider::Microsoft,
        effect: Effect::Change,
        description: "Creates an event in the connected Outlook calendar, and invites its attendees.",
        scopes: OAuthScopes { required: &["Calendars.ReadWrite"], draft: &[] },
        instructions: Instructions { choose: super::CHOOSE, ..event::INSTRUCTIONS },
        wording: event::WORDING,
    };
    event::action(spec, api)
}
