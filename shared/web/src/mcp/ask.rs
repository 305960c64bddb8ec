//! Questions of a plan as a form that the client shows to a person. Revision 2026-07-28 lets a server answer a call with
//! such a form; the client calls again with what the person wrote. Earlier revisions ask over a session, and there is
//! none: their clients find the questions in the structured content.

use std::collections::BTreeMap;

use domain::{Clarification, ClarificationKind};
use rmcp::{
    RoleServer,
    model::{CallToolRequestParams, InputRequest, InputRequests, InputRequiredResult, ProtocolVersion},
    service::RequestContext,
};
use serde_json::{Map, Value, json};

use super::answer::Done;

/// The name of the one form of an answer.
const FORM: &str = "questions";

/// What a client can show, and what its person has answered so far.
pub(super) struct Asked {
    /// The client shows forms, and its person has not declined one.
    shows_forms: bool,
    /// The answers by the ids of their questions.
    answers: BTreeMap<String, Value>,
}

impl Asked {
    pub fn of(request: &CallToolRequestParams, context: &RequestContext<RoleServer>) -> Self {
        let version = context.protocol_version();
        let is_able = version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
        let elicitation = context.client_capabilities().and_then(|capabilities| capabilities.elicitation);
        // A client that names no kind shows forms.
        let forms = elicitation.is_some_and(|kinds| kinds.form.is_some() || kinds.url.is_none());
        // The state needs no signature: it holds only answers, which the caller may send as arguments anyway.
        let state = request.request_state.as_deref().and_then(|state| serde_json::from_str(state).ok());
        let mut answers: BTreeMap<String, Value> = state.unwrap_or_default();
        let response = request.input_responses.as_ref().and_then(|responses| responses.get(FORM));
        let is_declined = response.is_some_and(|response| response["action"] != "accept");
        let given = response.filter(|_| !is_declined).and_then(|response| response["content"].as_object());
        answers.extend(given.into_iter().flatten().map(|(id, value)| (id.clone(), value.clone())));
        Self { shows_forms: is_able && forms && !is_declined, answers }
    }

    /// The arguments of the call, with the person's answers among them.
    pub fn arguments(&self, mut arguments: Map<String, Value>) -> Map<String, Value> {
        if !self.answers.is_empty() {
            let given = arguments.remove("answers").and_then(|given| given.as_array().cloned()).unwrap_or_default();
            let is_open = |answer: &Value| answer["id"].as_str().is_none_or(|id| !self.answers.contains_key(id));
            let more = self.answers.iter().map(|(id, value)| json!({ "id": id, "value": value }));
            arguments.insert("answers".to_owned(), given.into_iter().filter(is_open).chain(more).collect());
        }
        arguments
    }

    /// The form of the questions, if there are any and the client shows forms.
    pub fn form(&self, done: &Done) -> Option<InputRequiredResult> {
        if !self.shows_forms || done.questions.is_empty() {
            return None;
        }
        let properties: Map<String, Value> =
            done.questions.iter().map(|question| (question.id.clone(), field(question))).collect();
        let required: Vec<&str> = done.questions.iter().map(|question| question.id.as_str()).collect();
        let form = json!({ "method": "elicitation/create", "params": {
            "mode": "form",
            "message": "Before this can be planned, please answer:",
            "requestedSchema": { "type": "object", "properties": properties, "required": required },
        } });
        let form: InputRequest = serde_json::from_value(form).ok()?;
        Some(InputRequiredResult::new(
            Some(InputRequests::from([(FORM.to_owned(), form)])),
            Some(json!(self.answers).to_string()),
        ))
    }
}

/// The field of a form for one question.
fn field(question: &Clarification) -> Value {
    let mut field = json!({ "type": "string", "description": question.text });
    if let Some(about) = &question.about {
        field["title"] = json!(about);
    }
    match question.kind {
        ClarificationKind::Confirm => field["type"] = json!("boolean"),
        ClarificationKind::Choice => {
            let options = question.options.iter().flatten();
            field["oneOf"] = options.map(|option| json!({ "const": option.value, "title": option.label })).collect();
        }
        ClarificationKind::Address | ClarificationKind::Text => {}
    }
    field
}
