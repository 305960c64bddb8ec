//! The parts that need nothing but a processor.

use std::{
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use adapters::{
    http::{ClientOptions, LazyClient},
    mime,
    providers::{self, Apis},
    rules::RulesPlanner,
    vault::LocalVault,
};
use axum::{
    body::Body,
    extract::{FromRequest as _, Request},
};
use domain::{ActionId, ClientRequestId, JobId, Mail, Provider, WorkspaceId, mentions, payload_hash, sha256};
use engine::{
    catalogue::Catalogue,
    plan::plan_schema,
    ports::{Action, Finish, Model as _, ModelRequest, Place, Purpose, RenderContext, Sealed, Vault as _},
};
use mail_parser::MessageParser;
use serde_json::{Value, json};

use super::{Part, Work};

/// Each with its yardstick.
pub const PARTS: &[Part] = &[
    Part { name: "mime", ours: mime_ours, than: "mail-parser alone reads it", yardstick: mime_read },
    Part { name: "mime, text and html", ours: html_ours, than: "mail-parser alone reads it", yardstick: html_read },
    Part { name: "execute body, 1 action", ours: || body(1), than: "serde_json alone", yardstick: || json_alone(1) },
    Part {
        name: "execute body, 10 actions",
        ours: || body(10),
        than: "serde_json alone",
        yardstick: || json_alone(10),
    },
    Part { name: "strict schema", ours: schema, than: "to write it as text", yardstick: schema_text },
    Part { name: "payload hash", ours: hash, than: "SHA-256 of the same bytes", yardstick: || digest(&params()) },
    Part {
        name: "idempotency key",
        ours: job_id,
        than: "SHA-256 of the same bytes",
        yardstick: || digest(&json!(KEY)),
    },
    Part { name: "seal 2 KB", ours: seal, than: "SHA-256 of the same bytes", yardstick: || digest(&json!(text())) },
    Part { name: "open 2 KB", ours: open, than: "SHA-256 of the same bytes", yardstick: || digest(&json!(text())) },
    Part { name: "grounding, 2 KB", ours: ground, than: "to look at each character once", yardstick: characters },
    Part { name: "rules planner", ours: rules, than: "to read its answer as JSON", yardstick: rules_read },
];

const KEY: &str = "0d7bf1f0-7a3e-4a3e-9a55-0b6f0c3a8d11";

/// About 2 KB of plain text.
fn text() -> String {
    "Hello, thank you for the meeting on Friday; the minutes are below, and the next one is in two weeks.\n".repeat(20)
}

fn params() -> Value {
    let to = ["Ana Müller <ana@example.com>", "bo@example.com"];
    json!({ "to": to, "cc": "cy@contoso.com", "subject": "Minutes of the meeting, übermorgen", "text": text() })
}

/// The answer of a future that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it has to wait"),
    }
}

fn catalogue() -> Catalogue {
    let client = LazyClient::new(ClientOptions::PROVIDER);
    let apis = Apis::new(&client, &[].into()).expect("the public addresses");
    Catalogue::new(providers::specs(), providers::actions(&apis))
}

fn stamp() -> RenderContext {
    let from = Some("user@example.com".parse().expect("an address"));
    RenderContext { from, date: Some("2027-01-01T12:00:00Z".parse().expect("a time")), id: Some(KEY.to_owned()) }
}

fn mail(html: bool) -> Mail {
    let mut params = params();
    if html {
        params["html"] = json!(format!("<p>{}</p>", text()));
    }
    Mail::parse(&params, &Mail::FIELDS).expect("a mail")
}

fn rendering(html: bool) -> Work {
    let (mail, stamp) = (mail(html), stamp());
    Box::new(move || {
        black_box(mime::render(black_box(&mail), &stamp).expect("it can be rendered"));
    })
}

fn reading(html: bool) -> Work {
    let text = mime::render(&mail(html), &stamp()).expect("it can be rendered");
    Box::new(move || {
        black_box(MessageParser::new().parse(black_box(text.as_bytes())).expect("a message"));
    })
}

fn mime_ours() -> Work {
    rendering(false)
}

fn mime_read() -> Work {
    reading(false)
}

fn html_ours() -> Work {
    rendering(true)
}

fn html_read() -> Work {
    reading(true)
}

/// A request's body of so many actions.
fn request(actions: usize) -> Vec<u8> {
    let one = |place| {
        let id = format!("{KEY}-{place}");
        json!({ "provider": "google", "action": "gmail.send", "params": params(), "client_request_id": id })
    };
    let actions: Vec<Value> = (0..actions).map(one).collect();
    json!({ "actor_id": "user@example.com", "actions": actions }).to_string().into_bytes()
}

