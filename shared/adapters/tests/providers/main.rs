//! The providers' adapters over real HTTP: every row of what a failure means, that nothing is sent twice, and what is
//! found in accounts.

mod canned;
mod events;
mod finders;

use std::{sync::Arc, time::Duration};

use adapters::{
    http::{ClientOptions, LazyClient},
    providers::{self, Apis},
};
use domain::Evidence;
use engine::ports::{Access, Action, Call, Done, ProviderError, Refusal, RenderContext, Rendered};
use fakes::{Fakes, Fault, Provider, Token};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
const COMPOSE: &str = "https://www.googleapis.com/auth/gmail.compose";

/// Patient enough for a busy machine.
const PATIENT: ClientOptions =
    ClientOptions { connect: Duration::from_secs(20), total: Duration::from_secs(30), keep_alive: false };
/// For the rows in which no answer comes.
const HASTY: ClientOptions =
    ClientOptions { connect: Duration::from_millis(300), total: Duration::from_secs(1), keep_alive: false };

/// `gmail.send` and `outlook.send`, of whatever else the catalogue has.
fn mail_actions(gmail: &str, graph: &str, options: ClientOptions) -> [Arc<dyn Action>; 2] {
    let addresses = [("GMAIL_BASE_URL", gmail.to_owned()), ("GRAPH_BASE_URL", graph.to_owned())].into();
    let all = providers::actions(&Apis::new(&LazyClient::new(options), &addresses).unwrap());
    ["gmail.send", "outlook.send"]
        .map(|id| all.iter().find(|action| action.spec().id == id).expect("the catalogue has it").clone())
}

fn params() -> Value {
    json!({ "to": "zoe@example.org", "cc": ["a@example.com", "b@example.com"], "bcc": "quiet@example.net",
            "subject": "Thanks", "text": "job:1 thanks" })
}

/// A call with what it renders.
struct Mail {
    call: Box<dyn Call>,
    rendered: Rendered,
    access: Access,
}

impl Mail {
    fn new(action: &dyn Action, token: &str) -> Self {
        let call = action.parse(&params()).unwrap();
        let from = Some("ana@example.com".parse().unwrap());
        let stamp =
            RenderContext { from, date: Some("2026-11-05T09:08:07Z".parse().unwrap()), id: Some("id-1".to_owned()) };
        let rendered = call.render(&stamp).unwrap();
        let access = Access { token: token.into(), scopes: Vec::new(), address: None, name: None, account: None };
        Self { call, rendered, access }
    }

    async fn prepare(&self) -> Result<Evidence, ProviderError> {
        self.call.prepare(&self.rendered, &self.access).await
    }

    async fn send(&self, draft: Option<&Evidence>) -> Result<Done, ProviderError> {
        self.call.perform(&self.rendered, &self.access, draft).await
    }
}

/// Fakes with a token of each provider that may do everything, and one mail for each.
async fn fakes() -> (Fakes, [Mail; 2]) {
    fakes_with(PATIENT).await
}

async fn fakes_with(options: ClientOptions) -> (Fakes, [Mail; 2]) {
    let fakes = Fakes::start().await.unwrap();
    fakes.add_token(Token::new(Provider::Google, "g", &[SEND, COMPOSE]));
    fakes.add_token(Token::new(Provider::Microsoft, "m", &["Mail.Send", "Mail.ReadWrite"]));
    let mails = mails_at(&fakes.gmail_url(), &fakes.graph_url(), options);
    (fakes, mails)
}

fn mails_at(gmail: &str, graph: &str, options: ClientOptions) -> [Mail; 2] {
    let [gmail, outlook] = mail_actions(gmail, graph, options);
    [Mail::new(&*gmail, "g"), Mail::new(&*outlook, "m")]
}

#[derive(Debug, Clone, PartialEq)]
enum Means {
    Sent,
    Unauthorized,
    RateLimited(Option<u64>),
    NotReached,
    MaybeSent,
}

fn meaning<T>(result: Result<T, ProviderError>) -> Means {
    match result {
        Ok(_) => Means::Sent,
        Err(ProviderError::Unauthorized) => Means::Unauthorized,
        Err(ProviderError::RateLimited(wait)) => Means::RateLimited(wait.map(|wait| wait.as_secs())),
        Err(ProviderError::Unreachable(_)) => Means::NotReached,
        Err(ProviderError::AnswerLost(_)) => Means::MaybeSent,
        Err(other) => panic!("{other:?}"),
    }
}

