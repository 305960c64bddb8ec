//! The OpenAPI 3.1 document, made of the handlers and their types, and completed here: each route
//! gets an example of what is sent and answered, and each error that it may answer with; params get
//! the schemas of the catalogue's actions.

mod errors;

use std::sync::OnceLock;

use axum::{extract::State, http::header, response::IntoResponse};
use engine::catalogue::Catalogue;
use serde_json::{Value, json};
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi, RefOr,
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{Web, problem::ProblemBody, routes};

/// Examples by method and path: `request`, `response`. A text that begins with `$` stands for the
/// entry of that name.
const EXAMPLES: &str = include_str!("openapi/examples.json");

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "AI Orchestrator",
        description = "A sentence becomes a typed plan, and the plan's actions are carried out once.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "Where this document is")),
    tags(
        (name = "plan", description = "A sentence becomes a plan. Nothing is carried out."),
        (name = "execute", description = "Actions become jobs, each once per idempotency key."),
        (name = "jobs", description = "What became of an action."),
        (name = "actions", description = "What can be done, and how it would look."),
        (name = "connections", description = "The accounts that mails are sent from."),
        (name = "audit", description = "Who asked for what, which rule decided, what came of it."),
        (name = "about", description = "The program itself."),
        (name = "dev", description = "For trying things out."),
    ),
    components(schemas(ProblemBody))
)]
struct Base;

/// The document without its routes.
pub(crate) fn base() -> OpenApi {
    let mut base = Base::openapi();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("orc_<id>_<secret>")
        .description(Some("An API key with the scopes that a route names; a server without keys wants none."))
        .build();
    base.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
    base
}

/// The document of the whole API, with the params of these actions.
pub fn document(catalogue: &Catalogue) -> Value {
    let mut document = routes::document();
    let examples: Value = serde_json::from_str(EXAMPLES).expect("a test reads the file");
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let name = format!("{method} {path}");
            errors::list(&name, operation);
            illustrate(operation, &examples[&name], &examples);
        }
    }
    let mut document = serde_json::to_value(document).expect("the document is JSON");
    describe_params(&mut document, catalogue);
    document
}

/// The types whose `params` are those of the action that their `action` names.
const WITH_PARAMS: [&str; 2] = ["ActionRequest", "PreviewBody"];

/// Gives each action's params a schema of their own, so that generated clients have a type for them. The types
/// of the handlers know no action: the catalogue is a list of files.
fn describe_params(document: &mut Value, catalogue: &Catalogue) {
    let schemas = &mut document["components"]["schemas"];
    let mut references = Vec::new();
    let mut ids = Vec::new();
    for action in catalogue.iter() {
        let id = action.about().id;
        let name = type_name(id);
        let mut schema = action.params_schema();
        // The name of the component is the type's; two actions may have params of one title.
        schema["title"] = json!(name);
        schema["description"] = json!(format!("The params of {id}."));
        references.push(json!({ "$ref": format!("#/components/schemas/{name}") }));
        ids.push(id);
        schemas[name] = schema;
    }
    if references.is_empty() {
        return;
    }
    for name in WITH_PARAMS {
        let fields = &mut schemas[name]["properties"];
        let says = format!("Which action of the catalogue: {}.", ids.join(", "));
        fields["action"]["description"] = json!(says);
        fields["params"] = json!({ "description": fields["params"]["description"], "anyOf": references });
    }
}

/// `GmailSendParams` for `gmail.send`.
fn type_name(id: &str) -> String {
    let words = id.split(['.', '_']).map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.chain(["Params".to_owned()]).collect()
}

/// The operations of a path, by method.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [("GET", &mut item.get), ("POST", &mut item.post), ("DELETE", &mut item.delete)];
    all.into_iter().filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

fn illustrate(operation: &mut Operation, example: &Value, all: &Value) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            content.example = resolved(&example["request"], all);
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with('2') {
            // A page for people needs no example.
            for (_, content) in response.content.iter_mut().filter(|(kind, _)| *kind != "text/html") {
                let RefOr::T(content) = content else { continue };
                content.example = resolved(&example["response"], all);
            }
        }
    }
}

