//! Events of calendars, drafts, and mails that answer others: what the program does at strict stand-ins of the providers.

use std::path::Path;

use domain::{AnswerValue, Clarification, ClarificationKind};
use engine::plan::GivenAnswer;
use fakes::{Fakes, Fault, Provider, Token};
use serde_json::{Value, json};

use crate::{
    inside::{Inside, answer},
    support::{GMAIL_COMPOSE, GMAIL_SEND, Reply, Server, run},
};

const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events.owned";
const KINDS: [(&str, &str, &str, &str); 2] = [
    ("google", "calendar.create_event", "calendar.events.insert", "calendar.events.get"),
    ("microsoft", "outlook.create_event", "graph.events.create", "graph.calendarView"),
];

/// The program with accounts of both providers that were granted these scopes.
pub fn live(folder: &Path, fakes: &Fakes, google: &[&str], microsoft: &[&str], more: &[(&str, &str)]) -> Server {
    fakes.add_token(Token {
        address: Some("ana@example.com".into()),
        ..Token::new(Provider::Google, "t-google", google)
    });
    fakes.add_token(Token::new(Provider::Microsoft, "t-microsoft", microsoft));
    let variables = [
        ("GMAIL_BASE_URL", fakes.gmail_url()),
        ("CALENDAR_BASE_URL", fakes.calendar_url()),
        ("PEOPLE_BASE_URL", fakes.people_url()),
        ("GRAPH_BASE_URL", fakes.graph_url()),
        ("GOOGLE_ACCESS_TOKEN", "t-google".to_owned()),
        ("GOOGLE_ACCESS_TOKEN_SCOPES", google.join(" ")),
        ("MICROSOFT_ACCESS_TOKEN", "t-microsoft".to_owned()),
        ("MICROSOFT_ACCESS_TOKEN_SCOPES", microsoft.join(" ")),
    ];
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Server::start(folder, &[&variables, more].concat())
}

fn calendars(folder: &Path, fakes: &Fakes, more: &[(&str, &str)]) -> Server {
    live(folder, fakes, &[EVENTS], &["Calendars.ReadWrite"], more)
}

fn event(action: &str, key: &str, more: &Value) -> Value {
    let mut params = json!({ "title": "Review", "start": "2026-12-01T10:00", "minutes": 30, "time_zone": "Europe/Berlin",
                             "text": format!("job:{key}") });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "action": action, "params": params, "client_request_id": key })
}

async fn execute(server: &Server, action: &Value) -> Reply {
    server.post("/ai/execute", &json!({ "actions": [action], "actor_id": "ana@example.com" })).await
}

/// The end of the job of an action that is accepted.
async fn ended(server: &Server, action: &Value) -> Value {
    let accepted = execute(server, action).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    server.ended(accepted.body["job_ids"][0].as_str().unwrap()).await
}

fn raw(fakes: &Fakes, key: &str) -> Value {
    let deliveries = fakes.deliveries();
    let delivery = deliveries.iter().find(|delivery| delivery.key == format!("job:{key}")).expect("it arrived");
    serde_json::from_str(&delivery.mail.raw).unwrap()
}

