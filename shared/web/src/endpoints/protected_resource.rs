//! `GET /.well-known/oauth-protected-resource`: what a client needs to get an access token (RFC 9728).

use crate::{endpoint::prelude::*, mcp};

endpoint! {
    path: "/.well-known/oauth-protected-resource", function: Metrics, scope: none, tag: "mcp", problems: [],
    example: || json!({ "response": {
        "resource": "https://orchestrator.example.com/mcp",
        "resource_name": "AI Orchestrator",
        "authorization_servers": ["https://login.example.com"],
        "scopes_supported": ["accounts:read", "actions:execute", "actions:preview"],
        "bearer_methods_supported": ["header"],
    } }),
}

/// What protects the MCP server.
#[derive(Serialize, ToSchema)]
struct ProtectedResource {
    /// The MCP server's address.
    resource: String,
    #[schema(example = "AI Orchestrator")]
    resource_name: &'static str,
    /// The issuer whose access tokens are credentials; not there if API keys are the only ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<String>, required = false)]
    authorization_servers: Option<[String; 1]>,
    /// The scopes that its tools need.
    scopes_supported: Vec<&'static str>,
    bearer_methods_supported: [&'static str; 1],
}

/// Says who issues access tokens for the MCP server, and which scopes its tools need.
#[utoipa::path(
    get, path = ENDPOINT.path,
    responses((status = 200, description = "The MCP server, as a protected resource", body = ProtectedResource))
)]
async fn handler(State(web): State<Web>) -> Out<ProtectedResource> {
    Out(ProtectedResource {
        resource: format!("{}{}", web.public_url, mcp::PATH),
        resource_name: "AI Orchestrator",
        authorization_servers: web.issuer.as_deref().map(|issuer| [issuer.to_owned()]),
        scopes_supported: mcp::scopes(),
        bearer_methods_supported: ["header"],
    })
}
