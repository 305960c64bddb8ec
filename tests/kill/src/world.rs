//! A deployment of its own: ledger, queue, Redis, mail providers, and the processes' environment.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use adapters::{
    aws::settings,
    http::{ClientOptions, client},
};
use aws_sdk_sqs::{
    config::{Credentials, Region, SharedCredentialsProvider},
    types::QueueAttributeName,
};
use contracts::{
    Ministack,
    servers::{RedisServer, free_port},
};
use fakes::{Fakes, Listener, Provider, Token};
use kill::Trap;
use tempfile::TempDir;

use crate::process::Process;

/// What brings jobs to workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    Sqs,
    Redis,
}

/// What the mail accounts were granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// To send; a lost answer leaves the outcome unknown.
    Send,
    /// To make drafts too; a lost answer leaves nothing unknown.
    Draft,
}

const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events.owned";

/// How long things take, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub lease: u32,
    pub visibility: u32,
    pub sweep: u32,
    pub provider_timeout: u32,
}

impl Pace {
    /// The product's own.
    pub const PRODUCT: Self = Self { lease: 45, visibility: 60, sweep: 60, provider_timeout: 15 };
    /// The same proportions, for tests. A worker begins no send with less left of its lease than the
    /// provider's time and 3 seconds.
    pub const QUICK: Self = Self { lease: 5, visibility: 6, sweep: 3, provider_timeout: 1 };
}

/// Programs and servers that all deployments share.
#[derive(Debug)]
pub struct Shared {
    pub ministack: Ministack,
    /// Where the product's and this crate's programs are.
    pub programs: PathBuf,
    /// Where the processes' logs go.
    pub logs: Option<PathBuf>,
}

/// A deployment.
pub struct World {
    pub shared: Arc<Shared>,
    pub name: String,
    pub queue: QueueKind,
    pub scope: Scope,
    pub pace: Pace,
    pub redis: tokio::sync::Mutex<RedisServer>,
    pub fakes: Fakes,
    pub http: reqwest::Client,
    /// The API keys of the callers, where jobs of all kinds are mixed: one that sends and approves, one that is draft-only.
    pub keys: Option<[String; 2]>,
    /// The webhook endpoint, where jobs of all kinds are mixed at the product's own pace.
    pub listener: Option<Listener>,
    environment: Vec<(String, String)>,
    _folder: TempDir,
}

impl World {
    /// A new one, empty. Two of one run need different names.
    pub async fn start(shared: &Arc<Shared>, name: String, queue: QueueKind, scope: Scope, pace: Pace) -> Self {
        Self::start_with_variables(shared, name, queue, scope, pace, &[]).await
    }

    /// One in which jobs are held, go later, or end with their drafts.
    pub async fn start_mixed(shared: &Arc<Shared>, name: String, queue: QueueKind, scope: Scope, pace: Pace) -> Self {
        let variables = [
            ("REQUIRE_APPROVAL", "external"),
            ("INTERNAL_DOMAINS", "example.com"),
            ("WEBHOOK_ALLOW_HOSTS", "127.0.0.1"),
            ("LIMIT_REQUESTS_PER_KEY", "1000000"),
            ("LIMIT_REQUESTS_PER_WORKSPACE", "1000000"),
        ];
        let mut world = Self::start_with_variables(shared, name, queue, scope, pace, &variables).await;
        let scopes = "actions:preview,actions:execute,actions:approve,webhooks:write";
        let create = ["keys", "create", "--workspace", "local", "--scopes", scopes];
        world.keys = Some([world.key(&create).await, world.key(&[&create[..], &["--draft-only"]].concat()).await]);
        // No worker with a quick lease has the time for a delivery.
        if pace.lease > Pace::QUICK.lease {
            let (listener, url) = Listener::start().await;
            world.listener = Some(listener);
            world.add_endpoint(&url).await;
        }
        world
    }

