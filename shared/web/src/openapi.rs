//! The OpenAPI 3.1 document: the handlers and their types, completed with each endpoint's declaration and with the
//! params of the catalogue's actions.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use axum::{extract::State, http::header, response::IntoResponse};
use domain::Provider;
use engine::{Problem, ProblemCode as P, catalogue::Catalogue};
use heck::ToUpperCamelCase as _;
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use crate::{endpoint::Endpoint, endpoints::ENDPOINTS, problem::ProblemBody, problem_kind::kind, state::Web};

/// Where the document is served.
pub(crate) const PATH: &str = "/openapi.json";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "AI Orchestrator",
        description = "Turns a sentence into a typed plan, and carries out each action of the plan once.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "plan", description = "Turn a sentence into a plan. Nothing is carried out."),
        (name = "execute", description = "Turn actions into jobs, one per idempotency key."),
        (name = "jobs", description = "Follow and change jobs."),
        (name = "actions", description = "List actions and preview them."),
        (name = "connections", description = "Connect the accounts that actions use."),
        (name = "mcp", description = "Serve agents by the Model Context Protocol."),
        (name = "webhooks", description = "Be told when a job ends or waits."),
        (name = "audit", description = "Requests, the rules that decided, and the results."),
        (name = "about", description = "The program itself."),
        (name = "dev", description = "Tools for development."),
    ),
    components(schemas(ProblemBody))
)]
struct Base;

/// Problems of every endpoint that asks for a key.
const WITH_KEY: &[P] = &[P::Unauthenticated, P::ForbiddenScope, P::RateLimited, P::StoreUnavailable, P::Internal];
/// Problems of every endpoint with a body.
const WITH_BODY: &[P] = &[P::MalformedJson, P::UnsupportedMediaType, P::PayloadTooLarge, P::InvalidRequest];
/// Problems of every endpoint with query parameters.
const WITH_QUERY: &[P] = &[P::InvalidRequest];

pub(crate) async fn serve(State(web): State<Web>) -> impl IntoResponse {
    // A process has one catalogue.
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document(&web.engine.catalogue).to_string());
    ([(header::CONTENT_TYPE, "application/json")], text.as_str())
}

/// The document of the whole API, with the params of these actions.
pub fn document(catalogue: &Catalogue) -> Value {
    let documented = ENDPOINTS.iter().map(|endpoint| (endpoint.documented)());
    let router = documented.fold(OpenApiRouter::with_openapi(Base::openapi()), OpenApiRouter::routes);
    let mut document = json!(router.into_openapi());
    document["components"]["securitySchemes"]["key"] = json!({
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "orc_<id>_<secret>",
        "description": "An API key with the scopes of the route, or an access token of the deployment's issuer. A server without keys needs none.",
    });
    for endpoint in ENDPOINTS {
        let method = json!((endpoint.method)());
        let method = method.as_str().unwrap_or_default();
        describe(&mut document["paths"][endpoint.path][method], method == "post", endpoint);
    }
    describe_params(&mut document, catalogue);
    document
}

/// Adds what the endpoint declares.
fn describe(operation: &mut Value, has_body: bool, endpoint: &Endpoint) {
    operation["operationId"] = json!(endpoint.id.rsplit("::").next());
    operation["tags"] = json!([endpoint.tag]);
    if !endpoint.scopes.is_empty() {
        operation["security"] = endpoint.scopes.iter().map(|all| json!({ "key": all })).collect();
    }
    let example = (endpoint.example)();
    illustrate(operation.pointer_mut("/requestBody/content"), &example["request"]);
    let mut for_people = false;
    for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for_people |= response["content"].as_object().is_some_and(|contents| contents.keys().eq(["text/html"]));
        illustrate(response.get_mut("content"), &example["response"]);
    }
    let mut parameters = operation["parameters"].as_array().into_iter().flatten();
    let has_query = parameters.any(|parameter| parameter["in"] == "query");
    let mut problems: BTreeMap<u16, Vec<P>> = BTreeMap::new();
    for (applies, codes) in [
        (!endpoint.scopes.is_empty(), WITH_KEY),
        (has_body, WITH_BODY),
        (has_query, WITH_QUERY),
        (true, endpoint.problems),
    ] {
        for code in codes.iter().filter(|_| applies) {
            problems.entry(kind(*code).status).or_default().push(*code);
        }
    }
    for (status, codes) in problems {
        let answer = &mut operation["responses"][status.to_string()];
        let declared = answer["content"].take();
        *answer = response(&codes, for_people);
        if let (Some(contents), Value::Object(declared)) = (answer["content"].as_object_mut(), declared) {
            contents.extend(declared);
        }
    }
}