/// An example with the entries that it refers to; none for null.
fn resolved(example: &Value, all: &Value) -> Option<Value> {
    match example {
        Value::Null => None,
        Value::String(name) if name.starts_with('$') => Some(all[name].clone()),
        Value::Object(fields) => {
            let list = |value: &Value| match value {
                Value::Array(items) => items.iter().map(|item| resolved(item, all).unwrap_or_default()).collect(),
                other => other.clone(),
            };
            Some(Value::Object(fields.iter().map(|(name, value)| (name.clone(), list(value))).collect()))
        }
        other => Some(other.clone()),
    }
}

pub(crate) async fn serve(State(web): State<Web>) -> impl IntoResponse {
    // One process has one catalogue.
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document(&web.engine.catalogue).to_string());
    ([(header::CONTENT_TYPE, "application/json")], text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an example has that its schema has not, and the other way round; deep.
    fn misfits(example: &Value, schema: &Value, document: &Value, at: &str) -> Vec<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            return misfits(example, document.pointer(&reference[1..]).unwrap(), document, at);
        }
        if let Some(any) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let all: Vec<_> = any.iter().map(|one| misfits(example, one, document, at)).collect();
            return all.into_iter().min_by_key(Vec::len).unwrap_or_default();
        }
        if let Some(values) = schema["enum"].as_array() {
            return if values.contains(example) {
                vec![]
            } else {
                vec![format!("{at}: {example} is none of its values")]
            };
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let is = match example {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let fits = types.iter().any(|one| *one == is || (*one == "number" && is == "integer"));
        if !types.is_empty() && !fits {
            return vec![format!("{at}: {example} is not {types:?}")];
        }
        match example {
            Value::Array(items) => {
                items.iter().flat_map(|item| misfits(item, &schema["items"], document, at)).collect()
            }
            Value::Object(fields) if schema["properties"].is_object() => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let missing =
                    required.filter(|name| !fields.contains_key(*name)).map(|name| format!("{at}/{name} is missing"));
                let deeper = fields.iter().flat_map(|(name, value)| match schema["properties"].get(name) {
                    Some(schema) => misfits(value, schema, document, &format!("{at}/{name}")),
                    None => vec![format!("{at}/{name} is not in the schema")],
                });
                missing.chain(deeper).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_route_has_an_example_that_fits_its_types() {
        let document = document(&Catalogue::new(Vec::new()));
        let mut wrong = Vec::new();
        let mut looked_at = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = format!("{} {path}", method.to_uppercase());
                let good =
                    operation["responses"].as_object().unwrap().iter().filter(|(status, _)| status.starts_with('2'));
                let contents = good.map(|(status, response)| (status.as_str(), &response["content"]));
                for (place, contents) in contents.chain([("request", &operation["requestBody"]["content"])]) {
                    for (kind, content) in
                        contents.as_object().into_iter().flatten().filter(|(kind, _)| *kind != "text/html")
                    {
                        looked_at += 1;
                        match content.get("example") {
                            None => wrong.push(format!("{name}, {place}: no example of {kind}")),
                            Some(example) => wrong.extend(misfits(
                                example,
                                &content["schema"],
                                &document,
                                &format!("{name}, {place}: "),
                            )),
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(looked_at > 15);
    }

    #[test]
    fn every_route_lists_its_errors_and_scopes() {
        let document = document(&Catalogue::new(Vec::new()));
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{method} {path}");
                let responses = operation["responses"].as_object().unwrap();
                assert!(!responses.contains_key("4XX") && !responses.contains_key("5XX"), "{method} {path}");
                if let Some(security) = operation.get("security") {
                    assert!(security[0]["key"][0].is_string(), "{method} {path} names no scope");
                    for status in ["401", "403", "500", "503"] {
                        let examples = &responses[status]["content"]["application/problem+json"]["examples"];
                        assert!(examples.as_object().is_some_and(|all| !all.is_empty()), "{method} {path} {status}");
                    }
                }
            }
        }
    }
}
