//! The Model Context Protocol: Streamable HTTP without sessions, answers as JSON. The crate `rmcp` knows the protocol and
//! its revisions; the tools are in [`tools`], over the same use cases and views as the endpoints.

mod answer;
mod ask;
mod schema;
mod tools;

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, Request, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use engine::{
    Problem, ProblemCode,
    refusals::{Origin, Refusal},
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult, PaginatedRequestParams,
        ProtocolVersion, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::{Value, json};
use telemetry::labels::AuthFailure;

use crate::{authorized::Authorized, body::MAX_BODY, state::Web};

pub(crate) use self::tools::scopes;

/// Where the server is.
pub(crate) const PATH: &str = "/mcp";
/// The revisions that it speaks, oldest first. The last one has no handshake.
const VERSIONS: &[ProtocolVersion] =
    &[ProtocolVersion::V_2025_06_18, ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2026_07_28];
/// The longest text of an answer that is not JSON, in bytes.
const MAX_TEXT: usize = 4096;
/// The longest id of a message as JSON, in bytes: an answer repeats it.
const MAX_ID: usize = 256;
/// What a client's model is told of the server.
const INSTRUCTIONS: &str = "Plan what a person asks for with `plan`, in the person's own words. If the plan asks questions, ask the \
     person, and plan again with the answers. Show the plan, then carry it out with `execute_plan`. What it does is held \
     until a person approves it at the address in the answer; `get_job` tells what became of it. You cannot approve it \
     yourself.";

/// Answers one message of a client.
pub(crate) async fn serve(web: &Web, may: Authorized, parts: Parts, message: &Value) -> Result<Response, Problem> {
    if message["id"].to_string().len() > MAX_ID {
        return Ok(invalid("the id is longer than 256 bytes"));
    }
    let origin = Origin { route: PATH, address: may.context.address };
    // Whatever the credential says.
    let may = Authorized { caller: may.caller.by_agent(), ..may };
    let server = Server { web: web.clone(), may };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY)
        .with_allowed_hosts(hosts(web))
        .with_allowed_origins(origins(web))
        .enforce_origin_validation();
    let service = StreamableHttpService::new(move || Ok(server.clone()), Arc::<NeverSessionManager>::default(), config);
    let mut request = Request::from_parts(parts, Body::from(message.to_string()));
    // Every answer is JSON, and a client that takes anything takes that.
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    let response = service.handle(request).await.map(Body::new);
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || status.is_success() {
        return Ok(response);
    }
    let text = to_bytes(response.into_body(), MAX_TEXT).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    match status {
        StatusCode::FORBIDDEN => {
            let detail =
                "the MCP server accepts only the Host of PUBLIC_URL, and only the Origin of that or of ALLOW_ORIGINS";
            let refusal = Refusal::of(AuthFailure::Foreign, Problem::new(ProblemCode::ForbiddenScope, detail));
            Err(web.engine.refusals.record(*refusal, origin).await)
        }
        status if status.is_client_error() => Ok(invalid(&text)),
        _ => Err(Problem::new(ProblemCode::Internal, text)),
    }
}

/// The answer to a body that is not a message of the protocol, or not of a known revision.
fn invalid(why: &str) -> Response {
    let error = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": why } });
    (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
}

/// Tells a client without a good credential where it can find out how to get one (RFC 9728, section 5.1).
pub(crate) fn challenge(response: &mut Response, public_url: &str) {
    if let Some(challenge) = response.headers_mut().get_mut(header::WWW_AUTHENTICATE) {
        let metadata = format!("Bearer resource_metadata=\"{public_url}/.well-known/oauth-protected-resource\"");
        *challenge = HeaderValue::from_str(&metadata).unwrap_or(HeaderValue::from_static("Bearer"));
    }
}

/// The hosts that clients may name: that of `PUBLIC_URL`, and this machine's own. Any, behind a gateway.
fn hosts(web: &Web) -> Vec<String> {
    if web.behind_gateway {
        return Vec::new();
    }
    let own = web.public_url.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
    let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
    own.into_iter().chain(loopback).collect()
}

/// The origins of pages that may call, each with its port.
fn origins(web: &Web) -> Vec<String> {
    let own = [web.public_url.to_string()].into_iter().filter(|own| !own.is_empty());
    let own = own.flat_map(|own| {
        let other_names = ["localhost", "[::1]"].map(|name| own.replace("127.0.0.1", name));
        [own].into_iter().chain(other_names)
    });
    let with_port = |origin: String| {
        let uri = origin.parse::<Uri>().ok()?;
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some(format!("{scheme}://{}:{port}", authority.host()))
    };
    own.chain(web.origins.iter().cloned()).filter_map(with_port).collect()
}

/// Serves one message of one caller.
#[derive(Clone)]
struct Server {
    web: Web,
    /// An agent.
    may: Authorized,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let own = Implementation::new("ai-orchestrator", env!("CARGO_PKG_VERSION")).with_title("AI Orchestrator");
        ServerConfig::new(capabilities).with_server_info(own).with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(VERSIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::described(&self.web)))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = tools::find(&request.name) else {
            return Err(ErrorData::invalid_params("there is no tool of this name; tools/list names them", None));
        };
        let asked = ask::Asked::of(&request, &context);
        let arguments = asked.arguments(request.arguments.unwrap_or_default());
        match tools::call(&self.web, &self.may, tool, arguments).await {
            Ok(done) => Ok(asked.form(&done).map_or_else(|| done.into_result().into(), CallToolResponse::from)),
            Err(problem) => Ok(answer::problem(&self.web, &self.may, problem).into()),
        }
    }
}
