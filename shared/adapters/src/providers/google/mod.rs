//! Google: accounts of Gmail and Google Workspace.

mod gmail;
mod gmail_send;

use std::sync::Arc;

use domain::Provider;
use engine::ports::{Action, ApiAddress, OAuthSpec, ProviderSpec};

use self::gmail::GmailApi;
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
        // <https://developers.google.com/workspace/gmail/api/auth/scopes>
        implies: &[
            ("https://mail.google.com/", &["gmail.send", "gmail.compose", "gmail.modify"]),
            ("gmail.modify", &["gmail.send", "gmail.compose"]),
            ("gmail.compose", &["gmail.send"]),
        ],
        pasted_scopes: &["https://www.googleapis.com/auth/gmail.send"],
        is_issuer: |claims, origin| claims.iss == origin || origin.strip_prefix("https://") == Some(&claims.iss),
        name: |claims| claims.email.as_deref(),
    },
    apis: &[ApiAddress { variable: GMAIL, default: "https://gmail.googleapis.com" }],
    revoke_page: "https://myaccount.google.com/connections",
};

const GMAIL: &str = "GMAIL_BASE_URL";

pub(super) fn actions(apis: &Apis) -> Vec<Arc<dyn Action>> {
    vec![gmail_send::action(GmailApi(apis.endpoint(GMAIL)))]
}