/// From bytes to checked params: no key twice, no unknown field, every address parsed.
fn body(actions: usize) -> Work {
    let (bytes, catalogue) = (request(actions), catalogue());
    Box::new(move || {
        let request = Request::post("/").header("content-type", "application/json").body(Body::from(bytes.clone()));
        let read = web::body::Json::<Value>::from_request(request.expect("a request"), &());
        let Ok(web::body::Json(body)) = now(read) else { panic!("it is refused") };
        for action in body["actions"].as_array().expect("a list") {
            let parsed = catalogue.parse(Some("google"), "gmail.send", &action["params"]);
            black_box(parsed.map_err(|problem| problem.detail).expect("it is valid").1);
        }
    })
}

fn json_alone(actions: usize) -> Work {
    let bytes = request(actions);
    Box::new(move || {
        black_box(serde_json::from_slice::<Value>(black_box(&bytes)).expect("JSON"));
    })
}

fn schema_of(catalogue: &Catalogue) -> Value {
    let actions: Vec<&dyn Action> = catalogue.iter().map(AsRef::as_ref).collect();
    plan_schema(&actions)
}

fn schema() -> Work {
    let catalogue = catalogue();
    Box::new(move || {
        black_box(schema_of(black_box(&catalogue)));
    })
}

fn schema_text() -> Work {
    let schema = schema_of(&catalogue());
    Box::new(move || {
        black_box(black_box(&schema).to_string());
    })
}

fn hash() -> Work {
    let (action, params): (ActionId, Value) = ("gmail.send".parse().expect("an id"), mail(false).to_params());
    Box::new(move || {
        black_box(payload_hash(Provider::Google, &action, black_box(&params)));
    })
}

fn job_id() -> Work {
    let workspace: WorkspaceId = "local".parse().expect("an id");
    let key: ClientRequestId = KEY.parse().expect("an id");
    Box::new(move || {
        black_box(JobId::of(&workspace, black_box(&key)));
    })
}

fn digest(value: &Value) -> Work {
    let text = value.to_string();
    Box::new(move || {
        black_box(sha256(black_box(text.as_bytes())));
    })
}

fn place() -> (LocalVault, WorkspaceId) {
    (LocalVault::from_text(&"07".repeat(32)).expect("a key"), "local".parse().expect("an id"))
}

fn seal() -> Work {
    let ((vault, workspace), text) = (place(), text());
    Box::new(move || {
        let sealed = now(vault.seal(&Place::new(&workspace, Purpose::JobParams, KEY), black_box(text.as_bytes())));
        black_box(sealed.expect("it can be sealed"));
    })
}

fn open() -> Work {
    let (vault, workspace) = place();
    let sealed: Sealed =
        now(vault.seal(&Place::new(&workspace, Purpose::JobParams, KEY), text().as_bytes())).expect("it is sealed");
    Box::new(move || {
        black_box(
            now(vault.open(&Place::new(&workspace, Purpose::JobParams, KEY), black_box(&sealed))).expect("it opens"),
        );
    })
}

/// About 2 KB of a prompt with ten addresses.
fn prompt() -> String {
    let people = ["ana", "bo", "cy", "dee", "eli", "flo", "gus", "hal", "ida", "jo"];
    let line = |name| format!("{}Tell {name}@example.com (and nobody else) about it. ", &text()[..150]);
    people.map(line).concat()
}

fn ground() -> Work {
    let prompt = prompt();
    assert_eq!(mentions(&prompt).len(), 10);
    Box::new(move || {
        black_box(mentions(black_box(&prompt)));
    })
}

fn characters() -> Work {
    let prompt = prompt();
    Box::new(move || {
        black_box(black_box(&prompt).chars().filter(|c| c.is_alphanumeric()).count());
    })
}

fn question() -> ModelRequest {
    let prompt = "Please write to ana@example.com and bo@example.com, copy cy@contoso.com, subject \"New time\", saying \
                  that the meeting moves to Friday at 3pm";
    ModelRequest {
        instructions: String::new(),
        prompt: prompt.to_owned(),
        message: String::new(),
        schema: Value::Null.into(),
        actions: ["gmail.send", "outlook.send"].map(|id| id.parse().expect("an id")).into(),
        answers: Vec::new(),
        timeout: Duration::from_secs(1),
    }
}

fn answer(question: &ModelRequest) -> String {
    match now(RulesPlanner.ask(question)).expect("an answer").finish {
        Finish::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

fn rules() -> Work {
    let question = Arc::new(question());
    assert!(answer(&question).contains("ana@example.com"));
    Box::new(move || {
        black_box(answer(black_box(&question)));
    })
}

fn rules_read() -> Work {
    let text = answer(&question());
    Box::new(move || {
        black_box(serde_json::from_str::<Value>(black_box(&text)).expect("JSON"));
    })
}