#[tokio::test]
async fn an_event_arrives_once_as_it_was_shown() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let server = calendars(folder.path(), &fakes, &[]);
    let more = json!({ "attendees": ["Zoë Groß <zoe@example.org>", "bo@example.com"], "location": "Room 4" });
    for (provider, id, ..) in KINDS {
        let action = event(id, provider, &more);
        let job = ended(&server, &action).await;
        assert_eq!((&job["status"], &job["effect"]), (&json!("completed"), &json!("change")), "{job}");
        assert_eq!(job["result"]["done"], "The event is in the calendar, and the attendees are invited.", "{job}");
        let summary = json!({ "title": "Review", "recipients": ["zoe@example.org", "bo@example.com"], "more": 0 });
        for (name, value) in summary.as_object().unwrap() {
            assert_eq!(job["summary"][name], *value, "{job}");
        }
        // The same request again is the same job.
        assert_eq!(execute(&server, &action).await.body["jobs"][0]["replayed"], true);
        let preview = server.post("/actions/preview", &json!({ "action": id, "params": action["params"] })).await.body;
        let (mut shown, mut arrived): (Value, Value) =
            (serde_json::from_str(preview["body"].as_str().unwrap()).unwrap(), raw(&fakes, provider));
        let ids = if provider == "google" { "id" } else { "transactionId" };
        let id_of_job = arrived[ids].take().as_str().unwrap().replace('-', "");
        assert_eq!(id_of_job, job["job_id"].as_str().unwrap().replace('-', ""));
        shown[ids] = Value::Null;
        assert_eq!(shown, arrived);
        assert_eq!(preview["sha256"], job["result"]["content_sha256"]);
        let delivery = fakes.deliveries().into_iter().find(|found| found.key == format!("job:{provider}")).unwrap();
        assert_eq!(
            (delivery.mail.to, delivery.mail.subject),
            (vec!["zoe@example.org".into(), "bo@example.com".into()], "Review".into())
        );
        assert_eq!(fakes.count(&format!("job:{provider}")), 1);
    }
    let google = raw(&fakes, "google");
    assert_eq!(google["start"], json!({ "dateTime": "2026-12-01T10:00:00", "timeZone": "Europe/Berlin" }));
    assert_eq!(google["attendees"][0], json!({ "email": "zoe@example.org", "displayName": "Zoë Groß" }));
    let graph = raw(&fakes, "microsoft");
    assert_eq!(graph["end"], json!({ "dateTime": "2026-12-01T10:30:00", "timeZone": "Europe/Berlin" }));
    assert_eq!(graph["location"], json!({ "displayName": "Room 4" }));
}

#[tokio::test]
async fn whatever_becomes_of_an_answer_there_is_one_event() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let server = calendars(folder.path(), &fakes, &[]);
    for (provider, id, create, look) in KINDS {
        for (name, faults, presumed) in [
            ("closed", vec![Fault::AcceptThenClose.on(create)], true),
            ("failed", vec![Fault::AcceptThen500.on(create)], true),
            ("garbled", vec![Fault::AcceptThenGarbage.on(create)], true),
            ("before", vec![Fault::CloseBefore.on(create)], false),
            ("busy", vec![Fault::TooManyRequests { retry_after_s: Some(1) }.on(create)], false),
            ("twice", vec![Fault::AcceptThenClose.on(create), Fault::Fail500.on(look)], true),
            (
                "limited",
                vec![Fault::AcceptThenClose.on(create), Fault::TooManyRequests { retry_after_s: Some(1) }.on(look)],
                true,
            ),
        ] {
            for fault in faults {
                fakes.script(fault);
            }
            let key = format!("{provider}-{name}");
            let job = ended(&server, &event(id, &key, &json!({ "attendees": "zoe@example.org" }))).await;
            assert_eq!(job["status"], "completed", "{key}: {job}");
            assert_eq!(job["result"]["presumed"] == true, presumed, "{key}: {job}");
            assert!(job["result"]["event_id"].is_string(), "{key}: {job}");
            assert_eq!(fakes.count(&format!("job:{key}")), 1, "{key}");
        }
    }
}

