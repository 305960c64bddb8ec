//! Accounts are connected, renewed and ended at OAuth servers that others wrote, and what lies in the ledger
//! opens for its own account alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use adapters::{
    embedded::{MemoryCache, SqliteLedger},
    http::{ClientOptions, LazyClient},
    oauth::{OAuthClient, OAuthClients},
    secret::Secret,
    system::{SystemClock, SystemIds},
    vault::LocalVault,
};
use async_trait::async_trait;
use contracts::{Emulate, ManualClock};
use domain::{Provider, Via, WorkspaceId};
use engine::{
    accounts::{Accounts, Connection, ConnectionError, PastedTokens, Tokens},
    ports::{
        Authorization, Clock, Exchange, Granted, Identity, Ids, OAuth, OAuthError, Save, StoredConnection, VaultError,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

const REDIRECT: &str = "http://127.0.0.1:8787/oauth/x/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const SCOPE: &str = "https://www.googleapis.com/auth/gmail.send";

fn start(provider: Provider) -> (Emulate, OAuthClients) {
    let seed = json!({ provider.as_str(): {
        "users": [{ "email": "owner@contoso.com", "name": "Owner" }],
        "oauth_clients": [{
            "client_id": "us", "client_secret": "hush", "name": "Us", "redirect_uris": [REDIRECT],
        }],
    } });
    let server = Emulate::start(provider.as_str(), &seed);
    let clients = clients(provider, &server.url(), "hush");
    (server, clients)
}

fn clients(provider: Provider, url: &str, secret: &str) -> OAuthClients {
    let (auth, token, revoke) = match provider {
        Provider::Google => ("/o/oauth2/v2/auth", "/oauth2/token", Some(format!("{url}/oauth2/revoke"))),
        Provider::Microsoft => ("/oauth2/v2.0/authorize", "/oauth2/v2.0/token", None),
    };
    let client = OAuthClient {
        client_id: "us".to_owned(),
        client_secret: Secret::Given(secret.into()),
        auth_url: format!("{url}{auth}"),
        token_url: format!("{url}{token}"),
        revoke_url: revoke,
    };
    OAuthClients::new(LazyClient::new(ClientOptions::PROVIDER), Arc::new(SystemClock), [(provider, client)].into())
}

/// What a person does at the provider's page; gives the code that comes back.
async fn consent(clients: &OAuthClients, provider: Provider, redirect_uri: &str) -> Option<String> {
    let scopes = ["openid", "email", SCOPE].map(str::to_owned);
    let authorization = Authorization {
        provider,
        scopes: &scopes,
        state: "the-state",
        nonce: "the-nonce",
        verifier: VERIFIER,
        redirect_uri,
    };
    let page: reqwest::Url = clients.authorization_url(&authorization).unwrap().parse().unwrap();
    let http = adapters::http::client(ClientOptions::PROVIDER);
    let shown = http.get(page.clone()).send().await.unwrap();
    if shown.status() != 200 {
        return None;
    }
    assert!(shown.text().await.unwrap().contains("owner@contoso.com"), "the page offers the account");
    let mut form = page.clone();
    form.set_path(&format!("{}/callback", page.path()));
    form.query_pairs_mut().append_pair("email", "owner@contoso.com");
    let body = form.query().unwrap().to_owned();
    form.set_query(None);
    let chosen = http.post(form).header("content-type", "application/x-www-form-urlencoded").body(body);
    let back = chosen.send().await.unwrap();
    let back: reqwest::Url = back.headers()["location"].to_str().unwrap().parse().unwrap();
    let get = |name| back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    assert_eq!(get("state").as_deref(), Some("the-state"));
    get("code")
}

fn exchange(provider: Provider, code: &str) -> Exchange<'_> {
    Exchange { provider, code, verifier: VERIFIER, nonce: "the-nonce", redirect_uri: REDIRECT }
}

/// Whether only the owner's consent helps.
fn ended<T>(answer: &Result<T, OAuthError>) -> bool {
    matches!(answer, Err(OAuthError::InvalidGrant))
}

/// A server that gives every request this JSON.
fn answers(status: u16, body: Value) -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let (body, kind) = (body.to_string(), "content-type: application/json\r\nconnection: close");
            let head = format!("HTTP/1.1 {status} X\r\n{kind}\r\ncontent-length: {}\r\n\r\n", body.len());
            reader.get_mut().write_all((head + &body).as_bytes()).unwrap();
        }
    });
    url
}

