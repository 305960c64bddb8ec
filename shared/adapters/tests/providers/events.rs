//! Both calendars over real HTTP: what a failure means, what is looked for afterwards, and that there is never a second event.

use std::sync::Arc;

use adapters::{
    http::LazyClient,
    providers::{self, Apis},
};
use engine::ports::{Access, Action, Call, Comparison, Done, ProviderError, RenderContext, Rendered};
use fakes::{Fakes, Fault, Provider, Token};
use serde_json::{Value, json};

use crate::{HASTY, Means, PATIENT, ROWS, canned, meaning};

const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events.owned";
const ID: &str = "0b7d2c9d-3f10-4e7e-8a52-018f4e7e7d4c";

fn calendar_actions(google: &str, graph: &str, options: adapters::http::ClientOptions) -> [Arc<dyn Action>; 2] {
    let addresses = [("CALENDAR_BASE_URL", google.to_owned()), ("GRAPH_BASE_URL", graph.to_owned())].into();
    let all = providers::actions(&Apis::new(&LazyClient::new(options), &addresses).unwrap());
    ["calendar.create_event", "outlook.create_event"]
        .map(|id| all.iter().find(|action| action.spec().id == id).expect("the catalogue has it").clone())
}

fn params() -> Value {
    json!({ "title": "Review", "start": "2026-12-01T10:00", "minutes": 45, "time_zone": "Europe/Berlin",
            "attendees": ["Zoë <zoe@example.org>", "b@example.com"], "text": "job:1" })
}

/// A call with what it renders.
struct Event {
    call: Box<dyn Call>,
    rendered: Rendered,
    access: Access,
}

impl Event {
    fn new(action: &dyn Action, token: &str, params: &Value) -> Self {
        let call = action.parse(params).unwrap();
        let rendered = call.render(&RenderContext { from: None, date: None, id: Some(ID.to_owned()) }).unwrap();
        let access = Access { token: token.into(), scopes: Vec::new(), address: None, name: None, account: None };
        Self { call, rendered, access }
    }

    async fn create(&self) -> Result<Done, ProviderError> {
        self.call.perform(&self.rendered, &self.access, None).await
    }

    async fn compare(&self) -> Result<Comparison, ProviderError> {
        self.call.compare(&self.rendered, &self.access).await
    }
}

/// New fakes with one event for each calendar.
async fn fakes_with(options: adapters::http::ClientOptions) -> (Fakes, [Event; 2]) {
    let fakes = Fakes::start().await.unwrap();
    fakes.add_token(Token::new(Provider::Google, "g", &[EVENTS]));
    fakes.add_token(Token::new(Provider::Microsoft, "m", &["Calendars.ReadWrite"]));
    let [google, graph] = calendar_actions(&fakes.calendar_url(), &fakes.graph_url(), options);
    let events = [Event::new(&*google, "g", &params()), Event::new(&*graph, "m", &params())];
    (fakes, events)
}

const CREATE: [&str; 2] = ["calendar.events.insert", "graph.events.create"];
const LOOK: [&str; 2] = ["calendar.events.get", "graph.calendarView"];