#[tokio::test]
async fn an_event_under_the_jobs_id_that_is_another_is_not_taken_for_it() {
    let (fakes, folder, other) =
        (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = calendars(folder.path(), &fakes, &[]);
    for (provider, id, ..) in KINDS {
        assert_eq!(ended(&server, &event(id, provider, &json!({}))).await["status"], "completed");
    }
    // Another deployment with the same account and the same keys.
    let server = calendars(other.path(), &fakes, &[]);
    for (provider, id, ..) in KINDS {
        let same = ended(&server, &event(id, provider, &json!({}))).await;
        assert_eq!(same["status"], "completed", "{same}");
        assert_eq!(fakes.count(&format!("job:{provider}")), 1);
    }
    let third = tempfile::tempdir().unwrap();
    let server = calendars(third.path(), &fakes, &[]);
    for (provider, id, ..) in KINDS {
        let job = ended(&server, &event(id, provider, &json!({ "title": "Party" }))).await;
        assert_eq!((&job["status"], &job["error"]["code"]), (&json!("error"), &json!("provider-rejected")), "{job}");
        assert_eq!(fakes.count(&format!("job:{provider}")), 1);
    }
}

#[tokio::test]
async fn attendees_are_recipients_in_every_rule() {
    let fakes = Fakes::start().await.unwrap();
    let quiet = json!({ "attendees": "eve@example.net", "notify": "none" });
    let loud = json!({ "attendees": ["ana@example.com", "eve@example.net"] });
    let folder = tempfile::tempdir().unwrap();
    let server = calendars(folder.path(), &fakes, &[("ALLOW_RECIPIENT_DOMAINS", "example.com")]);
    for (action, params) in
        [("calendar.create_event", &quiet), ("calendar.create_event", &loud), ("outlook.create_event", &loud)]
    {
        let refused = execute(&server, &event(action, "domains", params)).await;
        assert_eq!((refused.status, refused.code()), (403, &json!("recipient-not-allowed")), "{action} {params}");
    }
    let folder = tempfile::tempdir().unwrap();
    let own = [("INTERNAL_DOMAINS", "example.com"), ("REQUIRE_APPROVAL", "external")];
    let server = calendars(folder.path(), &fakes, &own);
    for (key, params) in [("quiet", &quiet), ("loud", &loud)] {
        let held = execute(&server, &event("calendar.create_event", key, params)).await.body["jobs"][0].take();
        assert_eq!(held["status"], "pending", "{held}");
        let job = server.get(&format!("/ai/jobs/{}", held["job_id"].as_str().unwrap())).await.body;
        assert_eq!((&job["waiting_for"], &job["because"]), (&json!("approval"), &json!(["external"])), "{job}");
        assert_eq!(fakes.count(&format!("job:{key}")), 0);
        let preview = event("calendar.create_event", key, params);
        let preview = json!({ "action": preview["action"], "params": preview["params"] });
        let warnings = server.post("/actions/preview", &preview).await.body["warnings"].take();
        assert!(warnings.as_array().unwrap().iter().any(|warning| warning["code"] == "external"), "{warnings}");
    }
    assert_eq!(ended(&server, &event("calendar.create_event", "alone", &json!({}))).await["status"], "completed");

    let folder = tempfile::tempdir().unwrap();
    let scopes =
        ["keys", "create", "--workspace", "local", "--scopes", "actions:preview,actions:execute", "--draft-only"];
    let key = run(folder.path(), &[], &scopes);
    let mut server = calendars(folder.path(), &fakes, &[]);
    server.use_key(&key);
    for params in [&quiet, &loud] {
        let refused = execute(&server, &event("calendar.create_event", "draft-only", params)).await;
        assert_eq!((refused.status, refused.code()), (403, &json!("action-not-allowed")), "{params}");
    }
    assert_eq!(ended(&server, &event("outlook.create_event", "own", &json!({}))).await["status"], "completed");
}

#[tokio::test]
async fn an_event_that_cannot_be_is_refused_with_a_pointer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    for (action, params, pointer, says) in [
        ("calendar.create_event", json!({ "start": "2027-03-28T02:30" }), "/start", "does not exist"),
        ("outlook.create_event", json!({ "start": "2027-10-31T02:30" }), "/start", "exists twice"),
        (
            "calendar.create_event",
            json!({ "minutes": null, "end": "2027-03-28T02:30", "start": "2027-03-27T10:00" }),
            "/end",
            "does not exist",
        ),
        ("calendar.create_event", json!({ "start": "2026-12-01T10:00Z" }), "/start", "without an offset"),
        ("calendar.create_event", json!({ "time_zone": "CET/Paris" }), "/time_zone", "IANA"),
        ("outlook.create_event", json!({ "attendees": "a@example.com", "notify": "none" }), "/notify", "always writes"),
        ("calendar.create_event", json!({ "html": "<p>" }), "/html", "is not a field"),
    ] {
        let refused = execute(&server, &event(action, "k", &params)).await;
        assert_eq!((refused.status, refused.code()), (422, &json!("invalid-params")), "{params}");
        assert_eq!(refused.pointers(), [format!("/actions/0/params{pointer}")], "{params}");
        let detail = refused.body["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{params}: {detail}");
    }
    // Without attendees there is nobody to be silent to.
    let alone = event("outlook.create_event", "alone", &json!({ "notify": "none" }));
    let job = ended(&server, &alone).await;
    assert_eq!(job["status"], "completed", "{job}");
    let outbox = server.get("/dev/outbox").await.body["data"][0].take();
    assert_eq!((&outbox["title"], &outbox["effect"]), (&json!("Review"), &json!("change")), "{outbox}");
}