    /// Adds a webhook endpoint by an API of its own.
    async fn add_endpoint(&self, url: &str) {
        let _api = self.api(&[]);
        let key = &self.keys.as_ref().expect("a mixed deployment has keys")[0];
        let body = serde_json::json!({ "url": url });
        for _ in 0..600 {
            let request = self.http.post(format!("{}/webhooks", self.url())).bearer_auth(key).json(&body);
            if request.send().await.is_ok_and(|answer| answer.status() == 201) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no webhook endpoint is added");
    }

    /// The API key that this command makes.
    async fn key(&self, create: &[&str]) -> String {
        let create: Vec<String> = create.iter().map(|argument| (*argument).to_owned()).collect();
        let mut command = self.start_program("orchestrator", &create, &self.environment);
        let made = crate::process::until(Duration::from_mins(1), || !command.said("orc").is_empty()).await;
        assert!(made, "no key is made");
        let key = format!("orc{}", command.said("orc")[0]);
        assert!(
            crate::process::until(Duration::from_mins(1), || command.has_ended()).await,
            "keys create does not end"
        );
        key
    }

    async fn start_with_variables(
        shared: &Arc<Shared>,
        name: String,
        queue: QueueKind,
        scope: Scope,
        pace: Pace,
        more: &[(&str, &str)],
    ) -> Self {
        let redis = tokio::task::block_in_place(|| RedisServer::start(false));
        let fakes = Fakes::start().await.expect("loopback has a free port");
        let (google, microsoft): (&[&str], &[&str]) = match scope {
            Scope::Send => {
                (&["https://www.googleapis.com/auth/gmail.send", EVENTS], &["Mail.Send", "Calendars.ReadWrite"])
            }
            Scope::Draft => (
                &["https://www.googleapis.com/auth/gmail.compose", EVENTS],
                &["Mail.ReadWrite", "Mail.Send", "Calendars.ReadWrite"],
            ),
        };
        fakes.add_token(Token::new(Provider::Google, "token-of-google", google));
        fakes.add_token(Token::new(Provider::Microsoft, "token-of-microsoft", microsoft));
        let queue_url = match queue {
            QueueKind::Sqs => make_queue(&shared.ministack, &name, pace.visibility).await,
            QueueKind::Redis => "redis".to_owned(),
        };
        let folder = tempfile::tempdir().expect("a folder can be made");
        let level = if shared.logs.is_some() { "info" } else { "off" };
        let variables = [
            ("RUST_LOG", level.to_owned()),
            ("PORT", free_port().to_string()),
            ("ORCHESTRATOR_DATA", folder.path().display().to_string()),
            ("TOKEN_KEY", "5a".repeat(32)),
            ("REDIS_URL", redis.url()),
            ("QUEUE_URL", queue_url),
            ("LEDGER_TABLE", name.clone()),
            ("AWS_ENDPOINT_URL", shared.ministack.url()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("GMAIL_BASE_URL", fakes.gmail_url()),
            ("CALENDAR_BASE_URL", fakes.calendar_url()),
            ("GRAPH_BASE_URL", fakes.graph_url()),
            ("GOOGLE_ACCESS_TOKEN", "token-of-google".to_owned()),
            ("GOOGLE_ACCESS_TOKEN_SCOPES", google.join(" ")),
            ("MICROSOFT_ACCESS_TOKEN", "token-of-microsoft".to_owned()),
            ("MICROSOFT_ACCESS_TOKEN_SCOPES", microsoft.join(" ")),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let variables = variables.into_iter().chain(more);
        let environment = variables.map(|(name, value)| (name.to_owned(), value)).collect();
        let options = ClientOptions {
            connect: Duration::from_secs(2),
            total: Duration::from_secs(30),
            // A server that was killed leaves connections that fail once.
            keep_alive: true,
        };
        let http = client(options);
        let redis = tokio::sync::Mutex::new(redis);
        let shared = Arc::clone(shared);
        let (keys, listener) = (None, None);
        let world =
            Self { shared, name, queue, scope, pace, redis, fakes, http, keys, listener, environment, _folder: folder };
        let mut table = world.orchestrator("create-table");
        assert!(crate::process::until(Duration::from_mins(1), || table.has_ended()).await, "create-table does not end");
        world
    }

    /// The API's address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.variable("PORT"))
    }

    /// A second API's environment differs in its port only; gives its address too.
    pub fn second_api(&self, traps: &[String]) -> (Process, String) {
        let mut environment = self.environment.clone();
        let port = free_port().to_string();
        let url = format!("http://127.0.0.1:{port}");
        environment.retain(|(name, _)| name != "PORT");
        environment.push(("PORT".to_owned(), port));
        (self.start_program("dying-worker", &self.arguments("serve", traps), &environment), url)
    }

    /// The product's program with one of its commands.
    pub fn orchestrator(&self, command: &str) -> Process {
        self.start_program("orchestrator", &[command.to_owned()], &self.environment)
    }

    /// A worker with these traps, as arguments.
    pub fn worker(&self, traps: &[String]) -> Process {
        self.start_program("dying-worker", &self.arguments("work", traps), &self.environment)
    }

    /// The API with these traps, without a worker.
    pub fn api(&self, traps: &[String]) -> Process {
        self.start_program("dying-worker", &self.arguments("serve", traps), &self.environment)
    }

    fn arguments(&self, role: &str, traps: &[String]) -> Vec<String> {
        let pace = [
            ("--lease", self.pace.lease),
            ("--visibility", self.pace.visibility),
            ("--sweep", self.pace.sweep),
            ("--provider-timeout", self.pace.provider_timeout),
        ];
        let pace = pace.into_iter().flat_map(|(name, seconds)| [name.to_owned(), seconds.to_string()]);
        std::iter::once(role.to_owned()).chain(pace).chain(traps.iter().cloned()).collect()
    }

    fn start_program(&self, program: &str, arguments: &[String], environment: &[(String, String)]) -> Process {
        Process::start(&self.shared.programs.join(program), arguments, environment, self.log())
    }

    fn log(&self) -> Option<File> {
        let path = self.shared.logs.as_ref()?.join(format!("{}.log", self.name));
        let file = OpenOptions::new().create(true).append(true).open(path);
        Some(file.expect("the folder for logs can be written"))
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(known, _)| known == name);
        &found.expect("every deployment has it").1
    }
}

/// A trap as an argument of `dying-worker`.
pub fn argument(deed: &str, trap: &Trap) -> String {
    format!("--{deed}-at={trap}")
}

async fn make_queue(ministack: &Ministack, name: &str, visibility: u32) -> String {
    let config = settings()
        .endpoint_url(ministack.url())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "tests")));
    let client = aws_sdk_sqs::Client::new(&config.build());
    let call = client.create_queue().queue_name(name);
    let made = call.attributes(QueueAttributeName::VisibilityTimeout, visibility.to_string()).send().await;
    made.expect("the queue is made").queue_url.expect("a queue has a URL")
}

/// Where the programs are: beside this one.
pub fn programs() -> PathBuf {
    let own = std::env::current_exe().expect("the program has a path");
    let folder = own.parent().map(Path::to_path_buf).expect("a program is in a folder");
    for program in ["orchestrator", "dying-worker"] {
        assert!(folder.join(program).exists(), "{program} is not built; use scripts/kill-anywhere");
    }
    folder
}
