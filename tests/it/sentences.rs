//! Three sentences that need what only the account knows, from the prompt to what arrives: in the sandbox without a model, and at
//! strict stand-ins of both providers.

use std::path::Path;

use fakes::{
    Fakes, Holdings, Provider,
    model::{FakeModel, Reply as Says},
};
use serde_json::{Value, json};

use crate::{
    events::live,
    support::{GMAIL_SEND, Reply, Server},
};

pub const LATE: &str = "Email Sam that I am late";
pub const INVITE: &str = "invite Ana tomorrow at 10 for half an hour";
pub const MOVES: &str = "tell everyone in tomorrow's 10:00 meeting that it moves to 11";
const ZONE: &str = "Europe/Berlin";
const GOOGLE: &[&str] = &[
    GMAIL_SEND,
    "https://www.googleapis.com/auth/calendar.events.owned",
    "https://www.googleapis.com/auth/calendar.freebusy",
    "https://www.googleapis.com/auth/contacts.readonly",
];
const MICROSOFT: &[&str] = &["Mail.Send", "Calendars.ReadWrite", "Contacts.Read"];
/// By provider, its actions for mails and for events.
const PROVIDERS: [(Provider, &str, &str); 2] = [
    (Provider::Google, "gmail.send", "calendar.create_event"),
    (Provider::Microsoft, "outlook.send", "outlook.create_event"),
];

async fn plan(server: &Server, prompt: &str) -> Value {
    let planned = server.post("/ai/plan2", &json!({ "prompt": prompt, "timezone": ZONE })).await;
    assert_eq!(planned.status, 200, "{}", planned.body);
    let plan = planned.body["plan"].clone();
    assert_eq!((&plan["status"], &plan["questions"]), (&json!("unresolved"), &json!([])), "{prompt}: {plan}");
    plan
}

async fn resolve(server: &Server, plan: &Value, answers: &Value) -> Value {
    let path = format!("/ai/plans/{}/resolve", plan["plan_id"].as_str().unwrap());
    let resolved = server.post(&path, &json!({ "answers": answers })).await;
    assert_eq!(resolved.status, 200, "{}", resolved.body);
    resolved.body["plan"].clone()
}

async fn executed(server: &Server, plan: &Value) -> Reply {
    server.post("/ai/execute", &json!({ "plan_id": plan["plan_id"] })).await
}

/// The only job of a plan that is ready, when it has ended. Executing twice is the same job.
async fn done(server: &Server, plan: &Value) -> Value {
    assert_eq!((&plan["status"], &plan["questions"]), (&json!("ready"), &json!([])), "{plan}");
    let first = executed(server, plan).await;
    assert_eq!(first.status, 202, "{}", first.body);
    let job = server.ended(first.body["job_ids"][0].as_str().unwrap()).await;
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(executed(server, plan).await.body["job_ids"], first.body["job_ids"]);
    job
}

/// Whom the only action of a plan reaches: each address with its source and its lookup.
fn reached(plan: &Value) -> Vec<[&str; 3]> {
    let recipients = plan["actions"][0]["recipients"].as_array().unwrap().iter();
    let fields = ["address", "source", "lookup"];
    recipients.map(|recipient| fields.map(|field| recipient[field].as_str().unwrap())).collect()
}

/// The choice between two Anas, and the plan in which one of them was chosen.
async fn choose(server: &Server, plan: &Value, chosen: &str) -> Value {
    let next = resolve(server, plan, &json!([])).await;
    let question = &next["clarifications"][0];
    assert_eq!((&question["kind"], &question["about"]), (&json!("choice"), &json!("Ana")), "{next}");
    assert_eq!(question["options"].as_array().unwrap().len(), 2, "{question}");
    let refused = executed(server, &next).await;
    assert!(refused.status == 409 || next["actions"] == json!([]), "{}", refused.body);
    resolve(server, &next, &json!([{ "id": question["id"], "value": chosen }])).await
}

