//! The model's adapter against a strict endpoint, over HTTP on loopback.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    time::Duration,
};

use adapters::{
    http::{ClientOptions, LazyClient, Network},
    openai::OpenAi,
    secret::Secret,
};
use engine::ports::{Answer, Finish, Model, ModelError, ModelRequest, Usage};
use fakes::model::{FakeModel, Reply, Vendor};
use serde_json::{Value, json};

const KEY: &str = "sk-test-0123456789";

fn client() -> LazyClient {
    LazyClient::new(ClientOptions::MODEL)
}

fn model_at(base: &str, key: &str) -> OpenAi {
    OpenAi::new(client(), base, Some(Secret::Given(key.into())), "gpt-test".to_owned(), 200)
}

/// An object of strict mode with these properties, required in the order given.
fn object(properties: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<_, _> =
        properties.iter().map(|(n, schema)| ((*n).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn schema() -> Value {
    let addresses = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 50 });
    let or_null = |schema: &Value| json!({ "anyOf": [schema, { "type": "null" }] });
    let params = object(&[
        ("to", addresses.clone()),
        ("subject", json!({ "type": "string" })),
        ("text", json!({ "type": "string" })),
        ("cc", or_null(&addresses)),
    ]);
    let action = object(&[
        ("provider", json!({ "type": "string", "enum": ["google"] })),
        ("action", json!({ "type": "string", "enum": ["gmail.send"] })),
        ("params", params),
    ]);
    object(&[
        ("intent", json!({ "type": "string" })),
        ("confidence", json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        ("actions", json!({ "type": "array", "maxItems": 10, "items": { "anyOf": [action] } })),
        ("notes", json!({ "type": ["string", "null"] })),
    ])
}

fn request(prompt: &str) -> ModelRequest {
    ModelRequest {
        instructions: "Plan it.".to_owned(),
        prompt: prompt.to_owned(),
        message: prompt.to_owned(),
        schema: schema().into(),
        actions: Vec::new(),
        answers: Vec::new(),
        timeout: Duration::from_secs(20),
    }
}

/// What the adapter makes of one reply.
async fn answer_to(reply: Reply) -> Result<Answer, ModelError> {
    let fake = FakeModel::new(KEY);
    fake.script(reply);
    let answer = model_at(&fake.serve().await, KEY).ask(&request("tell ana@example.com hello")).await;
    assert_eq!(fake.requests().len(), 1, "one request an ask, whatever comes back");
    answer
}

async fn finish_of(reply: Reply) -> Finish {
    answer_to(reply).await.unwrap().finish
}

#[tokio::test]
async fn a_plan_comes_back_and_the_request_is_as_openai_wants_it() {
    let fake = FakeModel::new(KEY);
    let model = model_at(&format!("{}/", fake.serve().await), KEY);
    let answer = model.ask(&request("tell ana@example.com hello")).await.unwrap();

    let Finish::Text(text) = answer.finish else { panic!("{answer:?}") };
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["actions"][0]["action"], "gmail.send");
    assert_eq!(plan["actions"][0]["params"]["to"], json!(["ana@example.com"]));

    let mut sent = fake.requests().remove(0).body;
    assert_eq!(sent["response_format"]["json_schema"]["schema"].take(), schema());
    assert_eq!(
        sent,
        json!({
            "model": "gpt-test", "max_completion_tokens": 200,
            "temperature": 0,
            "messages": [
                { "role": "system", "content": "Plan it." },
                { "role": "user", "content": "tell ana@example.com hello" },
            ],
            "response_format": { "type": "json_schema", "json_schema": { "name": "plan", "strict": true, "schema": null } },
        })
    );
    assert_eq!((model.name(), model.max_output_tokens()), ("gpt-test", Some(200)));
}

/// What an endpoint is asked after it has refused once, and then takes anything.
#[tokio::test]
async fn a_parameter_that_is_refused_by_its_name_is_left_out_from_then_on() {
    let openai = |message: &str, param: Value| json!({ "error": { "message": message, "param": param, "code": null } });
    let detail = |place: Value| json!({ "detail": [{ "type": "extra_forbidden", "loc": place, "input": 200 }] });
    let flat = |message: &str| json!({ "object": "error", "message": message, "type": "BadRequestError", "code": 400 });
    let upstream = |raw: &str| json!({ "error": { "code": 400, "message": "Provider", "metadata": { "raw": raw } } });
    for (status, says, adjusted) in [
        (422, detail(json!(["body", "max_completion_tokens"])), &["max_tokens"][..]),
        (422, json!({ "message": detail(json!(["body", "max_completion_tokens"])) }), &["max_tokens"]),
        (400, openai("Unsupported parameter: 'max_completion_tokens'", json!(null)), &["max_tokens"]),
        (400, openai("Unknown parameter", json!("max_completion_tokens")), &["max_tokens"]),
        (501, flat("max_completion_tokens: not implemented"), &["max_tokens"]),
        (
            400,
            openai("Unsupported value: 'temperature' does not support 0", json!("temperature")),
            &["own_temperature"],
        ),
        (422, detail(json!(["body", "temperature"])), &["own_temperature"]),
        (400, openai("Unknown name \"strict\"", json!(null)), &["not_strict"]),
        (422, detail(json!(["body", "response_format", "json_schema", "strict"])), &["not_strict"]),
        (400, openai("Invalid schema for response_format 'plan'", json!("response_format")), &["not_strict"]),
        (400, openai("This model does not support response format `json_schema`", json!(null)), &["not_strict"]),
        (
            400,
            json!([openai("Unknown name \"type\" at 'generation_config.response_schema'", json!(null))]),
            &["not_strict"],
        ),
        (400, flat("Failed to parse grammar"), &["not_strict"]),
        (400, openai("additionalProperties should not be set", json!(null)), &["not_strict"]),
        (400, openai("Unsupported schema: anyOf", json!(null)), &["not_strict"]),
        (400, upstream("{\"error\":{\"message\":\"response_format is unknown\"}}"), &["not_strict"]),
        (404, json!({ "error": "structured outputs are not supported by this model" }), &["not_strict"]),
        (400, flat("System role not supported"), &["no_system_role"]),
        (
            400,
            openai("Unsupported value: 'messages[0].role' does not support 'system'", json!("messages[0].role")),
            &["no_system_role"],
        ),
        (
            422,
            json!({ "detail": [{ "loc": ["body", "max_completion_tokens"] }, { "loc": ["body", "response_format"] }] }),
            &["max_tokens", "not_strict"],
        ),
    ] {
        let fake = FakeModel::of(Vendor::Ollama, KEY);
        fake.script(Reply::Status(status, vec![], says.clone()));
        let model = model_at(&fake.serve().await, KEY);
        assert!(model.adjusted().is_empty());
        for _ in 0..2 {
            model.ask(&request("tell ana@example.com hello")).await.unwrap();
        }
        assert_eq!((fake.requests().len(), &*model.adjusted()), (3, adjusted), "{says}");
        let [first, second, third] = &fake.requests()[..] else { panic!("three") };
        assert_eq!(second.body, third.body);
        assert_ne!(first.body, second.body);
    }
}

#[tokio::test]
async fn stepping_down_ends_and_counts_only_if_it_helped() {
    let fake = FakeModel::of(Vendor::Ollama, KEY);
    let message = "max_completion_tokens, response_format and the system role are unknown";
    for _ in 0..20 {
        fake.script(Reply::Status(400, vec![], json!({ "error": { "message": message } })));
    }
    let model = model_at(&fake.serve().await, KEY);
    assert_eq!(model.ask(&request("hello")).await, Err(ModelError::Refused("status 400".to_owned())));
    assert_eq!((fake.requests().len(), model.adjusted().len()), (4, 0));
    let last = fake.requests().pop().unwrap();
    assert!(last.body.get("response_format").is_none() && last.body["max_tokens"] == 200);
    assert!(last.message("user").contains(&schema().to_string()), "the schema is in the instructions");
}

#[tokio::test]
async fn what_is_no_refusal_of_a_parameter_is_not_asked_again() {
    let says = |message: &str| json!({ "error": { "message": message } });
    for (status, body, prompt) in [
        (400, says("cannot read: what is response_format?"), "what is response_format?"),
        (400, says("cannot read: say max_completion_tokens"), "Say MAX_COMPLETION_TOKENS"),
        (400, says("the model is unknown"), "hello"),
        (401, says("response_format"), "hello"),
        (403, says("max_completion_tokens"), "hello"),
        (500, says("response_format"), "hello"),
        (429, says("max_completion_tokens"), "hello"),
        (422, json!({ "detail": [{ "loc": ["body", "model"] }] }), "hello"),
    ] {
        let fake = FakeModel::new(KEY);
        fake.script(Reply::Status(status, vec![], body.clone()));
        assert!(model_at(&fake.serve().await, KEY).ask(&request(prompt)).await.is_err());
        assert_eq!(fake.requests().len(), 1, "{body}");
    }
}

#[tokio::test]
async fn a_filtered_prompt_is_a_refusal_and_no_failure() {
    let azure = json!({ "error": { "code": null, "status": 400, "message": "secret",
        "innererror": { "code": "ResponsibleAIPolicyViolation" } } });
    for (status, filtered) in [
        (400, json!({ "error": { "code": "content_filter", "status": 400, "message": "secret" } })),
        (400, azure),
        (400, json!({ "error": { "code": "content_policy_violation" } })),
        (403, json!({ "error": { "code": 403, "message": "Your input was flagged for \"violence\"." } })),
        (200, json!({ "error": { "code": 400, "message": "content_filter" } })),
        (200, json!({ "choices": [{ "finish_reason": "content_filter: PROHIBITED_CONTENT", "message": null }] })),
        (200, json!({ "choices": [{ "finish_reason": "SAFETY", "message": { "content": "" } }] })),
    ] {
        assert_eq!(
            finish_of(Reply::Status(status, vec![], filtered.clone())).await,
            Finish::Refusal(None),
            "{filtered}"
        );
    }
}

#[tokio::test]
async fn a_request_beyond_the_models_context_is_told_apart() {
    let flat = |message: &str, kind: &str| json!({ "object": "error", "message": message, "type": kind, "code": 400 });
    for (status, body) in [
        (400, json!({ "error": { "code": "context_length_exceeded", "message": "secret" } })),
        (400, json!({ "error": { "code": 400, "type": "exceed_context_size_error", "n_ctx": 4096 } })),
        (
            400,
            flat(
                "'max_completion_tokens' is too large: 800. This model's maximum context length is 4096",
                "BadRequestError",
            ),
        ),
        (400, flat("Prompt contains 33000 tokens, too large for model with 32768 maximum context length", "invalid")),
        (
            400,
            json!([{ "error": { "message": "The input token count (9) exceeds the maximum number of tokens allowed" } }]),
        ),
        (400, json!({ "error": { "message": "prompt is too long: 210000 tokens > 200000 maximum" } })),
        (413, json!("secret")),
        (429, json!({ "error": { "code": "rate_limit_exceeded", "message": "Request too large for gpt-4o" } })),
        (200, json!({ "error": { "code": "context_length_exceeded" } })),
    ] {
        let answer = answer_to(Reply::Status(status, vec![], body.clone())).await;
        assert_eq!(answer, Err(ModelError::TooLong), "{body}");
    }
}

#[tokio::test]
async fn an_error_within_a_200_is_what_its_code_says() {
    let said = async |body: Value| answer_to(Reply::Status(200, vec![], body)).await.unwrap_err();
    let upstream = json!({ "choices": [{ "finish_reason": "error", "error": { "code": 502, "message": "secret" } }] });
    assert_eq!(said(upstream).await, ModelError::Unreachable("status 502, code 502".to_owned()));
    for (error, expected) in [
        (json!({ "code": 429 }), ModelError::Busy(None)),
        (json!({ "code": "429" }), ModelError::Busy(None)),
        (json!({ "type": "rate_limit_exceeded" }), ModelError::Busy(None)),
        (json!({ "code": 503, "message": "secret" }), ModelError::Unreachable("status 503, code 503".to_owned())),
        (json!({ "code": 401 }), ModelError::Refused("status 401, code 401".to_owned())),
        (json!({ "code": 402 }), ModelError::Refused("status 402, code 402".to_owned())),
    ] {
        assert_eq!(said(json!({ "error": error, "choices": null })).await, expected, "{error}");
    }
}

#[tokio::test]
async fn an_account_without_money_is_no_wait() {
    for code in ["insufficient_quota", "billing_hard_limit_reached"] {
        let headers = vec![("retry-after", "7".to_owned())];
        let error = answer_to(Reply::Status(429, headers, json!({ "error": { "code": code } }))).await.unwrap_err();
        assert_eq!(error, ModelError::Refused(format!("status 429, code {code}")));
    }
}

#[tokio::test]
async fn azure_takes_the_key_in_a_header_of_its_own() {
    let fake = FakeModel::of(Vendor::Azure, KEY);
    let model = model_at(&fake.serve().await, KEY);
    assert!(model.ask(&request("tell ana@example.com hello")).await.is_ok());
    assert!(fake.requests()[0].headers.get("authorization").is_none());
}

#[tokio::test]
async fn a_compressed_answer_is_decoded_up_to_the_same_size() {
    let body =
        |more: usize| json!({ "choices": [{ "message": { "content": "{}" } }], "more": "x".repeat(more) }).to_string();
    assert_eq!(finish_of(Reply::Gzip(body(0))).await, Finish::Text("{}".to_owned()));
    let bomb = answer_to(Reply::Gzip(body(8 * 1024 * 1024))).await.unwrap_err();
    assert_eq!(bomb, ModelError::Unreadable("larger than 1 MiB".to_owned()));
}

#[tokio::test]
async fn an_answer_in_parts_is_its_text_without_the_thoughts() {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let thought = json!({ "type": "thinking", "thinking": [text("{\"intent\":")] });
    for (parts, expected) in [
        (json!([text("{}")]), Finish::Text("{}".to_owned())),
        (json!([thought, text("{"), text("}")]), Finish::Text("{}".to_owned())),
        (json!([{ "type": "reasoning", "text": "hm" }, text("{}")]), Finish::Text("{}".to_owned())),
        (json!([thought]), Finish::Empty),
        (json!([]), Finish::Empty),
    ] {
        let body = json!({ "choices": [{ "finish_reason": "stop", "message": { "content": parts } }] });
        assert_eq!(finish_of(Reply::Body(body.to_string())).await, expected, "{parts}");
    }
}

#[tokio::test]
async fn a_query_of_the_base_url_stays_behind_the_path() {
    let fake = FakeModel::new(KEY);
    let model = model_at(&format!("{}/?api-version=2024-10-21", fake.serve().await), KEY);
    assert!(model.ask(&request("tell ana@example.com hello")).await.is_ok());
}

#[tokio::test]
async fn every_end_of_an_answer_is_told_apart() {
    for text in ["{}", "no JSON, which is the planner's to say"] {
        assert_eq!(finish_of(Reply::Text(text.to_owned())).await, Finish::Text(text.to_owned()));
    }
    assert_eq!(finish_of(Reply::CutOff("{\"intent\":".to_owned())).await, Finish::CutOff);
    assert_eq!(finish_of(Reply::Text("long ".repeat(200))).await, Finish::CutOff, "the cap is sent and holds");
    assert_eq!(finish_of(Reply::Refusal("No.".to_owned())).await, Finish::Refusal(Some("No.".to_owned())));
    assert_eq!(finish_of(Reply::Filtered).await, Finish::Refusal(None));
    assert_eq!(finish_of(Reply::NoChoices).await, Finish::Empty);
    assert_eq!(finish_of(Reply::NoContent).await, Finish::Empty);
    assert_eq!(finish_of(Reply::Text(" \n".to_owned())).await, Finish::Empty);
    for (choice, expected) in [
        (json!({}), Finish::Empty),
        (json!({ "message": null }), Finish::Empty),
        (json!({ "finish_reason": "length", "message": { "content": null } }), Finish::CutOff),
        (json!({ "finish_reason": "length", "message": { "refusal": "No" } }), Finish::Refusal(Some("No".to_owned()))),
        (
            json!({ "finish_reason": null, "message": { "content": "{}", "refusal": "" } }),
            Finish::Text("{}".to_owned()),
        ),
        (json!({ "finish_reason": "content_filter", "message": { "content": "{}" } }), Finish::Refusal(None)),
        (json!({ "finish_reason": "model_length", "message": { "content": "{" } }), Finish::CutOff),
        (json!({ "finish_reason": "MAX_TOKENS", "message": { "content": "" } }), Finish::CutOff),
    ] {
        assert_eq!(finish_of(Reply::Body(json!({ "choices": [choice] }).to_string())).await, expected, "{choice}");
    }
}

#[tokio::test]
async fn tokens_are_the_models_own_or_none() {
    for (usage, expected) in [
        (json!({ "prompt_tokens": 150, "completion_tokens": 200 }), Usage { input: 150, output: 200 }),
        (json!({ "prompt_tokens": 7 }), Usage { input: 7, output: 0 }),
        (json!(null), Usage::default()),
        (json!("many"), Usage::default()),
        (json!({ "prompt_tokens": -1, "completion_tokens": "9" }), Usage::default()),
    ] {
        let body = json!({ "choices": [{ "message": { "content": "{}" } }], "usage": usage });
        assert_eq!(answer_to(Reply::Body(body.to_string())).await.unwrap().usage, expected, "{usage}");
    }
    let without = json!({ "choices": [{ "message": { "content": "{}" } }] });
    assert_eq!(answer_to(Reply::Body(without.to_string())).await.unwrap().usage, Usage::default());
}

#[tokio::test]
async fn what_is_no_completion_is_unreadable_and_not_repeated() {
    let deep = "[".repeat(100_000);
    let large = format!("{{\"choices\":[],\"secret\":\"{}\"}}", "x".repeat(1024 * 1024));
    for body in [
        "",
        "secret",
        "{\"choices\":",
        "null",
        "[]",
        "{}",
        r#"{"choices":"secret"}"#,
        r#"{"choices":null}"#,
        r#"{"error":{"message":"secret"}}"#,
        r#"{"choices":[{"message":{"content":["secret"]}}]}"#,
        &deep,
        &large,
    ] {
        let error = answer_to(Reply::Body(body.to_owned())).await.unwrap_err();
        assert!(matches!(error, ModelError::Unreadable(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    let most = "x".repeat(1024 * 1024 - 100);
    let body = json!({ "choices": [{ "message": { "content": "{}" } }], "more": most }).to_string();
    assert!(answer_to(Reply::Body(body)).await.is_ok(), "just under 1 MiB");
}

#[tokio::test]
async fn a_refusal_tells_status_and_code_only() {
    let says = async |error: Value| answer_to(Reply::Status(400, vec![], json!({ "error": error }))).await.unwrap_err();
    let refused = |text: &str| ModelError::Refused(text.to_owned());
    let error =
        json!({ "message": "tell ana@example.com", "type": "invalid_request_error", "code": "model_not_found" });
    assert_eq!(says(error).await, refused("status 400, code model_not_found, type invalid_request_error"));
    assert_eq!(says(json!({ "code": 400, "type": null })).await, refused("status 400, code 400"));
    assert_eq!(says(json!({ "code": "tell ana@example.com", "type": KEY })).await, refused("status 400"));
    assert_eq!(says(json!({ "code": "x".repeat(65), "type": ["a"] })).await, refused("status 400"));
    assert_eq!(says(json!("secret")).await, refused("status 400"));
    for status in [301, 402, 403, 404, 408, 422] {
        let headers = vec![("location", "http://127.0.0.1:1/".to_owned())];
        let error = answer_to(Reply::Status(status, headers, json!("secret"))).await.unwrap_err();
        assert_eq!(error, refused(&format!("status {status}")));
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_a_schema_that_is_not_strict_goes_into_the_instructions() {
    let fake = FakeModel::new(KEY);
    let base = fake.serve().await;
    let wrong = model_at(&base, "sk-wrong").ask(&request("tell ana@example.com hello")).await.unwrap_err();
    let expected = "status 401, code invalid_api_key, type invalid_request_error";
    assert_eq!(wrong, ModelError::Refused(expected.to_owned()));
    let none = OpenAi::new(client(), &base, None, "gpt-test".to_owned(), 200);
    assert!(matches!(none.ask(&request("hello")).await, Err(ModelError::Refused(_))));
    assert!(fake.requests()[1].headers.get("authorization").is_none());

    let mut loose = request("hello");
    Arc::make_mut(&mut loose.schema)["additionalProperties"] = json!(true);
    let model = model_at(&base, KEY);
    assert!(model.ask(&loose).await.is_ok());
    assert_eq!(model.adjusted(), ["json_object"]);
    let asked = fake.requests().len();
    let unprintable = model_at(&base, "sk\n").ask(&request("hello")).await.unwrap_err();
    assert!(matches!(unprintable, ModelError::Refused(_)), "{unprintable:?}");
    assert_eq!(fake.requests().len(), asked, "a key that no header can hold is not sent");
}

#[tokio::test]
async fn a_wait_is_read_in_every_form() {
    let date = ("date", "Sun, 22 Nov 2026 10:00:00 GMT");
    for (headers, expected) in [
        (vec![], None),
        (vec![("retry-after", "7")], Some(7_000)),
        (vec![("retry-after", " 0.25 ")], Some(250)),
        (vec![("retry-after", "7"), ("retry-after-ms", "1500")], Some(1_500)),
        (vec![("retry-after", "Sun, 22 Nov 2026 10:00:20 GMT"), date], Some(20_000)),
        (vec![("retry-after", "Sun, 22 Nov 2026 09:59:20 GMT"), date], Some(0)),
        (vec![("retry-after", "Sun, 22 Nov 2026 10:00:20 GMT"), ("date", "once")], None),
        (vec![("retry-after", "soon")], None),
        (vec![("retry-after", "-1")], None),
        (vec![("retry-after", "inf")], None),
        (vec![("retry-after", "NaN")], None),
        (vec![("retry-after", "1e300")], None),
    ] {
        let headers: Vec<_> = headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        let wait = expected.map(Duration::from_millis);
        let busy = answer_to(Reply::Status(429, headers.clone(), json!({}))).await.unwrap_err();
        assert_eq!(busy, ModelError::Busy(wait), "{headers:?}");
        let unavailable = answer_to(Reply::Status(503, headers.clone(), json!({}))).await.unwrap_err();
        match wait {
            Some(_) => assert_eq!(unavailable, ModelError::Busy(wait), "{headers:?}"),
            None => assert_eq!(unavailable, ModelError::Unreachable("status 503".to_owned()), "{headers:?}"),
        }
    }
}

#[tokio::test]
async fn failures_of_the_server_and_the_way_to_it() {
    let headers = vec![("retry-after", "7".to_owned())];
    for status in [500, 502, 504] {
        let error = answer_to(Reply::Status(status, headers.clone(), json!("secret"))).await.unwrap_err();
        assert_eq!(error, ModelError::Unreachable(format!("status {status}")));
    }
    let closed = answer_to(Reply::Close).await.unwrap_err();
    assert_eq!(closed, ModelError::Unreachable("the connection broke before an answer".to_owned()));

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Nobody listens; no such name; a server that does not speak TLS; no URL at all.
    let fake = FakeModel::new(KEY);
    let tls = fake.serve().await.replace("http://", "https://");
    for base in [format!("http://{free}/v1"), "http://nobody.invalid/v1".to_owned(), tls] {
        let error = model_at(&base, KEY).ask(&request("hello")).await.unwrap_err();
        assert_eq!(error, ModelError::Unreachable("no connection".to_owned()), "{base}");
    }
    let error = model_at("no url", KEY).ask(&request("hello")).await.unwrap_err();
    assert!(matches!(error, ModelError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_proxy_that_does_not_let_through_is_no_connection() {
    for answer in ["HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTP/1.1 403 Forbidden\r\n\r\n", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut network = Network::default();
        network.add_proxy(true, &listener.local_addr().unwrap().to_string(), "").unwrap();
        let proxy = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let read = stream.read(&mut [0; 4_096]).unwrap();
            assert!(read > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let http = network.client(ClientOptions::MODEL);
        let model = OpenAi::new(http, "https://model.example.com/v1", None, "gpt-test".to_owned(), 200);
        let error = model.ask(&request("hello")).await.unwrap_err();
        assert_eq!(error, ModelError::Unreachable("no connection".to_owned()), "{answer}");
        proxy.join().unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time() {
    let fake = FakeModel::new(KEY);
    let model = model_at(&fake.serve().await, KEY);
    let soon = ModelRequest { timeout: Duration::from_millis(200), ..request("hello") };
    for reply in [Reply::Hang, Reply::After(Duration::from_mins(1), Box::new(Reply::NoChoices))] {
        fake.script(reply);
        let answer = tokio::time::timeout(Duration::from_secs(10), model.ask(&soon)).await;
        assert_eq!(answer.expect("it gives up by itself"), Err(ModelError::TimedOut));
    }
    fake.script(Reply::After(Duration::from_millis(1), Box::new(Reply::NoChoices)));
    assert_eq!(model.ask(&request("hello")).await.unwrap().finish, Finish::Empty);
}

/// Answers one request with these bytes; keeps the connection open after them, or closes it.
fn raw_server(bytes: &'static str, close: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4_096];
        let mut request = Vec::new();
        // The last characters of what the adapter sends.
        while !request.ends_with(b"\"max_completion_tokens\":200}") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the request ended early");
            request.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(bytes.as_bytes()).unwrap();
        // Until the client closes it.
        while !close && stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
    });
    base
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_stalls_within() {
    const START: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"choices\":";
    let broken = model_at(&raw_server(START, true), KEY).ask(&request("hello")).await;
    assert_eq!(broken, Err(ModelError::Unreadable("the connection broke within the answer".to_owned())));
    let soon = ModelRequest { timeout: Duration::from_millis(200), ..request("hello") };
    assert_eq!(model_at(&raw_server(START, false), KEY).ask(&soon).await, Err(ModelError::TimedOut));
    let garbage = model_at(&raw_server("SSH-2.0-server\r\n\r\n", true), KEY).ask(&request("hello")).await;
    assert!(matches!(garbage, Err(ModelError::Unreachable(_))), "{garbage:?}");
}

#[tokio::test]
async fn properties_are_written_in_the_order_of_the_schema() {
    let fake = FakeModel::new(KEY);
    model_at(&fake.serve().await, KEY).ask(&request("hello")).await.unwrap();
    let text = fake.requests().remove(0).text;
    let mut rest = text.split_once("\"properties\":").unwrap().1;
    let names =
        ["intent", "confidence", "actions", "provider", "action", "params", "to", "subject", "text", "cc", "notes"];
    for name in names {
        let found = rest.split_once(&format!("\"{name}\":"));
        rest = found.unwrap_or_else(|| panic!("{name} is out of order: {text}")).1;
    }
}
