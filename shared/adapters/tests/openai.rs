//! The model's adapter against a strict endpoint, over HTTP on loopback.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::Duration,
};

use adapters::{
    http::{ClientOptions, LazyClient},
    openai::OpenAi,
    secret::Secret,
};
use engine::ports::{Answer, Finish, Model, ModelError, ModelRequest, Usage};
use fakes::model::{FakeModel, Reply};
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
        schema: schema(),
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
            "messages": [
                { "role": "system", "content": "Plan it." },
                { "role": "user", "content": "tell ana@example.com hello" },
            ],
            "response_format": { "type": "json_schema", "json_schema": { "name": "plan", "strict": true, "schema": null } },
        })
    );
    assert_eq!((model.name(), model.max_output_tokens()), ("gpt-test", Some(200)));
}

#[tokio::test]
async fn an_endpoint_that_knows_the_older_limit_only_is_asked_by_it_from_then_on() {
    for (status, says) in [
        (422, json!({ "detail": [{ "type": "extra_forbidden", "loc": ["body", "max_completion_tokens"] }] })),
        (400, json!({ "error": { "message": "Unsupported parameter: 'max_completion_tokens'", "code": "x" } })),
    ] {
        let fake = FakeModel::new(KEY);
        fake.script(Reply::Status(status, vec![], says));
        let model = model_at(&fake.serve().await, KEY);
        for _ in 0..2 {
            // This fake takes the newer limit only, so that nothing more than the two requests is sent.
            assert!(matches!(model.ask(&request("hello")).await, Err(ModelError::Refused(_))));
        }
        let caps: Vec<[bool; 2]> = fake
            .requests()
            .iter()
            .map(|request| ["max_completion_tokens", "max_tokens"].map(|name| request.body[name] == 200))
            .collect();
        assert_eq!(caps, [[true, false], [false, true], [false, true]]);
    }
}

#[tokio::test]
async fn a_filtered_prompt_is_a_refusal_and_no_failure() {
    let filtered = json!({ "error": { "code": "content_filter", "status": 400, "message": "secret" } });
    assert_eq!(finish_of(Reply::Status(400, vec![], filtered)).await, Finish::Refusal(None));
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
    for status in [301, 402, 403, 404, 408, 413, 422] {
        let headers = vec![("location", "http://127.0.0.1:1/".to_owned())];
        let error = answer_to(Reply::Status(status, headers, json!("secret"))).await.unwrap_err();
        assert_eq!(error, refused(&format!("status {status}")));
    }
}

#[tokio::test]
async fn a_wrong_key_and_a_schema_that_is_not_strict_are_refused() {
    let fake = FakeModel::new(KEY);
    let base = fake.serve().await;
    let wrong = model_at(&base, "sk-wrong").ask(&request("tell ana@example.com hello")).await.unwrap_err();
    let expected = "status 401, code invalid_api_key, type invalid_request_error";
    assert_eq!(wrong, ModelError::Refused(expected.to_owned()));
    let none = OpenAi::new(client(), &base, None, "gpt-test".to_owned(), 200);
    assert!(matches!(none.ask(&request("hello")).await, Err(ModelError::Refused(_))));
    assert!(fake.requests()[1].headers.get("authorization").is_none());

    let mut loose = request("hello");
    loose.schema["additionalProperties"] = json!(true);
    let error = model_at(&base, KEY).ask(&loose).await.unwrap_err();
    let expected = "status 400, code invalid_json_schema, type invalid_request_error";
    assert_eq!(error, ModelError::Refused(expected.to_owned()));
    let unprintable = model_at(&base, "sk\n").ask(&request("hello")).await.unwrap_err();
    assert!(matches!(unprintable, ModelError::Refused(_)), "{unprintable:?}");
    assert_eq!(fake.requests().len(), 3, "a key that no header can hold is not sent");
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