#[tokio::test]
async fn what_only_the_owner_can_mend_ends_the_grant() {
    for (code, is_over) in [
        ("invalid_grant", true),
        ("interaction_required", true),
        ("consent_required", true),
        ("login_required", true),
        ("invalid_client", false),
        ("temporarily_unavailable", false),
    ] {
        let url = answers(400, json!({ "error": code, "error_description": "AADSTS50076" }));
        let clients = clients(Provider::Microsoft, &url, "hush");
        let refreshed = clients.refresh(Provider::Microsoft, &"old".into()).await;
        assert_eq!((ended(&refreshed), refreshed.is_err()), (is_over, true), "{code}");
    }
}

#[tokio::test]
async fn what_only_the_operator_can_mend_is_told_apart_from_what_passes() {
    for (status, code, is_setup) in [
        (401, "invalid_client", true),
        (400, "invalid_client", true),
        (400, "unauthorized_client", true),
        (400, "access_denied", true),
        (400, "org_internal", true),
        (400, "admin_policy_enforced", true),
        (401, "deleted_client", true),
        (400, "invalid_grant", false),
        (400, "temporarily_unavailable", false),
        (400, "Unauthorized_Client", false),
        (500, "invalid_client", false),
        (200, "invalid_client", false),
    ] {
        let url = answers(status, json!({ "error": code, "error_description": "AADSTS7000222" }));
        let clients = clients(Provider::Microsoft, &url, "hush");
        let refused = clients.refresh(Provider::Microsoft, &"old".into()).await.unwrap_err();
        assert_eq!(matches!(&refused, OAuthError::Setup(said) if said == code), is_setup, "{status} {code}: {refused}");
    }
}

#[tokio::test]
async fn the_life_of_a_token_is_read_as_servers_write_it() {
    for (life, seconds) in [
        (json!(3599), 3599),
        (json!("3599"), 3599),
        (json!(3599.0), 3599),
        (json!(null), 3600),
        (json!(-1), 0),
        (json!("soon"), 3600),
    ] {
        let url = answers(200, json!({ "access_token": "new", "token_type": "Bearer", "expires_in": life }));
        let clients = clients(Provider::Google, &url, "hush");
        let granted = clients.refresh(Provider::Google, &"old".into()).await.unwrap();
        assert_eq!(granted.expires_in, Duration::from_secs(seconds), "{life}");
    }
}

#[tokio::test]
async fn google_is_connected_renewed_and_revoked() {
    let provider = Provider::Google;
    let (server, clients) = start(provider);
    assert_eq!(consent(&clients, provider, "http://127.0.0.1:8787/elsewhere").await, None, "the redirect URI is exact");

    let code = consent(&clients, provider, REDIRECT).await.unwrap();
    let stolen = Exchange { verifier: &VERIFIER.replace('d', "e"), ..exchange(provider, &code) };
    assert!(ended(&clients.exchange(&stolen).await), "a code without its verifier");
    let (granted, identity) = clients.exchange(&exchange(provider, &code)).await.unwrap();
    assert_eq!(identity.name, "owner@contoso.com");
    assert!(granted.scopes.unwrap().iter().any(|scope| scope == SCOPE) && granted.expires_in.as_secs() == 3600);
    assert!(ended(&clients.exchange(&exchange(provider, &code)).await), "a code twice");

    let code = consent(&clients, provider, REDIRECT).await.unwrap();
    let other = Exchange { nonce: "another", ..exchange(provider, &code) };
    assert!(matches!(clients.exchange(&other).await, Err(OAuthError::InvalidAnswer(why)) if why.contains("request")));

    let token = granted.refresh_token.unwrap();
    let next = clients.refresh(provider, &token).await.unwrap();
    assert!(next.access_token.expose_secret() != granted.access_token.expose_secret() && next.refresh_token.is_none());
    let stranger = self::clients(provider, &server.url(), "guess").refresh(provider, &token).await.unwrap_err();
    assert!(
        matches!(&stranger, OAuthError::Setup(code) if code == "invalid_client"),
        "no reason to ask a person: {stranger}"
    );

    assert!(clients.revoke(provider, &token).await.unwrap());
    assert!(ended(&clients.refresh(provider, &token).await));
    drop(server);
    let gone = clients.refresh(provider, &token).await.unwrap_err();
    assert!(matches!(&gone, OAuthError::Unavailable(cause) if cause.to_string() == "no connection"), "{gone}");
}