#[tokio::test]
async fn in_the_sandbox_each_sentence_is_carried_out_without_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let newest = async || server.get("/dev/outbox").await.body["data"][0].take();

    let late = resolve(&server, &plan(&server, LATE).await, &json!([])).await;
    assert_eq!(reached(&late), [["sam@example.com", "contact", "l1"]]);
    done(&server, &late).await;
    let mail = newest().await;
    assert_eq!((&mail["to"], &mail["params"]["text"]), (&json!("sam@example.com"), &json!("I am late")), "{mail}");

    let unresolved = plan(&server, INVITE).await;
    let invited = choose(&server, &unresolved, "ana.silva@contoso.com").await;
    assert_eq!(reached(&invited), [["ana.silva@contoso.com", "contact", "l1"]]);
    let params = &invited["actions"][0]["params"];
    assert_eq!((&params["minutes"], &params["time_zone"]), (&json!(30), &json!(ZONE)), "{params}");
    let meeting = plan(&server, MOVES).await;
    let tomorrow = meeting["lookups"][0]["day"].as_str().unwrap();
    assert_eq!(params["start"], format!("{tomorrow}T10:00"), "{params}");
    done(&server, &invited).await;
    let event = newest().await;
    assert_eq!((&event["action"], &event["title"]), (&json!("calendar.create_event"), &json!("Ana")), "{event}");

    let moved = resolve(&server, &meeting, &json!([])).await;
    let names = ["sam@example.com", "ana.silva@contoso.com", "noor.haddad@contoso.com"];
    assert_eq!(reached(&moved), names.map(|name| [name, "event", "l1"]));
    done(&server, &moved).await;
    assert_eq!(newest().await["to"], json!(names));
    assert_eq!(server.counts().await, (3, 3));
}

/// The program with accounts of both providers, of which only one may be used.
pub fn at(folder: &Path, fakes: &Fakes, allowed: &str, more: &[(&str, &str)]) -> Server {
    let variables = [&[("ALLOW_ACTIONS_DEFAULT", allowed)], more].concat();
    live(folder, fakes, GOOGLE, MICROSOFT, &variables)
}

/// Contacts with these names, as the provider writes them.
pub fn contacts(provider: Provider, people: &[(&str, &str)]) -> Vec<Value> {
    let source = json!({ "primary": true, "source": { "type": "CONTACT", "id": "1" } });
    let contact = |(name, address): &(&str, &str)| match provider {
        Provider::Google => json!({ "resourceName": "people/1",
            "names": [{ "metadata": source, "displayName": name }],
            "emailAddresses": [{ "metadata": source, "value": address }] }),
        Provider::Microsoft => {
            json!({ "id": "c", "displayName": name, "emailAddresses": [{ "address": address, "name": name }] })
        }
    };
    people.iter().map(contact).collect()
}

pub const PEOPLE: [(&str, &str); 3] =
    [("Sam", "sam@example.com"), ("Ana Silva", "ana.silva@example.com"), ("Ana Novak", "novak@example.com")];

/// An event that the program creates itself, and whom it invites.
async fn create(server: &Server, action: &str, key: &str, title: &str, start: &str, attendees: &Value) {
    let params = json!({ "title": title, "start": start, "minutes": 60, "time_zone": ZONE, "attendees": attendees,
                         "text": format!("job:{key}") });
    let job = server.execute(json!({ "action": action, "params": params, "client_request_id": key })).await;
    assert_eq!(server.ended(&job).await["status"], "completed");
}

