//! Microsoft: accounts of Outlook and Microsoft 365, by Microsoft Graph.

mod create_event;
mod events;
mod finder;
mod graph;
mod message;
mod outlook_draft;
mod outlook_send;

use std::sync::Arc;

use domain::Provider;
use engine::ports::{Action, ApiAddress, Finder, OAuthSpec, ProviderSpec};

use self::{finder::GraphFinder, graph::GraphApi};
use super::Apis;

pub use message::render as render_graph_message;

/// What is known of Microsoft. <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow>
pub(super) const SPEC: ProviderSpec = ProviderSpec {
    id: Provider::Microsoft,
    name: "Microsoft",
    account: "Outlook",
    oauth: OAuthSpec {
        auth_url: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        token_url: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        // Microsoft cannot revoke a single refresh token.
        revoke_url: None,
        tenant: Some("common"),
        // A refresh token comes only with `offline_access`.
        identity_scopes: &["openid", "email", "offline_access"],
        parameters: &[("response_mode", "query"), ("prompt", "select_account")],
        scope_prefix: "https://graph.microsoft.com/",
        // <https://learn.microsoft.com/graph/permissions-reference>
        implies: &[
            ("Calendars.ReadWrite", &["Calendars.Read"]),
            ("Contacts.ReadWrite", &["Contacts.Read"]),
            ("User.Read.All", &["User.ReadBasic.All"]),
            ("User.ReadWrite.All", &["User.ReadBasic.All"]),
            ("Directory.Read.All", &["User.ReadBasic.All"]),
        ],
        pasted_scopes: &["https://graph.microsoft.com/Mail.Send"],
        is_issuer: |claims, origin| {
            claims.tid.as_ref().is_some_and(|tenant| claims.iss == format!("{origin}/{tenant}/v2.0"))
        },
        name: |claims| claims.email.as_deref().or(claims.preferred_username.as_deref()),
    },
    apis: &[ApiAddress { variable: GRAPH, default: "https://graph.microsoft.com/v1.0" }],
    revoke_page: "https://myapplications.microsoft.com",
};

const GRAPH: &str = "GRAPH_BASE_URL";

/// When a model chooses this provider's actions.
const CHOOSE: &str = "only where the message says Outlook, Microsoft, Office or Hotmail";

pub(super) fn actions(apis: &Apis) -> Vec<Arc<dyn Action>> {
    let graph = || GraphApi(apis.endpoint(GRAPH));
    vec![outlook_send::action(graph()), outlook_draft::action(graph()), create_event::action(graph())]
}

pub(super) fn finder(apis: &Apis) -> Arc<dyn Finder> {
    Arc::new(GraphFinder(GraphApi(apis.endpoint(GRAPH))))
}