/// Gives an example to every content but pages for people.
fn illustrate(contents: Option<&mut Value>, example: &Value) {
    for (kind, content) in contents.and_then(Value::as_object_mut).into_iter().flatten() {
        if kind != "text/html" {
            content["example"] = example.clone();
        }
    }
}

/// The answer with one of these problems, which have one status. A browser gets a page where the endpoint is for people.
fn response(codes: &[P], for_people: bool) -> Value {
    let titles: Vec<&str> = codes.iter().map(|code| kind(*code).title).collect();
    let example = |code: &P| json!({ "summary": kind(*code).title, "value": problem_example(*code) });
    let examples: Map<_, _> = codes.iter().map(|code| (code.to_string(), example(code))).collect();
    let schema = json!({ "$ref": "#/components/schemas/ProblemBody" });
    let mut content = json!({ "application/problem+json": { "schema": schema, "examples": examples } });
    if for_people {
        content["text/html"] = json!({});
    }
    json!({ "description": titles.join("; "), "content": content })
}

fn problem_example(code: P) -> Value {
    let mut problem = Problem::new(code, "");
    problem.connect = matches!(code, P::ConnectionRequired | P::ReauthRequired).then_some(Provider::Google);
    problem.retry_after = (kind(code).status == 429).then_some(Duration::from_millis(1500));
    let id = "0a4c7f2e-3f6d-4b1e-9a59-6c1d2e3f4a5b".to_owned();
    let mut body = ProblemBody::new(problem, id, "https://orchestrator.example.com");
    body.detail = None;
    json!(body)
}

/// The schemas whose `params` are those of the action in `action`.
const WITH_PARAMS: [&str; 3] = ["ActionRequest", "PlannedAction", "PreviewBody"];

/// Gives each action's params a schema, so that generated clients have a type for them. The types of the handlers do
/// not know the actions.
fn describe_params(document: &mut Value, catalogue: &Catalogue) {
    let schemas = &mut document["components"]["schemas"];
    let mut references = Vec::new();
    let mut ids = Vec::new();
    for action in catalogue.iter() {
        let id = action.spec().id;
        let name = format!("{}Params", id.to_upper_camel_case());
        let mut schema = action.params_schema().clone();
        // Two actions may have params with the same title.
        schema["title"] = json!(name);
        schema["description"] = json!(format!("The params of {id}."));
        references.push(json!({ "$ref": format!("#/components/schemas/{name}") }));
        ids.push(id);
        schemas[name] = schema;
    }
    for name in WITH_PARAMS {
        let fields = &mut schemas[name]["properties"];
        fields["action"]["description"] = json!(format!("The action's id: {}.", ids.join(", ")));
        fields["params"] = json!({ "description": fields["params"]["description"], "anyOf": references });
    }
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
                    None if schema["additionalProperties"].is_object() => Vec::new(),
                    None => vec![format!("{at}/{name} is not in the schema")],
                });
                missing.chain(deeper).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_route_has_an_example_that_fits_its_types() {
        let document = document(&Catalogue::new(Vec::new(), Vec::new()));
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
        let mut ids = std::collections::BTreeSet::new();
        let document = document(&Catalogue::new(Vec::new(), Vec::new()));
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{method} {path}");
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "client generators name methods by the id {id}, which is repeated");
                let responses = operation["responses"].as_object().unwrap();
                assert!(!responses.contains_key("4XX") && !responses.contains_key("5XX"), "{method} {path}");
                if let Some(security) = operation.get("security") {
                    assert!(security[0]["key"][0].is_string() || path == "/whoami", "{method} {path} names no scope");
                    for status in ["401", "403", "500", "503"] {
                        let examples = &responses[status]["content"]["application/problem+json"]["examples"];
                        assert!(examples.as_object().is_some_and(|all| !all.is_empty()), "{method} {path} {status}");
                    }
                }
            }
        }
    }
}