/// Each fault with what it means for a request that sends, for one that only makes a draft, and
/// whether the mail went.
const ROWS: [(Fault, Means, Means, bool); 12] = [
    (Fault::AcceptThenClose, Means::MaybeSent, Means::NotReached, true),
    (Fault::AcceptThen500, Means::MaybeSent, Means::NotReached, true),
    (Fault::AcceptThenGarbage, Means::MaybeSent, Means::NotReached, true),
    (Fault::AcceptThenRedirect, Means::MaybeSent, Means::NotReached, true),
    (Fault::CloseBefore, Means::MaybeSent, Means::NotReached, false),
    (Fault::Fail500, Means::MaybeSent, Means::NotReached, false),
    (Fault::Unavailable { retry_after_s: None }, Means::MaybeSent, Means::NotReached, false),
    (Fault::Unavailable { retry_after_s: Some(7) }, Means::RateLimited(Some(7)), Means::RateLimited(Some(7)), false),
    (
        Fault::TooManyRequests { retry_after_s: Some(9) },
        Means::RateLimited(Some(9)),
        Means::RateLimited(Some(9)),
        false,
    ),
    (Fault::TooManyRequests { retry_after_s: None }, Means::RateLimited(None), Means::RateLimited(None), false),
    (Fault::Unauthorized, Means::Unauthorized, Means::Unauthorized, false),
    (Fault::Slow { ms: 1 }, Means::Sent, Means::Sent, true),
];

#[tokio::test]
async fn every_fault_of_a_direct_send_means_what_it_should() {
    let (fakes, mails) = fakes().await;
    for mail in &mails {
        for (fault, sends, _, went) in ROWS {
            let before = fakes.count("job:1");
            fakes.script(fault);
            assert_eq!(meaning(mail.send(None).await), sends, "{fault:?}");
            assert_eq!(fakes.count("job:1") - before, usize::from(went), "{fault:?}");
        }
    }
    fakes.script(Fault::RateLimit403);
    assert_eq!(meaning(mails[0].send(None).await), Means::RateLimited(None));
}

