//! Google: accounts of Gmail and Google Workspace.

mod calendar;
mod create_event;
mod finder;
mod gmail;
mod gmail_draft;
mod gmail_send;
mod refusal;

use std::sync::Arc;

use domain::Provider;
use engine::ports::{Action, ApiAddress, Finder, OAuthSpec, ProviderSpec};

use self::{calendar::CalendarApi, finder::GoogleFinder, gmail::GmailApi};
use super::Apis;

/// What is known of Google. <https://developers.google.com/identity/openid-connect/openid-connect>
pub(super) const SPEC: ProviderSpec = ProviderSpec {
    id: Provider::Google,
    name: "Google",
    account: "Gmail",
    oauth: OAuthSpec {
        auth_url: "https://accounts.google.com/o/oauth2/v2/auth",
        token_url: "https://oauth2.googleapis.com/token",
        revoke_url: Some("https://oauth2.googleapis.com/revoke"),
        tenant: None,
        identity_scopes: &["openid", "email"],
        // A refresh token comes only with offline access and a new consent. `select_account` lets a person choose
        // another account than the one that is signed in.
        parameters: &[("access_type", "offline"), ("prompt", "consent select_account")],
        scope_prefix: "https://www.googleapis.com/auth/",
        // <https://developers.google.com/workspace/gmail/api/auth/scopes>,
        // <https://developers.google.com/workspace/calendar/api/auth>
        implies: &[
            ("https://mail.google.com/", &["gmail.send", "gmail.compose", "gmail.modify"]),
            ("gmail.modify", &["gmail.send", "gmail.compose"]),
            ("gmail.compose", &["gmail.send"]),
            // <https://developers.google.com/identity/protocols/oauth2/scopes#calendar>; those of calendars that the account
            // owns are enough for its own one.
            (
                "calendar",
                &["calendar.events", "calendar.events.owned", "calendar.events.readonly", "calendar.freebusy"],
            ),
            ("calendar.readonly", &["calendar.events.readonly", "calendar.freebusy"]),
            ("calendar.events", &["calendar.events.owned", "calendar.events.readonly"]),
            ("calendar.events.owned", &["calendar.events.readonly"]),
            ("calendar.events.owned.readonly", &["calendar.events.readonly"]),
            ("contacts", &["contacts.readonly"]),
        ],
        pasted_scopes: &["https://www.googleapis.com/auth/gmail.send"],
        is_issuer: |claims, origin| claims.iss == origin || origin.strip_prefix("https://") == Some(&claims.iss),
        name: |claims| claims.email.as_deref(),
    },
    apis: &[
        ApiAddress { variable: GMAIL, default: "https://gmail.googleapis.com" },
        ApiAddress { variable: CALENDAR, default: "https://www.googleapis.com/calendar/v3" },
        ApiAddress { variable: PEOPLE, default: "https://people.googleapis.com/v1" },
    ],
    revoke_page: "https://myaccount.google.com/connections",
};

const GMAIL: &str = "GMAIL_BASE_URL";
const CALENDAR: &str = "CALENDAR_BASE_URL";
const PEOPLE: &str = "PEOPLE_BASE_URL";

pub(super) fn actions(apis: &Apis) -> Vec<Arc<dyn Action>> {
    let gmail = || GmailApi(apis.endpoint(GMAIL));
    vec![
        gmail_send::action(gmail()),
        gmail_draft::action(gmail()),
        create_event::action(CalendarApi(apis.endpoint(CALENDAR))),
    ]
}

pub(super) fn finder(apis: &Apis) -> Arc<dyn Finder> {
    Arc::new(GoogleFinder { people: apis.endpoint(PEOPLE), calendar: apis.endpoint(CALENDAR) })
}
