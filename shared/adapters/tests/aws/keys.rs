//! Data keys of KMS and secrets of Secrets Manager, on a server that speaks both.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use adapters::{
    aws::{KmsVault, SecretsManager},
    secret::Secret,
    vault::LocalVault,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contracts::{
    ManualClock, Ministack,
    proxies::{AwsProxy, Reaction},
};
use domain::WorkspaceId;
use engine::ports::{Place, Purpose, Sealed, Vault, VaultError};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{sdk, seed};

const FIVE_MINUTES: Duration = Duration::from_mins(5);

/// A new key's ARN.
async fn key(server: &Ministack) -> String {
    let client = aws_sdk_kms::Client::new(sdk(server.address()).config().await);
    client.create_key().send().await.unwrap().key_metadata.unwrap().arn.unwrap()
}

async fn seal(vault: &KmsVault, workspace: &str) -> Sealed {
    vault.seal(&Place::new(&workspace.parse().unwrap(), Purpose::Plan, "1"), b"text").await.unwrap()
}

async fn open(vault: &KmsVault, workspace: &str, sealed: &Sealed) -> Result<Vec<u8>, VaultError> {
    vault.open(&Place::new(&workspace.parse().unwrap(), Purpose::Plan, "1"), sealed).await
}

/// The sealed data key in a sealed text.
fn data_key(sealed: &Sealed) -> &str {
    sealed.0.rsplit_once('.').unwrap().0
}