#[tokio::test]
async fn every_fault_of_a_draft_send_means_what_it_should() {
    let (fakes, mails) = fakes().await;
    for (mail, operation) in mails.iter().zip(["gmail.drafts.send", "graph.messages.send"]) {
        for (fault, sends, _, went) in ROWS {
            let draft = mail.prepare().await.unwrap();
            let before = fakes.count("job:1");
            fakes.script(fault.on(operation));
            assert_eq!(meaning(mail.send(Some(&draft)).await), sends, "{fault:?}");
            assert_eq!(fakes.count("job:1") - before, usize::from(went), "{fault:?}");
            // Sent again, the same draft goes exactly if it had not gone.
            match mail.send(Some(&draft)).await {
                Err(ProviderError::DraftGone) => assert!(went, "{fault:?}"),
                Ok(_) => assert!(!went, "{fault:?}"),
                Err(other) => panic!("{fault:?}: {other:?}"),
            }
            assert_eq!(fakes.count("job:1") - before, 1, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn nothing_that_goes_wrong_with_a_draft_may_have_sent_it() {
    let (fakes, mails) = fakes().await;
    for mail in &mails {
        for (fault, _, drafts, _) in ROWS {
            fakes.script(fault);
            assert_eq!(meaning(mail.prepare().await), drafts, "{fault:?}");
        }
    }
    // Graph's look at a draft sends nothing either.
    let draft = mails[1].prepare().await.unwrap();
    for (fault, _, drafts, _) in ROWS.into_iter().filter(|(fault, ..)| !matches!(fault, Fault::Slow { .. })) {
        fakes.script(fault.on("graph.messages.get"));
        assert_eq!(meaning(mails[1].send(Some(&draft)).await), drafts, "{fault:?}");
    }
    assert!(fakes.deliveries().is_empty());
}

#[tokio::test]
async fn an_answer_that_does_not_come_may_hide_a_send_but_never_a_draft() {
    let (fakes, mails) = fakes_with(HASTY).await;
    for mail in &mails {
        for fault in [Fault::Hang, Fault::HangBefore] {
            let before = fakes.count("job:1");
            fakes.script(fault);
            assert_eq!(meaning(mail.send(None).await), Means::MaybeSent);
            assert_eq!(fakes.count("job:1") - before, usize::from(fault == Fault::Hang));
        }
        fakes.script(Fault::Hang);
        assert_eq!(meaning(mail.prepare().await), Means::NotReached);
    }
}

#[tokio::test]
async fn who_was_never_reached_was_sent_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("https://{}", silent.local_addr().unwrap());
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let plain = canned::answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").replace("http:", "https:");
    for (what, base) in [
        ("nobody listens", closed),
        ("no TLS there", plain),
        ("no handshake in time", silent),
        ("no such name", "http://nowhere.invalid".to_owned()),
    ] {
        for mail in mails_at(&base, &base, HASTY) {
            assert_eq!(meaning(mail.send(None).await), Means::NotReached, "{what}");
            assert_eq!(meaning(mail.prepare().await), Means::NotReached, "{what}");
        }
    }
}

#[tokio::test]
async fn scopes_are_what_the_provider_says_they_are() {
    let (fakes, [gmail, graph]) = fakes().await;
    let with = |mail: &Mail, provider, scopes: &[&str]| {
        fakes.add_token(Token::new(provider, mail.access.token.expose_secret(), scopes));
    };
    with(&gmail, Provider::Google, &[SEND]);
    assert!(
        matches!(gmail.prepare().await, Err(ProviderError::Forbidden(why)) if why.label == "status 403 insufficientPermissions")
    );
    assert!(gmail.send(None).await.is_ok());
    with(&gmail, Provider::Google, &[COMPOSE]);
    let draft = gmail.prepare().await.unwrap();
    assert!(gmail.send(Some(&draft)).await.is_ok() && gmail.send(None).await.is_ok(), "compose alone is enough");

    with(&graph, Provider::Microsoft, &["Mail.Send"]);
    assert!(
        matches!(graph.prepare().await, Err(ProviderError::Forbidden(why)) if why.label == "status 403 ErrorAccessDenied")
    );
    assert!(graph.send(None).await.is_ok());
    with(&graph, Provider::Microsoft, &["https://graph.microsoft.com/Mail.ReadWrite"]);
    let draft = graph.prepare().await.unwrap();
    assert!(matches!(graph.send(Some(&draft)).await, Err(ProviderError::Forbidden(_))));

    fakes.reset();
    for mail in [&gmail, &graph] {
        assert_eq!(mail.send(None).await, Err(ProviderError::Unauthorized));
    }
}

#[tokio::test]
async fn what_arrives_is_the_mail_and_the_answer_tells_its_ids() {
    let (fakes, [gmail, graph]) = fakes().await;
    let sent = gmail.send(None).await.unwrap();
    assert_eq!(sent.details, json!({ "message_id": "m1", "thread_id": "t1" }));
    assert_eq!(graph.send(None).await.unwrap().details, json!({}));
    let draft = graph.prepare().await.unwrap();
    let details = graph.send(Some(&draft)).await.unwrap().details;
    assert_eq!(details["draft_id"], draft.draft_id);
    assert_eq!(details["internet_message_id"], json!(draft.internet_message_id.unwrap()));

    let deliveries = fakes.deliveries();
    assert_eq!(deliveries.len(), 3);
    for delivery in &deliveries {
        let mail = &delivery.mail;
        assert_eq!(mail.to, ["zoe@example.org"]);
        assert_eq!(mail.cc, ["a@example.com", "b@example.com"]);
        assert_eq!(mail.bcc, ["quiet@example.net"]);
        assert_eq!((mail.subject.as_str(), mail.text.as_deref()), ("Thanks", Some("job:1 thanks")));
    }
    assert_eq!(deliveries[0].mail.raw, gmail.rendered.body, "what is shown is what is sent");
}

#[tokio::test]
async fn a_draft_that_a_person_deleted_is_gone() {
    let (fakes, mails) = fakes().await;
    for mail in &mails {
        let draft = mail.prepare().await.unwrap();
        fakes.delete_drafts();
        assert_eq!(mail.send(Some(&draft)).await, Err(ProviderError::DraftGone));
    }
    assert!(fakes.deliveries().is_empty());
}

#[tokio::test]
async fn a_kept_connection_does_not_make_the_client_send_again() {
    let (fakes, mails) = fakes_with(ClientOptions { keep_alive: true, ..PATIENT }).await;
    for mail in &mails {
        let before = fakes.count("job:1");
        assert!(mail.send(None).await.is_ok());
        fakes.script(Fault::AcceptThenClose);
        assert_eq!(meaning(mail.send(None).await), Means::MaybeSent);
        assert_eq!(fakes.count("job:1") - before, 2);
    }
    assert_eq!(fakes.operations().len(), 4);
}

/// An answer's first line and body, and what it means for (a direct send, a draft's send) of Gmail.
#[tokio::test]
async fn what_gmail_says_no_with_is_told_apart() {
    let error = |code: u16, rest: &str| format!(r#"{{"error":{{"code":{code},{rest}}}}}"#);
    let rejected = |what: &str| ProviderError::Rejected(what.into());
    let gone = ProviderError::DraftGone;
    for (status, body, direct, draft) in [
        (
            404,
            error(404, r#""message":"Requested entity was not found.","status":"NOT_FOUND""#),
            rejected("status 404 NOT_FOUND"),
            gone.clone(),
        ),
        (
            400,
            error(400, r#""message":"Message not a draft","errors":[{"reason":"invalidArgument"}]"#),
            rejected("status 400 invalidArgument"),
            gone.clone(),
        ),
        (404, "<html>no route".to_owned(), rejected("status 404"), rejected("status 404")),
        (
            404,
            error(404, r#""message":"m","errors":[{"reason":"other"}]"#),
            rejected("status 404 other"),
            rejected("status 404 other"),
        ),
        (404, "{}".to_owned(), rejected("status 404"), rejected("status 404")),
        (
            400,
            error(400, r#""message":"Invalid To header","errors":[{"reason":"zoe@example.org is no good"}]"#),
            rejected("status 400"),
            rejected("status 400"),
        ),
        (
            403,
            error(403, r#""message":"m","errors":[{"reason":"userRateLimitExceeded"}]"#),
            ProviderError::RateLimited(None),
            ProviderError::RateLimited(None),
        ),
        (
            403,
            error(403, r#""message":"m","errors":[{"reason":"dailyLimitExceeded"}]"#),
            ProviderError::RateLimited(None),
            ProviderError::RateLimited(None),
        ),
        (
            403,
            error(403, r#""message":"m","errors":[{"reason":"quotaExceeded"}]"#),
            ProviderError::RateLimited(None),
            ProviderError::RateLimited(None),
        ),
        (
            403,
            error(403, r#""message":"m","details":[{"reason":"RATE_LIMIT_EXCEEDED"}]"#),
            ProviderError::RateLimited(None),
            ProviderError::RateLimited(None),
        ),
        (
            403,
            error(
                403,
                r#""message":"m","status":"PERMISSION_DENIED","details":[{"reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]"#,
            ),
            ProviderError::Forbidden("status 403 ACCESS_TOKEN_SCOPE_INSUFFICIENT".into()),
            ProviderError::Forbidden("status 403 ACCESS_TOKEN_SCOPE_INSUFFICIENT".into()),
        ),
        (
            408,
            String::new(),
            ProviderError::Unreachable("status 408".to_owned()),
            ProviderError::Unreachable("status 408".to_owned()),
        ),
        (413, String::new(), rejected("status 413"), rejected("status 413")),
        (
            200,
            "{}".to_owned(),
            ProviderError::AnswerLost("status 200".to_owned()),
            ProviderError::AnswerLost("status 200".to_owned()),
        ),
        (
            200,
            " ".repeat(2 << 20) + r#"{"id":"m"}"#,
            ProviderError::AnswerLost("status 200".to_owned()),
            ProviderError::AnswerLost("status 200".to_owned()),
        ),
        (
            502,
            String::new(),
            ProviderError::AnswerLost("status 502".to_owned()),
            ProviderError::AnswerLost("status 502".to_owned()),
        ),
    ] {
        let base = canned::answer(&canned::response(status, &body));
        let [gmail, _] = mails_at(&base, &base, PATIENT);
        let evidence = Evidence { draft_id: "r1".to_owned(), internet_message_id: None };
        assert_eq!(mute(gmail.send(None).await), direct, "{status} {body:.80}");
        assert_eq!(mute(gmail.send(Some(&evidence)).await), draft, "{status} {body:.80}");
    }
}

#[tokio::test]
async fn what_graph_says_no_with_is_told_apart() {
    let error = |code: &str| json!({ "error": { "code": code, "message": "to zoe@example.org" } }).to_string();
    let rejected = |what: &str| ProviderError::Rejected(what.into());
    for (status, body, direct, draft) in [
        (404, error("ErrorItemNotFound"), rejected("status 404 ErrorItemNotFound"), ProviderError::DraftGone),
        (404, "<html>".to_owned(), rejected("status 404"), rejected("status 404")),
        (
            400,
            error("ErrorInvalidRecipients"),
            rejected("status 400 ErrorInvalidRecipients"),
            rejected("status 400 ErrorInvalidRecipients"),
        ),
        (
            403,
            error("Authorization_RequestDenied"),
            ProviderError::Forbidden("status 403 Authorization_RequestDenied".into()),
            ProviderError::Forbidden("status 403 Authorization_RequestDenied".into()),
        ),
        (400, error("zoe@example.org"), rejected("status 400"), rejected("status 400")),
        // Not an acceptance of Graph's; the look at the draft sends nothing.
        (
            200,
            "<html>".to_owned(),
            ProviderError::AnswerLost("status 200".to_owned()),
            ProviderError::Unreachable("status 200".to_owned()),
        ),
        (
            502,
            String::new(),
            ProviderError::AnswerLost("status 502".to_owned()),
            ProviderError::Unreachable("status 502".to_owned()),
        ),
        (
            200,
            r#"{"isDraft":false}"#.to_owned(),
            ProviderError::AnswerLost("status 200".to_owned()),
            ProviderError::DraftGone,
        ),
    ] {
        let base = canned::answer(&canned::response(status, &body));
        let [_, graph] = mails_at(&base, &base, PATIENT);
        let evidence = Evidence { draft_id: "AAk=".to_owned(), internet_message_id: None };
        assert_eq!(mute(graph.send(None).await), direct, "{status} {body}");
        assert_eq!(mute(graph.send(Some(&evidence)).await), draft, "{status} {body}");
    }
}

/// The error without the provider's words.
fn mute(done: Result<Done, ProviderError>) -> ProviderError {
    let quiet = |refusal: Refusal| Refusal { says: None, ..refusal };
    match done.unwrap_err() {
        ProviderError::Rejected(refusal) => ProviderError::Rejected(quiet(refusal)),
        ProviderError::Account(refusal) => ProviderError::Account(quiet(refusal)),
        ProviderError::Setup(refusal) => ProviderError::Setup(quiet(refusal)),
        ProviderError::Forbidden(refusal) => ProviderError::Forbidden(quiet(refusal)),
        error => error,
    }
}

/// A refusal's kind, with the provider's words; what is about the mail is one, what is about the account or the setup is
/// another.
fn kind(error: &ProviderError) -> (&'static str, Option<&str>) {
    match error {
        ProviderError::Rejected(refusal) => ("mail", refusal.says.as_deref()),
        ProviderError::Account(refusal) => ("account", refusal.says.as_deref()),
        ProviderError::Setup(refusal) => ("setup", refusal.says.as_deref()),
        ProviderError::Forbidden(refusal) => ("scope", refusal.says.as_deref()),
        ProviderError::RateLimited(_) => ("limit", None),
        ProviderError::Busy(_) => ("busy", None),
        ProviderError::Unauthorized => ("token", None),
        _ => ("other", None),
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_account_or_the_setup_is_not_told_as_wrong_with_the_mail() {
    for (status, error, expected, says) in [
        (
            403,
            json!({ "message": "Gmail API has not been used in project 1.", "errors": [{ "reason": "accessNotConfigured" }] }),
            "setup",
            Some("Gmail API has not been used in project 1. (accessNotConfigured)"),
        ),
        (
            403,
            json!({ "message": "m", "details": [{ "reason": "SERVICE_DISABLED" }] }),
            "setup",
            Some("m (SERVICE_DISABLED)"),
        ),
        (403, json!({ "details": [{ "reason": "BILLING_DISABLED" }] }), "setup", Some("BILLING_DISABLED")),
        (403, json!({ "message": "m", "errors": [{ "reason": "domainPolicy" }] }), "setup", Some("m (domainPolicy)")),
        (403, json!({ "details": [{ "reason": "CONSUMER_INVALID" }] }), "setup", Some("CONSUMER_INVALID")),
        (
            403,
            json!({ "details": [{ "reason": "ORG_RESTRICTION_VIOLATION" }] }),
            "setup",
            Some("ORG_RESTRICTION_VIOLATION"),
        ),
        (
            400,
            json!({ "message": "Mail service not enabled", "errors": [{ "reason": "failedPrecondition" }] }),
            "account",
            Some("Mail service not enabled (failedPrecondition)"),
        ),
        (
            403,
            json!({ "message": "Delegation denied for ana@example.com", "errors": [{ "reason": "forbidden" }] }),
            "account",
            Some("Delegation denied for ana@example.com (forbidden)"),
        ),
        (
            401,
            json!({ "message": "m", "details": [{ "reason": "ACCOUNT_STATE_INVALID" }] }),
            "account",
            Some("m (ACCOUNT_STATE_INVALID)"),
        ),
        (401, json!({ "message": "m", "errors": [{ "reason": "authError" }] }), "token", None),
        (
            403,
            json!({ "message": "m", "errors": [{ "reason": "accountSuspended" }] }),
            "account",
            Some("m (accountSuspended)"),
        ),
        (
            403,
            json!({ "message": "m", "errors": [{ "reason": "insufficientPermissions" }] }),
            "scope",
            Some("m (insufficientPermissions)"),
        ),
        (
            400,
            json!({ "message": "Invalid To header", "errors": [{ "reason": "invalidArgument" }] }),
            "mail",
            Some("Invalid To header (invalidArgument)"),
        ),
        (413, json!({}), "mail", None),
        (403, json!({ "message": "m", "errors": [{ "reason": "userRateLimitExceeded" }] }), "limit", None),
    ] {
        let base = canned::answer(&canned::response(status, &json!({ "error": error }).to_string()));
        let [gmail, _] = mails_at(&base, &base, PATIENT);
        assert_eq!(kind(&gmail.send(None).await.unwrap_err()), (expected, says), "{status} {error}");
    }
    for (status, code, message, expected) in [
        (404, "MailboxNotEnabledForRESTAPI", "m", "account"),
        (404, "mailboxnotenabledforrestapi", "m", "account"),
        (404, "ErrorNonExistentMailbox", "m", "account"),
        (403, "ErrorSendAsDenied", "m", "account"),
        (403, "ErrorAccountSuspend", "m", "account"),
        (400, "ErrorMessageSubmissionBlocked", "m", "account"),
        (507, "ErrorQuotaExceeded", "m", "other"),
        (403, "ErrorQuotaExceeded", "m", "account"),
        (403, "Authorization_IdentityNotFound", "m", "setup"),
        (403, "TenantDisabled", "m", "setup"),
        (403, "ErrorAccessDenied", "Access to OData is disabled: [RAOP] : Blocked by tenant", "setup"),
        (403, "ErrorAccessDenied", "m", "scope"),
        (400, "ErrorInvalidRecipients", "m", "mail"),
        (409, "ErrorIrresolvableConflict", "m", "busy"),
        (423, "Locked", "m", "busy"),
        (403, "ErrorMailboxMoveInProgress", "m", "busy"),
        (403, "ErrorExceededMessageLimit", "m", "limit"),
    ] {
        let body = json!({ "error": { "code": code, "message": message } }).to_string();
        let base = canned::answer(&canned::response(status, &body));
        let [_, graph] = mails_at(&base, &base, PATIENT);
        let error = graph.send(None).await.unwrap_err();
        let (found, says) = kind(&error);
        assert_eq!(found, expected, "{status} {code}");
        assert!(says.is_none_or(|says| says == format!("{code}: {message}")), "{says:?}");
        assert!(
            !format!("{error} {error:?}").contains(message) || message == "m",
            "its words are in no log: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_wait_that_stands_in_the_words_of_a_429_counts() {
    let limited = |message: &str| json!({ "error": { "code": 429, "message": message } }).to_string();
    for (message, wait) in [
        ("User-rate limit exceeded.  Retry after 2016-11-06T08:50:37.000Z", Some(60)),
        ("User-rate limit exceeded.  Retry after 2027-01-01T00:00:00.000Z", Some(86_400)),
        ("Retry after 90 seconds", Some(90)),
        ("Too many requests", None),
    ] {
        let body = limited(message);
        let head = "HTTP/1.1 429 Too Many Requests\r\ndate: Sun, 06 Nov 2016 08:49:37 GMT\r\nconnection: close";
        let base = canned::answer(&format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        let [gmail, _] = mails_at(&base, &base, PATIENT);
        let error = gmail.send(None).await.unwrap_err();
        assert_eq!(error, ProviderError::RateLimited(wait.map(Duration::from_secs)), "{message}");
    }
}

#[test]
fn a_wider_scope_counts_as_those_it_includes() {
    let compose = &["https://www.googleapis.com/auth/gmail.compose"][..];
    let send = &["https://www.googleapis.com/auth/gmail.send"][..];
    for (provider, granted, wanted, expected) in [
        (domain::Provider::Google, "https://mail.google.com/", compose, true),
        (domain::Provider::Google, "https://mail.google.com/", send, true),
        (domain::Provider::Google, "https://www.googleapis.com/auth/gmail.modify", compose, true),
        (domain::Provider::Google, "gmail.modify", send, true),
        (domain::Provider::Google, "https://www.googleapis.com/auth/gmail.compose", send, true),
        (domain::Provider::Google, "https://www.googleapis.com/auth/gmail.send", compose, false),
        (domain::Provider::Google, "https://www.googleapis.com/auth/gmail.readonly", send, false),
        (domain::Provider::Google, "https://mail.google.com", send, false),
        (domain::Provider::Microsoft, "https://graph.microsoft.com/Mail.ReadWrite", &["Mail.ReadWrite"], true),
        (domain::Provider::Microsoft, "Mail.ReadWrite", &["Mail.ReadWrite", "Mail.Send"], false),
        (domain::Provider::Microsoft, "Mail.ReadWrite", &["Mail.Send"], false),
    ] {
        let granted = [granted.to_owned()];
        assert_eq!(adapters::providers::spec(provider).grants(&granted, wanted), expected, "{granted:?} {wanted:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let base = canned::answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":\"m1\"");
    let [gmail, _] = mails_at(&base, &base, PATIENT);
    assert_eq!(meaning(gmail.send(None).await), Means::MaybeSent);
    assert_eq!(meaning(gmail.prepare().await), Means::NotReached);
}

#[tokio::test]
async fn a_token_that_cannot_stand_in_a_header_is_no_token() {
    let (fakes, mut mails) = fakes().await;
    for mail in &mut mails {
        mail.access.token = "a\r\nX-Injected: 1".into();
        assert_eq!(mail.send(None).await, Err(ProviderError::Unauthorized));
    }
    assert!(fakes.operations().is_empty());
}

#[test]
fn both_mail_actions_have_a_closed_schema() {
    for action in mail_actions("http://127.0.0.1:1", "http://127.0.0.1:1/v1.0", PATIENT) {
        let schema = action.params_schema();
        assert_eq!(schema["additionalProperties"], json!(false));
        assert_eq!(schema["required"], json!(["to", "subject", "text"]));
        assert!(schema["properties"]["to"]["anyOf"].is_array(), "{schema}");
        let call = action.parse(&params()).unwrap();
        let pointers: Vec<String> = call.addresses().into_iter().map(|param| param.pointer).collect();
        assert_eq!(pointers, ["/to", "/cc/0", "/cc/1", "/bcc"]);
        let lower = call.map_addresses(&mut |_| "x@example.com".parse().unwrap());
        assert!(lower.unwrap().addresses().iter().all(|param| param.address.addr_spec() == "x@example.com"));
        assert_eq!(action.parse(&json!({ "to": "a@b", "subject": "s", "text": "t" })).err().unwrap()[0].pointer, "/to");
    }
}

#[test]
fn outlook_says_that_the_text_is_left_out() {
    let [gmail, outlook] = mail_actions("http://127.0.0.1:1", "http://127.0.0.1:1/v1.0", PATIENT);
    let call = |action: &dyn Action, params: &Value| action.parse(params).unwrap();
    let mut both = params();
    both["html"] = json!("<p>thanks</p>");
    assert!(call(&*gmail, &both).warnings().is_empty());
    assert!(call(&*outlook, &params()).warnings().is_empty());
    let outlook = call(&*outlook, &both);
    let [warning] = &outlook.warnings()[..] else { panic!("one warning") };
    assert_eq!((warning.code, warning.field.as_deref()), (domain::WarningCode::NotDelivered, Some("/text")));
    let rendered = outlook.render(&RenderContext { from: None, date: None, id: None }).unwrap();
    let body: Value = serde_json::from_str(&rendered.body).unwrap();
    assert_eq!(body["message"]["body"], json!({ "contentType": "HTML", "content": "<p>thanks</p>" }));
    assert_eq!(body["saveToSentItems"], json!(true));
}