#[tokio::test]
async fn microsoft_is_connected_and_its_refresh_token_rotates() {
    let provider = Provider::Microsoft;
    let (_server, clients) = start(provider);
    assert_eq!(consent(&clients, provider, "http://127.0.0.1:8787/elsewhere").await, None, "the redirect URI is exact");
    let code = consent(&clients, provider, REDIRECT).await.unwrap();
    let elsewhere = Exchange { redirect_uri: "http://127.0.0.1:8787/elsewhere", ..exchange(provider, &code) };
    assert!(ended(&clients.exchange(&elsewhere).await));
    let code = consent(&clients, provider, REDIRECT).await.unwrap();
    let (granted, identity) = clients.exchange(&exchange(provider, &code)).await.unwrap();
    assert_eq!(identity.name, "owner@contoso.com");

    let first = granted.refresh_token.unwrap();
    let second = clients.refresh(provider, &first).await.unwrap().refresh_token.expect("it rotates");
    assert!(ended(&clients.refresh(provider, &first).await), "the one before has ended");
    assert!(clients.refresh(provider, &second).await.is_ok());
    assert!(!clients.revoke(provider, &second).await.unwrap(), "Microsoft has no endpoint for it");
}

/// Tokens that count how often they were renewed.
#[derive(Default)]
struct Counting(AtomicUsize);

#[async_trait]
impl OAuth for Counting {
    fn has_client(&self, _: Provider) -> bool {
        true
    }

    fn authorization_url(&self, _: &Authorization<'_>) -> Option<String> {
        None
    }

    async fn exchange(&self, _: &Exchange<'_>) -> Result<(Granted, Identity), OAuthError> {
        Err(OAuthError::InvalidGrant)
    }

    async fn refresh(&self, _: Provider, token: &SecretString) -> Result<Granted, OAuthError> {
        let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        // Long enough that everybody else comes while it is under way.
        tokio::task::yield_now().await;
        if token.expose_secret() == "ended" {
            return Err(OAuthError::InvalidGrant);
        }
        Ok(Granted {
            access_token: format!("access {count}").into(),
            expires_in: Duration::from_hours(1),
            refresh_token: Some(format!("refresh {count}").into()),
            scopes: None,
        })
    }

    async fn revoke(&self, _: Provider, _: &SecretString) -> Result<bool, OAuthError> {
        Ok(true)
    }
}

struct World {
    clock: Arc<dyn Clock>,
    oauth: Arc<Counting>,
    accounts: Arc<Accounts>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::at(ManualClock::new())
    }

    fn at(clock: Arc<dyn Clock>) -> Self {
        let (oauth, folder) = (Arc::new(Counting::default()), tempfile::tempdir().unwrap());
        let accounts = Arc::new(Accounts {
            mode: Some(Via::Live),
            pasted: PastedTokens { workspace: "local".parse().unwrap(), tokens: [].into() },
            connections: Arc::new(SqliteLedger::open(folder.path(), clock.clone()).unwrap()),
            vault: Arc::new(LocalVault::from_file(folder.path()).unwrap()),
            locks: Arc::new(MemoryCache::new(clock.clone())),
            oauth: oauth.clone(),
            clock: clock.clone(),
            ids: Arc::new(SystemIds),
        });
        Self { clock, oauth, accounts, _folder: folder }
    }

    async fn connect(
        &self,
        workspace: &WorkspaceId,
        account: &str,
        lives: Duration,
        refresh: &str,
    ) -> StoredConnection {
        let provider = Provider::Google;
        let tokens = Tokens {
            access: format!("access of {account}").into(),
            refresh: refresh.to_owned().into(),
            expires_at: self.clock.now() + jiff::SignedDuration::try_from(lives).unwrap(),
            name: format!("{account}@example.com"),
        };
        let sealed = tokens.seal(&*self.accounts.vault, workspace, provider, account).await.unwrap();
        let stored = StoredConnection {
            workspace: workspace.clone(),
            provider,
            account: account.to_owned(),
            sealed,
            scopes: vec![SCOPE.to_owned()],
            needs_reauth: false,
            needs_reauth_since: None,
            setup_problem: None,
            version: SystemIds.uuid(),
            connected_at: self.clock.now(),
        };
        assert_eq!(self.accounts.connections.put_connection(&stored, None).await.unwrap(), Save::Done);
        stored
    }

    async fn access(&self, workspace: &WorkspaceId) -> String {
        match self.accounts.ready(workspace, Provider::Google).await.unwrap() {
            Connection::Live(access) => access.token.expose_secret().to_owned(),
            other => panic!("not live: {other:?}"),
        }
    }
}

