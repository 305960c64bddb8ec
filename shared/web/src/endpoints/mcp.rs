//! `POST /mcp`: one message of the Model Context Protocol.

use axum::{http::request::Parts, response::Response};

use crate::{endpoint::prelude::*, mcp};

endpoint! {
    path: "/mcp", function: Mcp, scope: ActionsPreview | ActionsExecute, tag: "mcp",
    problems: [],
    example: || json!({
        "request": { "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "list_jobs", "arguments": { "limit": 5 } } },
        "response": { "jsonrpc": "2.0", "id": 1, "result": {
            "content": [{ "type": "text", "text": "There are no jobs." }],
            "structuredContent": { "data": [], "next_cursor": null, "has_more": false }, "isError": false
        } },
    }),
}

/// Takes one JSON-RPC message of a Model Context Protocol client, and answers it: Streamable HTTP without sessions and
/// streams. What comes this way counts as an agent's: nothing reaches people before a person approves it.
#[utoipa::path(
    post, path = ENDPOINT.path, request_body = Object,
    responses(
        (status = 200, description = "The JSON-RPC answer; an error of a tool is one with isError", body = Object),
        (status = 202, description = "A notification was taken"),
        (status = 400, description = "A JSON-RPC error", body = Object),
        (status = 404, description = "A JSON-RPC error: there is no such method", body = Object),
    )
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    parts: Parts,
    Json(message): Json<Value>,
) -> Result<Response, Refused> {
    Ok(mcp::serve(&web, may, parts, &message).await?)
}