#[tokio::test]
async fn a_missing_scope_ends_an_event_until_the_account_is_connected_with_it() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let server = live(folder.path(), &fakes, &[GMAIL_SEND], &["Mail.Send"], &[]);
    for (provider, id, ..) in KINDS {
        let job = ended(&server, &event(id, provider, &json!({}))).await;
        assert_eq!((&job["status"], &job["error"]["code"]), (&json!("error"), &json!("reauth-required")), "{job}");
        assert_eq!(fakes.count(&format!("job:{provider}")), 0);
    }
}

fn mail(action: &str, key: &str, more: &Value) -> Value {
    let mut params = json!({ "to": "john@example.com", "subject": "Re: Plans", "text": format!("job:{key} hello") });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "action": action, "params": params, "client_request_id": key })
}

#[tokio::test]
async fn a_draft_is_left_and_nothing_is_sent() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let server = live(folder.path(), &fakes, &[GMAIL_COMPOSE], &["Mail.ReadWrite"], &[]);
    for (action, create) in [("gmail.draft", "gmail.drafts.create"), ("outlook.draft", "graph.messages.create")] {
        for fault in [None, Some(Fault::AcceptThenClose), Some(Fault::TooManyRequests { retry_after_s: Some(1) })] {
            let key = format!("{action}-{fault:?}").replace([' ', '{', '}', ':', '(', ')'], "");
            if let Some(fault) = fault {
                fakes.script(fault.on(create));
            }
            for more in [json!({}), json!({ "in_reply_to": "<1@example.com>", "html": "<p>hello</p>" })] {
                let key = format!("{key}-{}", more.as_object().unwrap().len());
                let job = ended(&server, &mail(action, &key, &more)).await;
                let done = (&job["status"], &job["effect"], &job["result"]["done"]);
                assert_eq!(done, (&json!("completed"), &json!("draft"), &json!("Left among the drafts.")), "{job}");
                assert!(job["result"]["draft_id"].as_str().is_some_and(|id| !id.is_empty()), "{job}");
                assert_eq!(job["summary"]["title"], "Re: Plans");
            }
        }
    }
    assert!(fakes.deliveries().is_empty());
    let folder = tempfile::tempdir().unwrap();
    let server = live(folder.path(), &fakes, &[GMAIL_SEND], &["Mail.Send"], &[]);
    for action in ["gmail.draft", "outlook.draft"] {
        let refused = execute(&server, &mail(action, action, &json!({}))).await;
        assert_eq!((refused.status, refused.code()), (409, &json!("reauth-required")), "{}", refused.body);
        assert!(refused.body["connect_url"].is_string(), "{}", refused.body);
    }
}