#[tokio::test]
async fn at_each_provider_each_sentence_is_carried_out_once() {
    for (provider, send, invite) in PROVIDERS {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        fakes.hold(provider, Holdings { contacts: contacts(provider, &PEOPLE), ..Holdings::default() });
        let server = at(folder.path(), &fakes, &format!("{send},{invite}"), &[]);
        let last = || fakes.deliveries().pop().unwrap().mail;

        let unresolved = plan(&server, LATE).await;
        assert!(fakes.operations().is_empty(), "nothing is read before resolve");
        let late = resolve(&server, &unresolved, &json!([])).await;
        assert_eq!(reached(&late), [["sam@example.com", "contact", "l1"]]);
        done(&server, &late).await;
        assert_eq!((fakes.deliveries().len(), last().to), (1, vec!["sam@example.com".to_owned()]));

        let invited = choose(&server, &plan(&server, INVITE).await, "novak@example.com").await;
        assert_eq!(invited["actions"][0]["action"], invite);
        done(&server, &invited).await;
        assert_eq!((fakes.deliveries().len(), last().to), (2, vec!["novak@example.com".to_owned()]));

        // The meeting is the one that was just made: a later lookup finds it with its guest.
        let unresolved = plan(&server, MOVES).await;
        let moved = resolve(&server, &unresolved, &json!([])).await;
        assert_eq!(reached(&moved), [["novak@example.com", "event", "l1"]]);
        done(&server, &moved).await;
        let mail = last();
        assert_eq!((fakes.deliveries().len(), mail.to), (3, vec!["novak@example.com".to_owned()]));
        assert_eq!(mail.text.as_deref().map(str::trim_end), Some("it moves to 11"));

        // Of two at the same time, a person says which.
        let tomorrow = unresolved["lookups"][0]["day"].as_str().unwrap();
        create(&server, invite, "other", "Board", &format!("{tomorrow}T10:00"), &json!("bo@example.com")).await;
        let next = resolve(&server, &plan(&server, MOVES).await, &json!([])).await;
        let question = &next["clarifications"][0];
        let labels: Vec<&str> =
            question["options"].as_array().unwrap().iter().map(|option| option["label"].as_str().unwrap()).collect();
        assert_eq!(labels, ["Ana, 10:00, 1 invited", "Board, 10:00, 1 invited"]);
        let board = json!([{ "id": question["id"], "value": question["options"][1]["value"] }]);
        let moved = resolve(&server, &next, &board).await;
        assert_eq!(reached(&moved), [["bo@example.com", "event", "l1"]]);
        // What was deleted is no meeting any more.
        fakes.delete_events();
        let gone = resolve(&server, &plan(&server, MOVES).await, &json!([])).await;
        assert_eq!(gone["clarifications"][0]["kind"], "address", "{gone}");
    }
}

#[tokio::test]
async fn a_free_time_goes_around_what_the_program_itself_has_put_into_the_calendar() {
    let model = FakeModel::new("sk-test");
    let url = model.serve().await;
    for (provider, send, invite) in PROVIDERS {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        fakes.hold(provider, Holdings { contacts: contacts(provider, &PEOPLE), ..Holdings::default() });
        let offline = at(folder.path(), &fakes, &format!("{send},{invite}"), &[]);
        let tomorrow = plan(&offline, MOVES).await["lookups"][0]["day"].as_str().unwrap().to_owned();
        drop(offline);
        let variables =
            [("OPENAI_BASE_URL", url.as_str()), ("OPENAI_API_KEY", "sk-test"), ("AI_MAX_TOKENS_PER_MIN", "100000")];
        let server = at(folder.path(), &fakes, invite, &variables);
        create(&server, invite, "first", "Standup", &format!("{tomorrow}T09:00"), &json!([])).await;
        create(&server, invite, "second", "Review", &format!("{tomorrow}T10:20"), &json!("bo@example.com")).await;
        for (minutes, from, start) in [
            (15, None, "10:00"),
            // The first one takes its place until half past.
            (10, None, "11:30"),
            (30, None, "12:00"),
            (45, Some("15:00"), "15:00"),
            (45, Some("15:00"), "15:30"),
        ] {
            let lookups = json!([
                { "id": "l1", "find": "free_time", "day": tomorrow, "minutes": minutes, "from": from, "to": null },
                { "id": "l2", "find": "contact", "name": "Sam" },
            ]);
            let params = json!({ "title": "Catch-up", "start": { "$ref": "l1.start" }, "end": null, "minutes": 30,
                                 "time_zone": ZONE, "attendees": [{ "$ref": "l2.address" }], "location": null,
                                 "text": null, "notify": null });
            let action = json!({ "provider": provider, "action": invite, "params": params });
            let says = json!({ "intent": "create_event", "notes": null, "lookups": lookups, "actions": [action],
                               "questions": [], "confidence": 0.9 });
            model.script(Says::Plan(says));
            let prompt = format!("Invite Sam tomorrow for {minutes} minutes when I am free, not before 15:00");
            let unresolved = plan(&server, &prompt).await;
            assert_eq!(unresolved["actions"][0]["params"]["start"], json!({ "$ref": "l1.start" }));
            let ready = resolve(&server, &unresolved, &json!([])).await;
            assert_eq!(ready["actions"][0]["params"]["start"], format!("{tomorrow}T{start}"), "{provider:?}: {ready}");
            assert_eq!(reached(&ready), [["sam@example.com", "contact", "l2"]]);
            let before = fakes.deliveries().len();
            done(&server, &ready).await;
            let deliveries = fakes.deliveries();
            assert_eq!(
                (deliveries.len(), &*deliveries[before].mail.to),
                (before + 1, &["sam@example.com".to_owned()][..])
            );
        }
    }
}