#[tokio::test]
async fn the_vault_keeps_its_contract() {
    let server = Ministack::shared();
    let key = key(&server).await;
    // A sealed data key begins with its key's id. MiniStack does not compare it with
    // the key that a call has to name.
    let proxy = AwsProxy::start(server.address(), |call, body| {
        let sealed = body["CiphertextBlob"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        let named = body["KeyId"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        if call == "Decrypt" && (named.is_empty() || !sealed.starts_with(named.as_bytes())) {
            return Reaction::Answer(400, serde_json::json!({ "__type": "IncorrectKeyException" }));
        }
        Reaction::Forward
    });
    let vault = KmsVault::new(sdk(proxy.address), key, ManualClock::new());
    contracts::vault(Arc::new(vault), seed()).await;
}

#[tokio::test]
async fn another_process_opens_with_the_same_key_and_no_other() {
    let server = Ministack::shared();
    let (ours, theirs) = (key(&server).await, key(&server).await);
    let vault = |key: &str| KmsVault::new(sdk(server.address()), key, ManualClock::new());
    let sealed = seal(&vault(&ours), "acme").await;
    let id = ours.rsplit_once('/').unwrap().1;
    assert!(sealed.0.starts_with(&format!("k1.{id}.")), "the key's id can be seen: {sealed:?}");
    assert_eq!(open(&vault(&ours), "acme", &sealed).await.unwrap(), b"text");
    // KMS finds the key by the sealed data key: what was sealed before the key was changed still opens.
    assert_eq!(open(&vault(&theirs), "acme", &sealed).await.unwrap(), b"text");
    let renamed = Sealed(sealed.0.replace(id, theirs.rsplit_once('/').unwrap().1));
    assert!(matches!(open(&vault(&ours), "acme", &renamed).await, Err(VaultError::DoesNotOpen)));
    assert!(matches!(open(&vault(&ours), "globex", &sealed).await, Err(VaultError::DoesNotOpen)));
}

#[tokio::test]
async fn a_data_key_serves_one_workspace_for_five_minutes() {
    let server = Ministack::shared();
    let proxy = AwsProxy::start(server.address(), |_, _| Reaction::Forward);
    let (key, clock) = (key(&server).await, ManualClock::new());
    let vault = KmsVault::new(sdk(proxy.address), key.clone(), clock.clone());
    let first = seal(&vault, "acme").await;
    assert_eq!(data_key(&seal(&vault, "acme").await), data_key(&first));
    open(&vault, "acme", &first).await.unwrap();
    assert_eq!(proxy.calls(), ["GenerateDataKey"]);
    assert_ne!(data_key(&seal(&vault, "globex").await), data_key(&first));
    assert_eq!(proxy.calls(), ["GenerateDataKey"]);

    clock.advance(FIVE_MINUTES);
    assert_ne!(data_key(&seal(&vault, "acme").await), data_key(&first));
    open(&vault, "acme", &first).await.unwrap();
    open(&vault, "acme", &first).await.unwrap();
    assert_eq!(proxy.calls(), ["GenerateDataKey", "Decrypt"]);

    // The process keeps no more than some thousands.
    let kms = fake_kms();
    let vault = KmsVault::new(sdk(kms.address), key, clock.clone());
    for n in 0..5_000 {
        seal(&vault, &format!("w{n}")).await;
    }
    assert_eq!(kms.calls().len(), 5_000);
    seal(&vault, "w4999").await;
    seal(&vault, "w1000").await;
    assert_eq!(kms.calls(), [""; 0], "the last are at hand");
    seal(&vault, "w0").await;
    assert_eq!(kms.calls(), ["GenerateDataKey"], "the first is not");
}

/// A KMS that is quick: a sealed data key is its number.
fn fake_kms() -> AwsProxy {
    let made = AtomicU64::new(0);
    AwsProxy::start(SocketAddr::from(([127, 0, 0, 1], 1)), move |call, body| {
        let sealed = match call {
            "GenerateDataKey" => STANDARD.encode(made.fetch_add(1, Ordering::Relaxed).to_be_bytes().repeat(23)),
            _ => body["CiphertextBlob"].as_str().unwrap_or_default().to_owned(),
        };
        let plaintext = STANDARD.encode(domain::sha256(sealed.as_bytes()));
        Reaction::Answer(200, json!({ "KeyId": body["KeyId"], "CiphertextBlob": sealed, "Plaintext": plaintext }))
    })
}

/// What 1,000 jobs of 300 workspaces cost in an hour, of which each is quiet for more than five minutes at a time.
/// `scripts/costs` reads the number.
#[tokio::test]
async fn quiet_workspaces_cost_few_calls_of_kms() {
    let (kms, clock) = (fake_kms(), ManualClock::new());
    let process = || KmsVault::new(sdk(kms.address), "key/1", clock.clone());
    let [connect, plan2, execute, worker, jobs] = std::array::from_fn(|_| process());
    let seal = async |vault: &KmsVault, workspace: &WorkspaceId, purpose, id: &str| {
        vault.seal(&Place::new(workspace, purpose, id), b"text").await.unwrap()
    };
    let open = async |vault: &KmsVault, workspace: &WorkspaceId, purpose, id: &str, sealed: &Sealed| {
        assert_eq!(vault.open(&Place::new(workspace, purpose, id), sealed).await.unwrap(), b"text");
    };
    let mut connections = HashMap::new();
    for n in 0..300 {
        let workspace: WorkspaceId = format!("w{n}").parse().unwrap();
        let tokens = seal(&connect, &workspace, Purpose::Connection, "google").await;
        connections.insert(workspace, tokens);
    }
    clock.advance(FIVE_MINUTES);
    kms.calls();
    for n in 0..1_000 {
        // 3.6 s later, another workspace: each has its turn every 18 minutes.
        clock.advance(Duration::from_millis(3_600));
        let (workspace, id) = (format!("w{}", n % 300).parse().unwrap(), n.to_string());
        let plan = seal(&plan2, &workspace, Purpose::Plan, &id).await;
        open(&execute, &workspace, Purpose::Plan, &id, &plan).await;
        let params = seal(&execute, &workspace, Purpose::JobParams, &id).await;
        open(&worker, &workspace, Purpose::JobParams, &id, &params).await;
        open(&worker, &workspace, Purpose::Connection, "google", &connections[&workspace]).await;
        let result = seal(&worker, &workspace, Purpose::JobResult, &id).await;
        open(&jobs, &workspace, Purpose::JobResult, &id, &result).await;
        assert_eq!([data_key(&params), data_key(&result)], [data_key(&plan); 2], "one data key for all of a job");
    }
    let calls = kms.calls().len();
    println!("kms: 1000 jobs of 300 quiet workspaces: {calls} calls");
    assert!(calls <= 5_000, "{calls}");
}

#[tokio::test]
async fn a_data_key_that_opened_a_text_seals_what_follows_from_it_and_nothing_else() {
    let (kms, clock) = (fake_kms(), ManualClock::new());
    let [first, second] = std::array::from_fn(|_| KmsVault::new(sdk(kms.address), "key/1", clock.clone()));
    let acme: WorkspaceId = "acme".parse().unwrap();
    for (opened, sealed, same) in [
        (Purpose::Plan, Purpose::JobParams, true),
        (Purpose::JobParams, Purpose::JobResult, true),
        (Purpose::JobParams, Purpose::ProviderSays, true),
        (Purpose::Plan, Purpose::Plan, false),
        (Purpose::JobParams, Purpose::Plan, false),
        (Purpose::JobParams, Purpose::JobParams, false),
        (Purpose::JobResult, Purpose::JobParams, false),
        (Purpose::Connection, Purpose::Connection, false),
        (Purpose::Outbox, Purpose::JobParams, false),
    ] {
        clock.advance(FIVE_MINUTES);
        let text = first.seal(&Place::new(&acme, opened, "1"), b"text").await.unwrap();
        second.open(&Place::new(&acme, opened, "1"), &text).await.unwrap();
        let next = second.seal(&Place::new(&acme, sealed, "1"), b"text").await.unwrap();
        assert_eq!(data_key(&next) == data_key(&text), same, "{opened:?} then {sealed:?}");
        let foreign: WorkspaceId = "globex".parse().unwrap();
        let other = second.seal(&Place::new(&foreign, sealed, "1"), b"text").await.unwrap();
        assert_ne!(data_key(&other), data_key(&text), "another workspace has its own");
    }
}

#[tokio::test]
async fn without_kms_nothing_is_sealed_or_opened_and_it_says_why() {
    let server = Ministack::shared();
    let (key, clock) = (key(&server).await, ManualClock::new());
    let sealed = seal(&KmsVault::new(sdk(server.address()), key.clone(), clock.clone()), "acme").await;
    let lost = KmsVault::new(sdk(([127, 0, 0, 1], 1).into()), key, clock.clone());
    let answers = [
        lost.seal(&Place::new(&"acme".parse().unwrap(), Purpose::Plan, "1"), b"text")
            .await
            .map(|sealed| sealed.0.into_bytes()),
        open(&lost, "acme", &sealed).await,
    ];
    assert!(answers.iter().all(|answer| matches!(answer, Err(VaultError::Unavailable(_)))), "{answers:?}");
    let missing = KmsVault::new(sdk(server.address()), seed().to_string(), clock);
    let refused = missing.seal(&Place::new(&"acme".parse().unwrap(), Purpose::Plan, "1"), b"text").await.unwrap_err();
    assert!(refused.to_string().contains("NotFoundException"), "{refused}");
}

/// A new secret's ARN.
async fn secret(server: &Ministack, value: &str) -> String {
    let client = aws_sdk_secretsmanager::Client::new(sdk(server.address()).config().await);
    let made = client.create_secret().name(seed().to_string()).secret_string(value).send().await.unwrap();
    made.arn.unwrap()
}

async fn read(store: &SecretsManager, name: &str) -> Result<String, String> {
    let read = store.read(name).await;
    read.map(|secret| secret.expose_secret().to_owned()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_secret_is_read_at_first_need_and_again_after_five_minutes() {
    let server = Ministack::shared();
    let proxy = AwsProxy::start(server.address(), |_, _| Reaction::Forward);
    let arn = secret(&server, r#"{"key":"first","other":"value","number":1}"#).await;
    let (sdk_here, clock) = (sdk(server.address()), ManualClock::new());
    let store = SecretsManager::new(sdk(proxy.address), clock.clone());
    assert_eq!(proxy.calls(), [""; 0]);
    assert_eq!(read(&store, &format!("{arn}:key::")).await.as_deref(), Ok("first"));
    assert_eq!(read(&store, &format!("{arn}:other::")).await.as_deref(), Ok("value"));
    assert_eq!(proxy.calls(), ["GetSecretValue"], "its fields are read together");
    for wrong in ["number", "missing"] {
        let error = read(&store, &format!("{arn}:{wrong}::")).await.unwrap_err();
        assert!(error.contains(wrong) && !error.contains("first"), "{error}");
    }

    let client = aws_sdk_secretsmanager::Client::new(sdk_here.config().await);
    client.put_secret_value().secret_id(&arn).secret_string(r#"{"key":"second"}"#).send().await.unwrap();
    assert_eq!(read(&store, &format!("{arn}:key::")).await.as_deref(), Ok("first"));
    clock.advance(FIVE_MINUTES);
    assert_eq!(read(&store, &format!("{arn}:key::")).await.as_deref(), Ok("second"), "a rotation is heard of");
    client.delete_secret().secret_id(&arn).force_delete_without_recovery(true).send().await.unwrap();
    clock.advance(FIVE_MINUTES);
    assert_eq!(read(&store, &format!("{arn}:key::")).await.as_deref(), Ok("second"), "it stays what it was");

    let gone = read(&store, &secret(&server, "x").await.replace("secret:", "secret:no")).await.unwrap_err();
    assert!(gone.contains("has no value"), "{gone}");
}

#[tokio::test]
async fn a_secret_is_read_as_a_person_put_it() {
    let server = Ministack::shared();
    let store = SecretsManager::new(sdk(server.address()), ManualClock::new());
    for put in ["sk-1", "sk-1\n", "sk-1\r\n", " sk-1", "sk-1\t \n\n", "\n\nsk-1"] {
        let arn = secret(&server, put).await;
        assert_eq!(read(&store, &arn).await.as_deref(), Ok("sk-1"), "{put:?}");
        let arn = secret(&server, &serde_json::json!({ "key": put }).to_string()).await;
        assert_eq!(read(&store, &format!("{arn}:key::")).await.as_deref(), Ok("sk-1"), "{put:?}");
    }
    let client = aws_sdk_secretsmanager::Client::new(sdk(server.address()).config().await);
    let never_put = client.create_secret().name(seed().to_string()).send().await.unwrap().arn.unwrap();
    for empty in [never_put, secret(&server, "\n").await, secret(&server, "  ").await] {
        let error = read(&store, &empty).await.unwrap_err();
        let name = empty.rsplit(':').next().unwrap();
        assert!(error.contains(name) && error.contains("put-secret-value"), "{error}");
    }
}

#[tokio::test]
async fn a_secret_that_was_refused_is_read_again_at_its_next_use() {
    let server = Ministack::shared();
    let proxy = AwsProxy::start(server.address(), |_, _| Reaction::Forward);
    let store = Arc::new(SecretsManager::new(sdk(proxy.address), ManualClock::new()));
    let arn = secret(&server, "wrong").await;
    let stored = Secret::Stored { manager: store.clone(), arn: arn.as_str().into() };
    let get = async || stored.get().await.unwrap().expose_secret().to_owned();
    stored.doubt().await;
    assert_eq!((get().await, get().await), ("wrong".to_owned(), "wrong".to_owned()));
    assert_eq!(proxy.calls(), ["GetSecretValue"]);
    let client = aws_sdk_secretsmanager::Client::new(sdk(server.address()).config().await);
    client.put_secret_value().secret_id(&arn).secret_string("right").send().await.unwrap();
    stored.doubt().await;
    assert_eq!((get().await, get().await), ("right".to_owned(), "right".to_owned()));
    assert_eq!(proxy.calls(), ["GetSecretValue"]);
    client.delete_secret().secret_id(&arn).force_delete_without_recovery(true).send().await.unwrap();
    stored.doubt().await;
    assert_eq!(get().await, "right", "the last known value is better than none");
}

#[tokio::test]
async fn a_secret_without_a_value_is_told_by_its_name_and_its_value_is_not_asked_for() {
    let server = Ministack::shared();
    let refusal = serde_json::json!({ "__type": "AccessDeniedException", "message": "no" });
    let nothing = serde_json::json!({ "ARN": "arn", "Name": "name" });
    let arn = secret(&server, "sk-1").await;
    let name = arn.rsplit(':').next().unwrap();
    let told = |said: Option<String>| said.is_some_and(|said| said.contains(name) && said.contains("has no value yet"));
    let start = |react: fn(&str, serde_json::Value) -> Reaction, given: &serde_json::Value| {
        let given = given.clone();
        let proxy = AwsProxy::start(server.address(), move |call, _| react(call, given.clone()));
        let clock = ManualClock::new();
        (SecretsManager::new(sdk(proxy.address), clock.clone()), clock, proxy)
    };

    let (store, clock, proxy) = start(|_, _| Reaction::Forward, &nothing);
    assert_eq!((store.without_value(&arn).await, store.without_value(&format!("{arn}:key::")).await), (None, None));
    assert_eq!(proxy.calls(), ["DescribeSecret"], "what was found is good for five minutes");
    clock.advance(FIVE_MINUTES);
    assert_eq!(store.without_value(&arn).await, None);
    assert_eq!(proxy.calls(), ["DescribeSecret"]);
    assert!(
        store.without_value(&arn.replace("secret:", "secret:no")).await.is_some_and(|said| said.contains("or is gone"))
    );

    let (store, _, proxy) = start(|_, given| Reaction::Answer(200, given), &nothing);
    assert!(told(store.without_value(&arn).await) && told(store.without_value(&arn).await), "until it has one");
    assert_eq!(proxy.calls(), ["DescribeSecret"; 2]);

    // A process that may read it, but not look it up.
    let denied_look =
        |call: &str, given| if call == "DescribeSecret" { Reaction::Answer(400, given) } else { Reaction::Forward };
    let (store, _, _proxy) = start(denied_look, &refusal);
    assert_eq!(store.without_value(&arn).await, None);
    assert!(
        store.without_value(&secret(&server, " ").await).await.is_some_and(|said| said.contains("has no value yet"))
    );
    let (store, _, _proxy) = start(|_, given| Reaction::Answer(400, given), &refusal);
    let said = store.without_value(&arn).await.unwrap();
    assert!(said.contains("cannot be read") && !said.contains("sk-1"), "{said}");
}

#[tokio::test]
async fn a_vaults_key_may_be_a_stored_secret() {
    let server = Ministack::shared();
    let store = Arc::new(SecretsManager::new(sdk(server.address()), ManualClock::new()));
    let arn = secret(&server, &"0f".repeat(32)).await;
    let stored = |arn: String| LocalVault::from_secret(Secret::Stored { manager: store.clone(), arn: arn.into() });
    contracts::vault(Arc::new(stored(arn)), seed()).await;
    let vault = stored(secret(&server, "s3cret").await);
    let refused = vault.seal(&Place::new(&"acme".parse().unwrap(), Purpose::Plan, "1"), b"text").await.unwrap_err();
    assert!(matches!(refused, VaultError::Unavailable(_)) && !refused.to_string().contains("s3cret"), "{refused}");
}