#[tokio::test]
async fn an_answer_goes_into_its_conversation() {
    let fakes = Fakes::start().await.unwrap();
    for (google, microsoft) in [(GMAIL_SEND, &["Mail.Send"][..]), (GMAIL_COMPOSE, &["Mail.Send", "Mail.ReadWrite"])] {
        let folder = tempfile::tempdir().unwrap();
        let server = live(folder.path(), &fakes, &[google], microsoft, &[]);
        let thread = json!({ "in_reply_to": "2@example.com", "references": ["<1@example.com>", "<2@example.com>"] });
        let gmail = json!({ "in_reply_to": "<2@example.com>", "thread_id": "18c2f0a1" });
        let both = json!({ "references": ["<1@example.com>"], "html": "<p>hello</p>", "bcc": "bo@example.com" });
        for (action, key, more, in_reply_to, references, thread_id) in [
            ("gmail.send", "a", &thread, Some("2@example.com"), vec!["1@example.com", "2@example.com"], None),
            ("gmail.send", "b", &gmail, Some("2@example.com"), vec!["2@example.com"], Some("18c2f0a1")),
            ("gmail.send", "c", &json!({ "thread_id": "18c2f0a1" }), None, vec![], Some("18c2f0a1")),
            ("outlook.send", "d", &thread, Some("2@example.com"), vec!["1@example.com", "2@example.com"], None),
            ("outlook.send", "e", &both, None, vec!["1@example.com"], None),
        ] {
            let key = format!("{key}-{}", microsoft.len());
            let job = ended(&server, &mail(action, &key, more)).await;
            assert_eq!(job["status"], "completed", "{job}");
            let sent = fakes.deliveries().into_iter().find(|found| found.key == format!("job:{key}")).unwrap().mail;
            assert_eq!(
                (sent.in_reply_to.as_deref(), sent.references),
                (in_reply_to, references.iter().map(ToString::to_string).collect())
            );
            assert_eq!(sent.thread_id.as_deref(), thread_id, "{key}");
            assert_eq!(sent.to, ["john@example.com"]);
            if key.starts_with('e') {
                assert_eq!((sent.bcc, sent.html.as_deref()), (vec!["bo@example.com".to_owned()], Some("<p>hello</p>")));
                assert_eq!(sent.text, Some(format!("job:{key} hello")), "both bodies arrive");
            }
            let content = server.get(&format!("/ai/jobs/{}/content", job["job_id"].as_str().unwrap())).await.body;
            assert_eq!(content["in_reply_to"].as_str(), in_reply_to.map(|id| format!("<{id}>")).as_deref());
        }
        let refused = execute(&server, &mail("outlook.send", "thread", &json!({ "thread_id": "1" }))).await;
        assert_eq!(refused.pointers(), ["/actions/0/params/thread_id"]);
        let injected =
            json!({ "in_reply_to": "<1@example.com>\r\nBcc: eve@example.net", "references": ["<2@example.com>\nx"] });
        let refused = execute(&server, &mail("gmail.send", "injected", &injected)).await;
        assert_eq!(refused.pointers(), ["/actions/0/params/in_reply_to", "/actions/0/params/references/0"]);
    }
}

fn planned(params: &Value) -> Value {
    answer(&[json!({ "provider": "google", "action": "calendar.create_event", "params": params })])
}

fn params(start: &Value) -> Value {
    json!({ "title": "Call", "start": start, "end": null, "minutes": 30, "time_zone": "Europe/Berlin",
            "attendees": ["ana@example.com"], "location": null, "text": null, "notify": null })
}

fn given(question: &Clarification, value: &str) -> GivenAnswer {
    GivenAnswer { id: question.id.clone(), value: AnswerValue::Text(value.to_owned()) }
}