#[tokio::test]
async fn every_fault_means_what_it_should_and_a_look_tells_what_became_of_the_call() {
    for place in 0..2 {
        for (fault, means, _, went) in ROWS {
            let (fakes, events) = fakes_with(PATIENT).await;
            let event = &events[place];
            fakes.script(fault.on(CREATE[place]));
            assert_eq!(meaning(event.create().await), means, "{fault:?}");
            assert_eq!(fakes.count("job:1"), usize::from(went), "{fault:?}");
            let found = event.compare().await.unwrap();
            assert_eq!(matches!(found, Comparison::Ours(_)), went, "{fault:?}");
            // The same call again is never a second event.
            match event.create().await {
                Ok(_) => {}
                Err(ProviderError::Exists) => assert!(went && place == 0, "{fault:?}"),
                Err(other) => panic!("{fault:?}: {other:?}"),
            }
            assert_eq!(fakes.count("job:1"), 1, "{fault:?}");
            // What goes wrong with a look may have changed nothing.
            for (fault, _, looks, _) in ROWS.into_iter().filter(|(fault, ..)| !matches!(fault, Fault::Slow { .. })) {
                fakes.script(fault.on(LOOK[place]));
                assert_eq!(meaning(event.compare().await), looks, "{fault:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_may_hide_an_event() {
    let (fakes, events) = fakes_with(HASTY).await;
    for (place, event) in events.iter().enumerate() {
        for (fault, count) in [(Fault::HangBefore, place), (Fault::Hang, place + 1)] {
            fakes.script(fault.on(CREATE[place]));
            assert_eq!(meaning(event.create().await), Means::MaybeSent, "{fault:?}");
            assert_eq!(fakes.count("job:1"), count, "{fault:?}");
        }
        assert!(matches!(event.compare().await, Ok(Comparison::Ours(_))));
    }
}

#[tokio::test]
async fn what_a_person_deleted_is_told_and_not_made_again() {
    let (fakes, events) = fakes_with(PATIENT).await;
    for (place, event) in events.iter().enumerate() {
        event.create().await.unwrap();
        fakes.delete_events();
        let deleted = |done: &Done| done.details["done"] == "The event was created, and has been deleted since.";
        match (event.create().await, event.compare().await) {
            // Google's id is taken for good, and tells.
            (Err(ProviderError::Exists), Ok(Comparison::Ours(done))) if place == 0 => assert!(deleted(&done)),
            (Ok(done), Ok(Comparison::NotOurs)) if place == 1 => assert!(deleted(&done), "{done:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(fakes.count("job:1"), place + 1);
    }
}

#[tokio::test]
async fn another_event_under_the_same_id_is_not_ours() {
    let (fakes, events) = fakes_with(PATIENT).await;
    let actions = calendar_actions(&fakes.calendar_url(), &fakes.graph_url(), PATIENT);
    for (place, event) in events.iter().enumerate() {
        event.create().await.unwrap();
        for (field, other) in [("title", json!("Party")), ("minutes", json!(46)), ("attendees", json!("b@example.com"))]
        {
            let mut params = params();
            params[field] = other;
            let other = Event::new(&*actions[place], if place == 0 { "g" } else { "m" }, &params);
            assert_eq!(other.create().await, Err(ProviderError::Exists), "{field}");
            assert_eq!(other.compare().await, Ok(Comparison::NotOurs), "{field}");
        }
    }
    assert_eq!(fakes.count("job:1"), 2);
}

#[tokio::test]
async fn two_calls_at_once_make_one_event() {
    let (fakes, events) = fakes_with(PATIENT).await;
    for event in &events {
        let calls = futures_util::future::join_all((0..8).map(|_| event.create())).await;
        assert!(calls.iter().all(|done| matches!(done, Ok(_) | Err(ProviderError::Exists))), "{calls:?}");
    }
    assert_eq!(fakes.count("job:1"), 2);
}

#[tokio::test]
async fn google_is_always_told_whether_to_write_to_the_attendees() {
    for (more, expected) in [
        (json!({}), "all"),
        (json!({ "notify": "all" }), "all"),
        (json!({ "notify": "none" }), "none"),
        (json!({ "attendees": [] }), "none"),
        (json!({ "attendees": [], "notify": "all" }), "none"),
    ] {
        let (url, heard) = canned::heard(&canned::response(200, r#"{"id":"1"}"#));
        let [google, _] = calendar_actions(&url, &url, PATIENT);
        let mut params = params();
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Event::new(&*google, "g", &params).create().await.unwrap();
        let line = heard.recv().unwrap();
        assert_eq!(line, format!("POST /calendars/primary/events?sendUpdates={expected} HTTP/1.1\r\n"), "{more}");
    }
}

#[test]
fn an_end_that_clocks_show_twice_goes_as_a_moment() {
    let [google, graph] = calendar_actions("http://127.0.0.1:9", "http://127.0.0.1:9", PATIENT);
    // 01:30 in summer time; an hour later it is 02:30 for the first time, two hours later for the second.
    for (minutes, utc) in [(60, "2026-10-25T00:30:00"), (120, "2026-10-25T01:30:00")] {
        let params =
            json!({ "title": "t", "start": "2026-10-25T01:30", "minutes": minutes, "time_zone": "Europe/Berlin" });
        let ends = |action: &dyn Action| {
            let body = Event::new(action, "t", &params).rendered.body;
            serde_json::from_str::<Value>(&body).unwrap()["end"].clone()
        };
        assert_eq!(ends(&*google), json!({ "dateTime": format!("{utc}Z"), "timeZone": "Europe/Berlin" }));
        assert_eq!(ends(&*graph), json!({ "dateTime": utc, "timeZone": "UTC" }));
    }
    let params = json!({ "title": "t", "start": "2026-03-29T01:30", "minutes": 120, "time_zone": "Europe/Berlin" });
    let body = Event::new(&*google, "t", &params).rendered.body;
    assert!(body.contains(r#"{"dateTime":"2026-03-29T04:30:00","timeZone":"Europe/Berlin"}"#), "{body}");
}

#[test]
fn an_id_that_google_would_refuse_is_not_sent() {
    let [google, _] = calendar_actions("http://127.0.0.1:9", "http://127.0.0.1:9", PATIENT);
    let call = google.parse(&params()).unwrap();
    for id in ["", "1", "w0000", "A0000", "00000\r\n", "00000/1"] {
        assert!(call.render(&RenderContext { from: None, date: None, id: Some(id.to_owned()) }).is_err(), "{id:?}");
    }
}

#[tokio::test]
async fn what_calendars_say_no_with_is_told_apart() {
    let google = |reason: &str| json!({ "error": { "code": 403, "message": "no", "errors": [{ "reason": reason }] } });
    let graph = |code: &str| json!({ "error": { "code": code, "message": "no" } });
    for (place, status, body, expected) in [
        (0, 403, google("insufficientPermissions"), "forbidden"),
        (0, 403, google("rateLimitExceeded"), "limited"),
        (0, 403, google("quotaExceeded"), "limited"),
        (0, 403, google("calendarUsageLimitsExceeded"), "limited"),
        (0, 403, google("notACalendarUser"), "account"),
        (0, 403, google("accessNotConfigured"), "setup"),
        (0, 400, google("invalid"), "rejected"),
        (0, 409, google("duplicate"), "exists"),
        (0, 200, json!({ "kind": "calendar#event" }), "lost"),
        (1, 403, graph("ErrorAccessDenied"), "forbidden"),
        (1, 429, graph("ApplicationThrottled"), "limited"),
        (1, 409, graph("ErrorIrresolvableConflict"), "busy"),
        (1, 409, graph("ConcurrentItemSave"), "busy"),
        (1, 400, graph("TimeZoneNotSupportedException"), "rejected"),
        (1, 404, graph("MailboxNotEnabledForRESTAPI"), "account"),
        (1, 200, json!({ "id": "1" }), "lost"),
        (1, 201, json!({}), "lost"),
    ] {
        let url = canned::answer(&canned::response(status, &body.to_string()));
        let actions = calendar_actions(&url, &url, PATIENT);
        let error = Event::new(&*actions[place], "t", &params()).create().await.unwrap_err();
        let kind = match error {
            ProviderError::Forbidden(_) => "forbidden",
            ProviderError::RateLimited(_) => "limited",
            ProviderError::Account(_) => "account",
            ProviderError::Setup(_) => "setup",
            ProviderError::Rejected(_) => "rejected",
            ProviderError::Busy(_) => "busy",
            ProviderError::Exists => "exists",
            ProviderError::AnswerLost(_) => "lost",
            other => panic!("{status} {body}: {other:?}"),
        };
        assert_eq!(kind, expected, "{status} {body}");
    }
}