fn workspace(name: &str) -> WorkspaceId {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_token_is_renewed_five_minutes_ahead_and_what_rotates_is_kept() {
    let clock = ManualClock::new();
    let (world, ours) = (World::at(clock.clone()), workspace("ours"));
    world.connect(&ours, "ana", Duration::from_hours(1), "refresh 0").await;
    assert_eq!(world.access(&ours).await, "access of ana");
    clock.advance(Duration::from_mins(55));
    assert_eq!(world.access(&ours).await, "access 1", "it would end in five minutes");
    assert_eq!(world.access(&ours).await, "access 1");
    let stored = world.accounts.connections.connection(&ours, Provider::Google).await.unwrap().unwrap();
    let tokens = Tokens::open(&*world.accounts.vault, &stored).await.unwrap();
    assert_eq!(tokens.refresh.expose_secret(), "refresh 1");
    assert!(!serde_json::to_string(&stored).unwrap().contains("ana@example.com"), "the address is sealed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_find_an_ended_token_one_renews_it() {
    let (world, ours) = (World::at(Arc::new(SystemClock)), workspace("ours"));
    world.connect(&ours, "ana", Duration::ZERO, "refresh 0").await;
    let running: Vec<_> = (0..50)
        .map(|_| {
            let (accounts, ours) = (world.accounts.clone(), ours.clone());
            tokio::spawn(async move { accounts.ready(&ours, Provider::Google).await })
        })
        .collect();
    for task in running {
        let connection = task.await.unwrap().unwrap();
        assert!(matches!(connection, Connection::Live(access) if access.token.expose_secret() == "access 1"));
    }
    assert_eq!(world.oauth.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_an_ended_grant_waits_for_consent() {
    let (world, ours) = (World::new(), workspace("ours"));
    let stored = world.connect(&ours, "ana", Duration::from_hours(9), "refresh 0").await;
    let Connection::Live(refused) = world.accounts.ready(&ours, Provider::Google).await.unwrap() else { panic!() };
    for _ in 0..3 {
        let fresh = world.accounts.refreshed(&ours, Provider::Google, &refused).await.unwrap().unwrap();
        assert_eq!(fresh.token.expose_secret(), "access 1", "who comes later takes what is there");
    }
    let there = world.accounts.connections.connection(&ours, Provider::Google).await.unwrap().unwrap();
    world.accounts.connections.delete_connection(&ours, Provider::Google, there.version).await.unwrap();
    assert!(world.accounts.refreshed(&ours, Provider::Google, &refused).await.unwrap().is_none(), "disconnected");
    world.connect(&ours, "bob", Duration::from_hours(9), "refresh 0").await;
    let other = world.accounts.refreshed(&ours, Provider::Google, &refused).await.unwrap();
    assert!(other.is_none(), "never another account's token: {stored:?}");

    let theirs = workspace("theirs");
    world.connect(&theirs, "eve", Duration::ZERO, "ended").await;
    for _ in 0..2 {
        let ended = world.accounts.ready(&theirs, Provider::Google).await.unwrap();
        assert!(matches!(ended, Connection::NeedsReauth(access) if access.address.is_some()), "asked once, then known");
    }
    assert_eq!(world.oauth.0.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_is_put_in_anothers_place_does_not_open() {
    let (world, ours, theirs) = (World::new(), workspace("ours"), workspace("theirs"));
    let ana = world.connect(&ours, "ana", Duration::from_hours(1), "refresh 0").await;
    let bob = world.connect(&theirs, "bob", Duration::from_hours(1), "refresh 0").await;
    let fresh = || SystemIds.uuid();
    let elsewhere = [
        StoredConnection { sealed: bob.sealed.clone(), version: fresh(), ..ana.clone() },
        StoredConnection { sealed: bob.sealed.clone(), account: bob.account.clone(), version: fresh(), ..ana.clone() },
        StoredConnection { account: bob.account.clone(), version: fresh(), ..ana.clone() },
        StoredConnection { provider: Provider::Microsoft, version: fresh(), ..ana.clone() },
    ];
    let mut over = Some(ana.version);
    for moved in elsewhere {
        let provider = moved.provider;
        let over = if provider == Provider::Google { over.replace(moved.version) } else { None };
        assert_eq!(world.accounts.connections.put_connection(&moved, over).await.unwrap(), Save::Done);
        let found = world.accounts.ready(&ours, provider).await;
        assert!(matches!(found, Err(ConnectionError::Vault(VaultError::DoesNotOpen))), "{moved:?}: {found:?}");
        let known = world.accounts.known(&ours, provider).await.unwrap();
        let Connection::NeedsReauth(access) = known else { panic!("{moved:?}: {known:?}") };
        assert!(access.token.expose_secret().is_empty() && access.address.is_none());
    }
    assert_eq!(world.oauth.0.load(Ordering::SeqCst), 0);
}
