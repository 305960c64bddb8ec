//! infra/template.yaml says of the API what the program does: its routes, and what each of them asks for.

use std::collections::{BTreeMap, BTreeSet};

use engine::catalogue::Catalogue;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::support::{Server, reply};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The template's resources. Of an intrinsic function there is its argument: `!Ref Api` is "Api".
fn resources() -> Map<String, Value> {
    let text = include_str!("../../infra/template.yaml");
    let template = json_of(&Yaml::load_from_str(text).expect("the template is YAML")[0]);
    template["Resources"].as_object().expect("it has resources").clone()
}

fn json_of(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(is)) => json!(is),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(list) => list.iter().map(json_of).collect(),
        Yaml::Mapping(mapping) => {
            Value::Object(mapping.iter().map(|(key, value)| (text(&json_of(key)).to_owned(), json_of(value))).collect())
        }
        Yaml::Tagged(_, inner) => json_of(inner),
        other => panic!("the template has no such value: {other:?}"),
    }
}

fn of_type<'a>(resources: &'a Map<String, Value>, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    resources.iter().filter(move |(_, resource)| resource["Type"] == kind).map(|(id, resource)| (id.as_str(), resource))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The routes but the one for whatever fits no other, by method and pattern.
fn routes(resources: &Map<String, Value>) -> BTreeMap<String, (&str, &Value)> {
    let routes = of_type(resources, "AWS::ApiGatewayV2::Route");
    let routes = routes.map(|(id, route)| (text(&route["Properties"]["RouteKey"]).to_owned(), (id, route)));
    let mut routes: BTreeMap<String, (&str, &Value)> = routes.collect();
    assert!(routes.remove("$default").is_some(), "what fits no route gets the program's own answer");
    routes
}

#[tokio::test]
async fn the_template_has_every_route_of_the_program_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let program = Server::start(folder.path(), &[]);
    let mut served = BTreeSet::new();
    for pattern in web::routes().into_keys() {
        let segment = |part: &str| if part.starts_with('{') { "x".to_owned() } else { part.to_owned() };
        let path = pattern.split('/').map(segment).collect::<Vec<_>>().join("/");
        for method in METHODS {
            let request = program.request(method, &path).header("content-type", "application/json").body("{}");
            let code = reply(request).await.code().clone();
            if code != "method-not-allowed" {
                served.insert(format!("{method} {pattern}"));
            }
        }
    }
    let resources = resources();
    let stated: BTreeSet<String> = routes(&resources).into_keys().collect();
    assert_eq!(stated, served, "left: infra/template.yaml; right: the program");
}

#[test]
fn each_route_states_the_scope_that_the_program_asks_for() {
    let document = web::openapi_document(&Catalogue::new(Vec::new(), Vec::new()));
    for (key, (_, route)) in routes(&resources()) {
        let (method, pattern) = key.split_once(' ').expect("a method and a pattern");
        let operation = &document["paths"][pattern][method.to_lowercase()];
        let expected = match operation["security"][0]["key"][0].as_str() {
            Some(scope) => scope,
            None if pattern.ends_with("/callback") => "state and cookie",
            None => "none",
        };
        assert_eq!(route["Metadata"]["Permission"], expected, "{key}");
    }
}

#[test]
fn each_route_goes_to_the_function_that_serves_it() {
    let resources = resources();
    for (key, (_, route)) in routes(&resources) {
        let pattern = key.split_once(' ').expect("a method and a pattern").1;
        let Some(function) = web::routes().get(pattern).copied() else { continue };
        let target = text(&route["Properties"]["Target"]);
        let name = target.trim_start_matches("integrations/${").trim_end_matches("Integration}");
        let handler = &resources[&format!("{name}Function")]["Properties"]["Handler"];
        assert_eq!(handler, function.as_ref(), "{key}");
    }
}

#[test]
fn each_route_states_its_throttle_and_its_payload_limit() {
    let resources = resources();
    let stage = &resources["Stage"];
    let settings = stage["Properties"]["RouteSettings"].as_object().unwrap();
    let routes = routes(&resources);
    for (key, (id, route)) in &routes {
        assert_eq!(route["Metadata"]["PayloadLimit"], format!("{} MiB", web::body::MAX_BODY >> 20), "{key}");
        assert_eq!(route["Properties"]["AuthorizationType"], "NONE", "{key}: keys are the program's matter");
        // A route that may not be there cannot have settings, and has the default ones.
        let own = settings.get(key);
        assert_eq!(own.is_none(), route.get("Condition").is_some(), "{key}");
        let throttle = own.unwrap_or(&stage["Properties"]["DefaultRouteSettings"]);
        let (rate, burst) = (throttle["ThrottlingRateLimit"].as_u64(), throttle["ThrottlingBurstLimit"].as_u64());
        assert!(rate.is_some_and(|rate| rate > 0) && burst >= rate, "{key}: {throttle}");
        // The stage is made after the routes that it names.
        let named = stage["DependsOn"].as_array().unwrap().contains(&json!(id));
        assert_eq!(named, own.is_some(), "{key}");
    }
    for key in settings.keys() {
        assert!(key == "$default" || routes.contains_key(key), "the stage has settings for {key}, which is no route");
    }
}

#[test]
fn a_message_stays_hidden_for_six_times_as_long_as_its_function_may_take() {
    let resources = resources();
    let sources: Vec<&Value> =
        of_type(&resources, "AWS::Lambda::EventSourceMapping").map(|(_, source)| source).collect();
    assert_eq!(sources.len(), 2);
    for source in sources {
        let source = &source["Properties"];
        let queue = text(&source["EventSourceArn"]).trim_end_matches(".Arn");
        let function = &resources[text(&source["FunctionName"])]["Properties"];
        let hidden = resources[queue]["Properties"]["VisibilityTimeout"].as_u64().unwrap();
        assert!(hidden >= 6 * function["Timeout"].as_u64().unwrap(), "{queue}");
        assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{queue}");
    }
}
