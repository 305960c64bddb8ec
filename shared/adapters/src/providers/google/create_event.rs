//! `calendar.create_event`: an event in the connected account's Google calendar.

use std::sync::Arc;

use domain::{Effect, Provider};
use engine::ports::{Action, ActionSpec, Instructions, OAuthScopes};

use super::calendar::CalendarApi;
use crate::providers::event;

pub(super) fn action(api: CalendarApi) -> Arc<dyn Action> {
    let spec = ActionSpec {
        id: "calendar.create_event",
        title: "Create an event in Google Calendar",
        provider: Provider::Google,
        effect: Effect::Change,
        description: "Creates an event in the connected Google calendar, and invites its attendees.",
        scopes: OAuthScopes { required: &["https://www.googleapis.com/auth/calendar.events.owned"], draft: &[] },
        instructions: Instructions { choose: "is the default", ..event::INSTRUCTIONS },
        wording: event::WORDING,
    };
    event::action(spec, api)
}
