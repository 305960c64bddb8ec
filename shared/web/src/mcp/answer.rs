//! What a tool answers: structured content for programs, and a short text for a model or a person.

use std::fmt::Write as _;

use domain::Clarification;
use engine::Problem;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};

use super::schema::OF_HTTP;
use crate::{authorized::Authorized, middleware::log_fault, problem::ProblemBody, state::Web};

/// The longest text, in characters: clients cut what is much longer.
const LONGEST: usize = 2400;

/// What a tool has done.
#[derive(Debug)]
pub(super) struct Done {
    pub content: Value,
    pub text: String,
    /// What a person has to answer first.
    pub questions: Vec<Clarification>,
}

impl Done {
    pub fn into_result(self) -> CallToolResult {
        let mut result = CallToolResult::success(vec![ContentBlock::text(cut(self.text, LONGEST))]);
        result.structured_content = Some(self.content);
        result
    }
}

/// The page where a person approves and connects accounts, if it is served.
pub(super) fn page(web: &Web) -> Option<String> {
    web.dev_ui.then(|| format!("{}/dev/action-runner.html", web.public_url))
}

/// A problem as the error of a tool, with our code.
pub(super) fn problem(web: &Web, may: &Authorized, problem: Problem) -> CallToolResult {
    log_fault(&problem);
    let connect = problem.connect.and_then(|_| page(web));
    let mut body = json!(ProblemBody::new(problem, may.context.correlation_id.clone(), &web.public_url));
    if let Some(page) = connect {
        body["connect_url"] = page.into();
    }
    let mut text = format!("{} ({}).", text_of(&body["title"]), text_of(&body["code"]));
    if let Some(detail) = body["detail"].as_str() {
        let _ = write!(text, " Detail: {detail}.");
    }
    if let Some(url) = body["connect_url"].as_str() {
        let _ = write!(text, " A person connects the account at {url}.");
    }
    if let Some(wait) = body["retry_after_ms"].as_u64() {
        let _ = write!(text, " Try again in {} s.", wait.div_ceil(1000));
    }
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| !OF_HTTP.contains(&name.as_str()));
    }
    let mut result = CallToolResult::error(vec![ContentBlock::text(cut(text, LONGEST))]);
    result.structured_content = Some(body);
    result
}

/// A value that is a name.
pub(super) fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A text of at most this many characters.
pub(super) fn cut(mut text: String, longest: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
        text.push('…');
    }
    text
}