#[tokio::test]
async fn a_time_that_is_no_moment_is_asked_for_and_its_answer_fills_it_in() {
    for (start, says, value, becomes) in [
        (json!("2027-03-28T02:30"), "does not exist in Europe/Berlin", "03:30", "2027-03-28T03:30"),
        (json!("2027-03-28T02:30"), "does not exist in Europe/Berlin", "at 4pm", "2027-03-28T16:00"),
        (json!("2027-10-31T02:30"), "exists twice in Europe/Berlin", "2027-10-31T03:00", "2027-10-31T03:00"),
        (json!("2027-10-31T02:00"), "exists twice in Europe/Berlin", "1 November 2027 at 9:00", "2027-11-01T09:00"),
        (json!("some time soon"), "a day and a time", "2027-01-20T10:00", "2027-01-20T10:00"),
        // The request's own words, as far as they go.
        (json!("tomorrow at 3"), "a day and a time", "3pm", "2027-01-16T15:00"),
        (json!("at 10"), "a day and a time", "tomorrow", "2027-01-16T10:00"),
        (Value::Null, "is required", "2027-01-20T10:00", "2027-01-20T10:00"),
    ] {
        let inside = Inside::new(&[]);
        let prompt = "Call with ana@example.com in the night";
        let mut answers = Vec::new();
        let ask = async |answers: Vec<GivenAnswer>| {
            inside.model.say(planned(&params(&start)));
            inside.plan_with(prompt, None, answers).await.unwrap().plan
        };
        let plan = ask(Vec::new()).await;
        let [question] = &plan.clarifications[..] else { panic!("{start}: {plan:?}") };
        let field = Some("/actions/0/params/start");
        assert_eq!((question.kind, question.field.as_deref()), (ClarificationKind::Text, field), "{start}");
        assert!(question.text.contains(says) && plan.actions.is_empty(), "{start}: {}", question.text);
        // What is no time, or the same one again, is asked for once more, with the reason.
        for useless in ["whenever", "2027-03-28T02:30", "2027-10-31T02:30"] {
            let again = ask(vec![given(question, useless)]).await;
            assert_eq!((again.clarifications.len(), again.actions.len()), (1, 0), "{start} {useless}: {again:?}");
            assert!(
                again.clarifications[0].text.contains("cannot be")
                    || again.clarifications[0].text.contains("in Europe/Berlin: "),
                "{again:?}"
            );
        }
        answers.push(given(question, value));
        let plan = ask(answers).await;
        assert_eq!((plan.actions.len(), plan.clarifications.len()), (1, 0), "{start} {value}: {plan:?}");
        assert_eq!(plan.actions[0].params["start"], becomes, "{start} {value}");
    }
}

#[tokio::test]
async fn a_plan_may_write_and_invite_and_what_a_calendar_cannot_do_is_said() {
    let inside = Inside::new(&[]);
    let mail = json!({ "provider": "google", "action": "gmail.send", "params":
        { "to": ["bo@example.com"], "cc": null, "bcc": null, "reply_to": null, "subject": "Call", "text": "We have a call.", "html": null } });
    let event = json!({ "provider": "google", "action": "calendar.create_event", "params": params(&json!("2027-01-20T10:00")) });
    for prompt in [
        "Book a call with ana@example.com on 20 January at 10 and tell bo@example.com that we have a call",
        "Schedule a call with ana@example.com for 20 January, 10:00. Then email bo@example.com that we have a call.",
        "Please add a meeting with ana@example.com on 20 January at 10, and email bo@example.com that we have a call",
        "Create an event with ana@example.com, 20 January at 10. Email bo@example.com: we have a call.",
        "Put a call with ana@example.com into my calendar on 20 January at 10 and write bo@example.com that we have a call",
    ] {
        let plan = inside.when(answer(&[event.clone(), mail.clone()]), prompt).await.unwrap().plan;
        assert_eq!((plan.actions.len(), plan.questions.len()), (2, 0), "{prompt}: {plan:?}");
        // Without the event, the mail is not all that was asked for.
        let plan = inside.when(answer(std::slice::from_ref(&mail)), prompt).await.unwrap().plan;
        assert!(!plan.questions.is_empty(), "{prompt}: {plan:?}");
    }
    let mut silent = event.clone();
    (silent["provider"], silent["action"], silent["params"]["notify"]) =
        (json!("microsoft"), json!("outlook.create_event"), json!("none"));
    let prompt = "Call with ana@example.com in Outlook, 20 January 2027 at 10, and tell nobody";
    let plan = inside.when(answer(&[silent]), prompt).await.unwrap().plan;
    assert!(plan.actions.is_empty() && plan.questions.is_empty(), "{plan:?}");
    assert!(plan.notes.as_ref().is_some_and(|notes| notes.contains("always writes to attendees")), "{plan:?}");
    // An attendee whom nobody named is a question, as every recipient is.
    let plan = inside.when(answer(&[event]), "Call with Ana on 20 January 2027 at 10").await.unwrap().plan;
    assert_eq!((plan.actions.len(), plan.clarifications[0].kind), (0, ClarificationKind::Address), "{plan:?}");
    assert_eq!(plan.clarifications[0].field.as_deref(), Some("/actions/0/params/attendees"));
}
