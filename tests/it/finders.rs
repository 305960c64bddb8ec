//! Accounts whose contacts and calendars may be read: how they are asked for, and what the sandbox has instead.

use fakes::{Fakes, oauth::Consents};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    oauth::{begin, connect, start},
    support::{Client, Server},
};

const PREFIX: &str = "https://www.googleapis.com/auth/";

/// The scopes that a consent page asks for, without those that identify the account.
fn asked(page: &reqwest::Url) -> Vec<String> {
    let scopes = page.query_pairs().find(|(name, _)| name == "scope").expect("there are scopes").1.into_owned();
    let identity = ["openid", "email", "offline_access"];
    scopes.split(' ').filter(|scope| !identity.contains(scope)).map(|scope| scope.replace(PREFIX, "")).collect()
}

async fn status(client: &Client, provider: &str) -> Value {
    client.get(&format!("/oauth/{provider}/status")).await.body
}

#[tokio::test]
async fn scopes_are_asked_for_when_they_are_first_needed_and_stay() {
    for (provider, allow, action, contact, event, free_time, directory) in [
        (
            "google",
            "gmail.send",
            "gmail.send",
            "contacts.readonly",
            "calendar.events.readonly",
            "calendar.freebusy",
            "directory.readonly",
        ),
        (
            "microsoft",
            "outlook.send",
            "Mail.Send",
            "Contacts.Read",
            "Calendars.Read",
            "Calendars.Read",
            "User.ReadBasic.All",
        ),
    ] {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        let server = start(folder.path(), &fakes, &[("ALLOW_ACTIONS_DEFAULT", allow)]);
        let sandbox = status(&server, provider).await;
        assert_eq!(
            (&sandbox["lookups"], &sandbox["directory"]),
            (&json!(["contact", "event", "free_time"]), &json!(true))
        );

        let plain = begin(&server, provider, json!({})).await;
        assert_eq!(asked(&plain.page), [action], "least first");
        assert_eq!(connect(&server, provider, json!({})).await.status, 200);
        let now = status(&server, provider).await;
        assert_eq!((&now["lookups"], &now["directory"]), (&json!([]), &json!(false)));

        let more = json!({ "lookups": ["contact"] });
        assert_eq!(asked(&begin(&server, provider, more.clone()).await.page), [action, contact]);
        assert_eq!(connect(&server, provider, more).await.status, 200);
        assert_eq!(status(&server, provider).await["lookups"], json!(["contact"]));

        // What was granted is asked for again, and is no condition.
        let more = json!({ "lookups": ["event", "free_time"], "directory": true });
        let mut expected = vec![action, event, free_time, directory, contact];
        expected.dedup();
        assert_eq!(asked(&begin(&server, provider, more.clone()).await.page), expected);
        let full = |scope: &str| if provider == "google" { format!("{PREFIX}{scope}") } else { scope.to_owned() };
        fakes.consents(Consents { but: Some(full(contact)), ..Consents::default() });
        assert_eq!(connect(&server, provider, more).await.status, 200);
        let now = status(&server, provider).await;
        assert_eq!((&now["lookups"], &now["directory"]), (&json!(["event", "free_time"]), &json!(true)));

        // Actions can be asked for one by one, too.
        let only = json!({ "actions": [], "lookups": ["event"], "replace": true });
        assert_eq!(asked(&begin(&server, provider, only).await.page), [event]);
        for (actions, pointer) in [
            (json!([allow, "outlook.sing"]), "/actions/1"),
            (json!(["gmail.send", "outlook.send"]), if allow == "gmail.send" { "/actions/1" } else { "/actions/0" }),
        ] {
            let refused = server.post(&format!("/oauth/{provider}/start"), &json!({ "actions": actions })).await;
            assert_eq!((refused.code(), refused.pointers()), (&json!("action-not-allowed"), vec![pointer]));
        }

        // What is asked for is one.
        let page = connect(&server, provider, json!({ "lookups": ["contact"] })).await;
        assert!(page.status == 403 && page.body.as_str().unwrap().contains(contact), "{}", page.body);
        // Another account begins anew.
        let other = begin(&server, provider, json!({ "replace": true })).await;
        assert_eq!(asked(&other.page), [action]);

        for bad in [
            json!({ "lookups": ["mail"] }),
            json!({ "lookups": "contact" }),
            json!({ "directory": "yes" }),
            json!({ "lookups": [null] }),
        ] {
            let refused = server.post(&format!("/oauth/{provider}/start"), &bad).await;
            assert_eq!((refused.status, refused.code()), (422, &json!("invalid-request")), "{bad}");
        }
    }
}

#[tokio::test]
async fn a_pasted_token_says_what_can_be_looked_up() {
    for (variable, provider, scopes, lookups, directory) in [
        ("GOOGLE", "google", "gmail.send", json!([]), false),
        ("GOOGLE", "google", "gmail.send contacts calendar.readonly", json!(["contact", "event", "free_time"]), false),
        ("GOOGLE", "google", "gmail.send calendar.events.owned directory.readonly", json!(["event"]), true),
        ("GOOGLE", "google", "gmail.send calendar.freebusy contacts.other.readonly", json!(["free_time"]), false),
        ("MICROSOFT", "microsoft", "Mail.Send People.Read", json!([]), false),
        ("MICROSOFT", "microsoft", "Mail.Send Calendars.ReadWrite", json!(["event", "free_time"]), false),
        (
            "MICROSOFT",
            "microsoft",
            "https://graph.microsoft.com/Contacts.ReadWrite User.Read.All",
            json!(["contact"]),
            true,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (token, granted) = (format!("{variable}_ACCESS_TOKEN"), format!("{variable}_ACCESS_TOKEN_SCOPES"));
        let scopes = scopes
            .split(' ')
            .map(|scope| if variable == "GOOGLE" { format!("{PREFIX}{scope}") } else { scope.to_owned() });
        let scopes = scopes.collect::<Vec<_>>().join(" ");
        let server = Server::start(folder.path(), &[(token.as_str(), "t"), (granted.as_str(), scopes.as_str())]);
        let now = status(&server, provider).await;
        assert_eq!((&now["lookups"], &now["directory"]), (&lookups, &json!(directory)), "{scopes}");
    }
}

#[tokio::test]
async fn the_sandbox_shows_its_address_book_and_its_calendar() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let book = server.get("/dev/address-book?timezone=Asia/Tokyo").await;
    assert_eq!(book.status, 200, "{}", book.body);
    let people = book.body["people"].as_array().unwrap();
    let named = |name: &str| people.iter().filter(|person| person["name"].as_str().unwrap().starts_with(name)).count();
    assert_eq!((named("Sam"), named("Ana")), (1, 2));
    let event = &book.body["events"][0];
    let start: Timestamp = event["start"].as_str().unwrap().parse().unwrap();
    let start = start.to_zoned(TimeZone::get("Asia/Tokyo").unwrap());
    assert_eq!((start.hour(), start.minute()), (10, 0));
    assert!(!event["attendees"].as_array().unwrap().is_empty());
    assert_eq!(server.get("/dev/address-book").await.status, 200);
    for bad in ["?timezone=Berlin", "?timezone=", "?zone=UTC", "?timezone=UTC&timezone=UTC"] {
        let refused = server.get(&format!("/dev/address-book{bad}")).await;
        assert_eq!((refused.status, refused.code()), (422, &json!("invalid-request")), "{bad}");
    }
}
