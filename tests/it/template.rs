//! infra/template.yaml says of the API what the program does: its routes, and what each of them asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use engine::catalogue::Catalogue;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::support::{Server, reply};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The template. Of an intrinsic function there is its argument: `!Ref Api` is "Api".
fn template() -> Value {
    parsed(include_str!("../../infra/template.yaml"))
}

fn parsed(text: &str) -> Value {
    json_of(&Yaml::load_from_str(text).expect("the template is YAML")[0])
}

/// What a script of the project prints.
fn printed(script: &str, arguments: &[&str]) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let run = Command::new("python3").arg(format!("{folder}/scripts/{script}")).args(arguments).output();
    let run = run.expect("python3 is there");
    assert!(run.status.success(), "{script}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("text")
}

fn resources() -> Map<String, Value> {
    template()["Resources"].as_object().expect("it has resources").clone()
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
        let any = operation["security"].as_array().map_or(&[][..], Vec::as_slice);
        let all = |one: &Value| one["key"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(", ");
        let scopes: Vec<String> = any.iter().map(all).collect();
        let expected = match scopes[..] {
            [] if pattern.ends_with("/callback") => "state and cookie".to_owned(),
            [] => "none".to_owned(),
            _ if scopes == [""] => "any key".to_owned(),
            _ => scopes.join(" or "),
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
fn each_route_states_its_payload_limit_and_has_a_throttle() {
    let resources = resources();
    let stage = &resources["Stage"];
    let settings = stage["Properties"]["RouteSettings"].as_object().unwrap();
    let routes = routes(&resources);
    for (key, (_, route)) in &routes {
        assert_eq!(route["Metadata"]["PayloadLimit"], format!("{} MiB", web::body::MAX_BODY >> 20), "{key}");
        assert_eq!(route["Properties"]["AuthorizationType"], "NONE", "{key}: keys are the program's matter");
        assert!(route.get("Condition").is_none(), "{key}: the program answers for what is switched off");
    }
    for throttle in settings.values().chain([&stage["Properties"]["DefaultRouteSettings"]]) {
        for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
            let (name, default) = setting(&throttle[limit]).expect("it is a setting");
            assert!(name.starts_with("Throttle") && default.parse::<u32>().unwrap() > 0, "{throttle}");
        }
    }
    // The stage is made after the routes that it names.
    let named: BTreeSet<&str> = stage["DependsOn"].as_array().unwrap().iter().map(text).collect();
    let needed: BTreeSet<&str> = settings.keys().map(|key| routes[key].0).collect();
    assert_eq!(named, needed);
}

/// The name and the default of a value that is read from the parameter Settings.
fn setting(value: &Value) -> Option<(String, String)> {
    let [_, ends] = value.as_array()?.as_slice() else { return None };
    let texts = ends.as_array()?.last()?.as_array()?.last()?.as_array()?;
    let name = texts.first()?.as_str()?.strip_prefix(';')?.strip_suffix('=')?;
    let whole = texts.last()?;
    let whole = whole.as_str().or_else(|| whole[0].as_str())?;
    let default = whole.strip_prefix(&format!(";${{Settings}};{name}="))?.strip_suffix(';')?;
    Some((name.to_owned(), default.to_owned()))
}

/// The settings that a part of the template reads.
fn settings_in(value: &Value) -> BTreeSet<(String, String)> {
    let inner: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    inner.into_iter().flat_map(settings_in).chain(setting(value)).collect()
}

/// The names that the parameter Settings takes.
fn names_of_settings(template: &Value) -> BTreeSet<String> {
    let pattern = text(&template["Parameters"]["Settings"]["AllowedPattern"]);
    let names = pattern.trim_start_matches("^(((").split_once(")=").expect("names, and then a value").0;
    names.split('|').map(ToOwned::to_owned).collect()
}

#[test]
fn every_setting_of_the_template_is_read_with_one_default() {
    let template = template();
    let mut read: BTreeMap<String, String> = BTreeMap::new();
    let parts = ["Conditions", "Globals", "Resources"];
    for (name, default) in parts.iter().flat_map(|part| settings_in(&template[*part])) {
        let known = read.insert(name.clone(), default.clone());
        assert!(known.is_none_or(|known| known == default), "{name}");
    }
    let is_of_template = |name: &String| name.bytes().any(|byte| byte.is_ascii_lowercase());
    let taken: BTreeSet<String> = names_of_settings(&template).into_iter().filter(is_of_template).collect();
    let own: BTreeSet<String> = read.into_keys().filter(is_of_template).collect();
    assert_eq!(taken, own, "left: the parameter's pattern; right: what the template reads");
    let told = include_str!("../../docs/OPERATIONS.md");
    assert!(own.iter().all(|name| told.contains(&format!("`{name}`"))), "docs/OPERATIONS.md tells of {own:?}");
}

/// Variables of docs/CONFIGURATION.md that make no sense on AWS: this machine's own, and what Lambda or the template decides.
const LOCAL: [&str; 10] = [
    "ORCHESTRATOR_DATA",
    "ORCHESTRATOR_KEY",
    "ORCHESTRATOR_URL",
    "HOST",
    "PORT",
    "TOKEN_KEY",
    "LOG_FORMAT",
    "SSL_CERT_FILE",
    "GOOGLE_ACCESS_TOKEN",
    "GOOGLE_ACCESS_TOKEN_SCOPES",
];

#[test]
fn every_variable_that_is_not_local_can_be_set_in_the_template() {
    let template = template();
    let variables = template["Globals"]["Function"]["Environment"]["Variables"].as_object().unwrap();
    let mut settable = names_of_settings(&template);
    settable.extend(variables.keys().cloned());
    let rows = include_str!("../../docs/CONFIGURATION.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<&str> = rows
        .flat_map(|row| row.split_once(" |").unwrap_or_default().0.split('`'))
        .filter(|name| name.len() > 3 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        .collect();
    assert!(told.len() > 40, "{told:?}");
    for name in told {
        // Every provider has the same variables, after its prefix, but what the document says.
        let of_others = name.replace("GOOGLE_", "MICROSOFT_");
        for name in [name, &of_others] {
            let is_local = LOCAL.contains(&&*name.replace("MICROSOFT_", "GOOGLE_"));
            assert_eq!(settable.contains(name), !is_local && name != "MICROSOFT_REVOKE_URL", "{name}");
        }
    }
}

#[test]
fn twelve_questions_have_a_default_and_a_description_and_hide_nothing() {
    let template = template();
    let parameters = template["Parameters"].as_object().unwrap();
    assert!(parameters.len() <= 12, "sam deploy --guided asks for each");
    for (name, parameter) in parameters {
        assert!(parameter["Default"].is_string() && parameter.get("NoEcho").is_none(), "{name}: Enter must do");
        let description = text(&parameter["Description"]);
        assert!(description.len() > 20 && !description.ends_with('.'), "{name}: {description}");
    }
}

/// The rights that a function has: action, where (an index or the table), and the kind of the leading key.
fn rights(function: &Value) -> BTreeSet<(&str, String, &str)> {
    let statements = function["Properties"]["Policies"][0]["Statement"].as_array().unwrap();
    let mut rights = BTreeSet::new();
    for statement in statements.iter().filter(|statement| statement["Action"].to_string().contains("dynamodb:")) {
        let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
        let keys = keys.as_array().unwrap_or_else(|| panic!("{statement} names no leading keys"));
        let place = text(&statement["Resource"]);
        let index = place.rsplit_once("/index/").map_or("", |(_, index)| index);
        for action in one_or_more(&statement["Action"]) {
            rights.extend(keys.iter().map(|key| (text(action), index.to_owned(), text(key))));
        }
    }
    rights
}

fn one_or_more(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

#[test]
fn a_functions_rights_are_bound_to_kinds_of_records_and_only_the_operators_makes_keys() {
    let ledger = concat!(
        include_str!("../../shared/adapters/src/ledger.rs"),
        include_str!("../../shared/adapters/src/ledger/chain.rs")
    );
    let resources = resources();
    let functions: Vec<_> = of_type(&resources, "AWS::Serverless::Function").collect();
    assert_eq!(functions.len(), 10);
    for (id, function) in functions {
        for (action, index, key) in rights(function) {
            let kind = key.strip_suffix('*').unwrap_or_else(|| panic!("{id}: {key} is no pattern"));
            assert!(!kind.is_empty() && !kind.contains('*'), "{id}: {key}");
            // Partitions of the indexes, and the name that a ping reads.
            let of_index = ["W#", "OPEN#", "HELD", "ACCOUNT#", "CHAINS", "KEYS"].contains(&kind);
            let is_known = of_index || kind == "PING" || ledger.contains(&format!("\"{kind}{{"));
            assert!(is_known && (!of_index || !index.is_empty()), "{id}: the ledger has no {kind} there");
            let reads = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"].contains(&action);
            let writes = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"].contains(&action);
            let is_operators = ["KEY#", "WORKSPACE#", "ROLLOUT#"].contains(&kind);
            let may_write = !is_operators || id == "AdminFunction";
            assert!(reads || (writes && may_write), "{id}: only the operator may {action} {kind}");
        }
    }
}

/// What a function may do, where the intrinsic function `If` of a statement is left with both of its ends.
fn ends(function: &Value) -> Vec<&Value> {
    let statements = function["Properties"]["Policies"][0]["Statement"].as_array().unwrap();
    statements.iter().flat_map(one_or_more).filter(|end| end.is_object()).collect()
}

#[test]
fn models_of_bedrock_are_asked_where_plans_are_made_and_only_those_of_the_settings() {
    let (template, resources) = (template(), resources());
    let condition = &template["Conditions"]["Bedrock"];
    assert_eq!(setting(&condition[0][1][0]), Some(("AI_PROVIDER".to_owned(), "openai".to_owned())));
    assert_eq!(condition[1], "bedrock");
    let mut found = Vec::new();
    for (id, function) in of_type(&resources, "AWS::Serverless::Function") {
        let of_bedrock = |end: &&Value| end["Action"].to_string().contains("bedrock");
        found.extend(ends(function).into_iter().filter(of_bedrock).map(|end| (id, end)));
    }
    let [(_, invoke), (_, call), (_, of_agents), (_, call_of_agents)] = found[..] else { panic!("{found:?}") };
    assert_eq!((invoke, call), (of_agents, call_of_agents), "agents plan in a function of their own");
    assert!(found.iter().all(|(id, _)| ["Plan2Function", "McpFunction"].contains(id)), "{found:?}");
    assert_eq!(
        (&invoke["Action"], &call["Action"]),
        (&json!("bedrock:InvokeModel"), &json!("bedrock:CallWithBearerToken"))
    );
    let models = invoke["Resource"].as_array().unwrap();
    for (model, name) in models.iter().zip(["AI_MODEL", "AI_FALLBACK_MODEL"]) {
        let arn = "arn:${AWS::Partition}:bedrock:${AWS::Region}::foundation-model/${Model}";
        assert_eq!((&model[0], setting(&model[1]["Model"]).unwrap().0), (&json!(arn), name.to_owned()));
    }
    // The program's own default, which its configuration's test states.
    assert_eq!(setting(&models[0][1]["Model"]).unwrap().1, "openai.gpt-oss-120b-1:0");
    // Both are there only on its condition, and then the other endpoint's key is not.
    let statements = resources["Plan2Function"]["Properties"]["Policies"][0]["Statement"].as_array().unwrap();
    let on_condition = statements.iter().filter(|statement| statement[0] == "Bedrock").collect::<Vec<_>>();
    let [first, second] = on_condition[..] else { panic!("{on_condition:?}") };
    assert_eq!((&first[1], &second[1], &second[2]), (invoke, call, &json!("AWS::NoValue")));
    assert_eq!(first[2]["Resource"], "OpenAiSecret.Id");
}

#[test]
fn nothing_but_the_right_to_invoke_it_leads_to_the_operators_function() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let named = |value: &Value| {
        let text = value.to_string();
        ["\"AdminFunction", "${AdminFunction", "AdminFunctionRole"].iter().any(|name| text.contains(name))
    };
    let leads: Vec<&String> = resources.iter().filter(|(_, resource)| named(resource)).map(|(id, _)| id).collect();
    assert!(leads.is_empty(), "a route, an event source or a permission leads to it: {leads:?}");
    let admin = &resources["AdminFunction"]["Properties"];
    for way in ["Events", "FunctionUrlConfig"] {
        assert!(admin.get(way).is_none() && template["Globals"]["Function"].get(way).is_none(), "{way}");
    }
    assert_eq!(admin["EventInvokeConfig"]["MaximumRetryAttempts"], 0);
    assert!(!admin["Policies"].to_string().contains("kms:"), "it cannot open what is sealed");
}

#[test]
fn a_dead_letter_is_kept_longer_than_a_message() {
    let resources = resources();
    let days = |queue: &str| resources[queue]["Properties"]["MessageRetentionPeriod"].as_u64().unwrap() / 86_400;
    assert_eq!((days("Queue"), days("DeadLetterQueue")), (4, 14));
}

#[test]
fn what_aws_would_do_otherwise_is_said() {
    let resources = resources();
    for (id, function) in of_type(&resources, "AWS::Serverless::Function") {
        let loops = &function["Properties"]["RecursiveLoop"];
        assert_eq!(loops, &if id == "WorkerFunction" { json!("Allow") } else { Value::Null }, "{id}");
    }
    let format = &resources["Stage"]["Properties"]["AccessLogSettings"]["Format"];
    let line: Map<String, Value> = serde_json::from_str(text(format)).expect("an access log line is JSON");
    assert!(["level", "timestamp", "requestId"].iter().all(|field| line.contains_key(*field)), "{line:?}");
    assert_eq!(resources["Queue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"], 20);
    // What a failed first deployment deletes must not be protected.
    assert_eq!(
        setting(&resources["Table"]["Properties"]["DeletionProtectionEnabled"]).map(|(_, default)| default).as_deref(),
        Some("false")
    );
    for kept in ["Table", "Key"] {
        assert_eq!(resources[kept]["DeletionPolicy"], "RetainExceptOnCreate", "{kept}");
    }
    for (id, endpoint) in of_type(&resources, "AWS::EC2::VPCEndpoint") {
        let condition = &endpoint["Properties"]["PolicyDocument"]["Statement"][0]["Condition"]["StringEquals"];
        assert!(
            condition.get("aws:PrincipalAccount").is_some() && condition.get("aws:ResourceAccount").is_some(),
            "{id}"
        );
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

#[test]
fn a_canary_deployment_calls_every_function_by_its_alias_and_goes_back_by_alarms() {
    let (plain, canary) = (template(), parsed(&printed("canary", &["Linear10PercentEvery1Minute"])));
    let functions = &canary["Globals"]["Function"];
    assert_eq!(functions["AutoPublishAlias"], "live");
    assert_eq!(functions["DeploymentPreference"]["Type"], "Linear10PercentEvery1Minute");
    for alarm in functions["DeploymentPreference"]["Alarms"].as_array().unwrap() {
        assert_eq!(plain["Resources"][text(alarm)]["Type"], "AWS::CloudWatch::Alarm", "{alarm}");
    }
    // Without it, a change of a parameter would make no new version.
    assert!(functions["Environment"]["Variables"]["DEPLOYED_AT"].is_string());
    let resources = canary["Resources"].as_object().unwrap();
    let callers = [
        ("AWS::ApiGatewayV2::Integration", "IntegrationUri"),
        ("AWS::Lambda::Permission", "FunctionName"),
        ("AWS::Lambda::EventSourceMapping", "FunctionName"),
    ];
    let mut called = BTreeSet::new();
    for (kind, property) in callers {
        for (id, resource) in of_type(resources, kind) {
            let function = text(&resource["Properties"][property]);
            called.insert(function.strip_suffix(".Alias").unwrap_or_else(|| panic!("{id} calls {function}")));
        }
    }
    let invoked: BTreeSet<&str> = of_type(resources, "AWS::Serverless::Function")
        // A schedule is the function's own, and SAM lets it call the alias; a person invokes what has neither.
        .filter(|(id, _)| called.contains(id))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(called, invoked);
    assert!(called.len() >= 7, "{called:?}");
    // Nothing else is changed.
    let same = |part: &str| plain[part] == canary[part];
    assert!(["Parameters", "Conditions", "Outputs"].iter().all(|part| same(part)));
}

#[test]
fn the_page_about_scale_has_what_the_simulation_prints() {
    printed("scale-sim", &["--check"]);
    for (arguments, says) in [
        (&["--load", "5"][..], "gives way"),
        (&["--load", "5", "model=100000"], "Lambda, concurrent gives way at 3.1/s"),
        (&["--load", "5", "model=100000", "Lambda, concurrent=100"], "100 % served"),
        (&["--load", "0.05"], "100 % served"),
        (&["--load", "30", "model=1e9", "Lambda, concurrent=1000"], "ThrottlePlan"),
        (&["--load", "60", "model=1e9", "Lambda, concurrent=1000", "plans=100"], "workers"),
    ] {
        let told = printed("scale-sim", arguments);
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
}
