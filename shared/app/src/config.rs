//! The environment, read once, through a lookup that tests replace. All mistakes are reported together, and no
//! report contains a secret.

mod env;
mod issuer;
mod providers;
mod values;

#[cfg(feature = "aws")]
use std::sync::Arc;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

#[cfg(feature = "aws")]
use adapters::aws::Sdk;
use adapters::{
    api::Api,
    http::{ClientOptions, Network},
    oauth::{OAuthClient, TrustedIssuer},
    providers::specs,
    redis::RedisConnection,
    secret::Secret,
    webhooks::AllowedHosts,
};
use domain::{Provider, Via};
use engine::{Options, accounts::PastedTokens, limits::Limits};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};

use self::{
    env::{Env, FLAG},
    issuer::trusted_issuer,
    providers::{oauth_client, pasted_token},
};

const DEFAULT_PORT: u16 = 8787;
/// Workspace of a server without keys.
pub(crate) const LOCAL: &str = "local";
/// Longer than a worker's lease, so that a message is not redelivered while a worker has its job.
pub(crate) const VISIBILITY_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a rollout percentage is cached in the process, beside the minute in Redis.
const ROLLOUT_GOOD_FOR: SignedDuration = SignedDuration::from_secs(5);
/// How long a key and a workspace's settings are cached in the process, where the ledger is a table. The embedded ledger
/// is read each time: that is quick, and the command line may have changed the file.
const TABLE_GOOD_FOR: SignedDuration = SignedDuration::from_secs(10);

/// Where the program runs. It decides the defaults, and which variables must be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// On a server or a developer's machine. All parts are embedded unless configured otherwise.
    Local,
    /// On AWS Lambda, where the process keeps no state, and no action is allowed by default.
    Lambda,
}

/// The operator's settings. Each field lists its variables, as "`NAME` (default): meaning", and says in its first line what
/// they are about. A test makes docs/CONFIGURATION.md of these lists.
#[derive(Debug, Clone)]
pub struct Config {
    /// The model
    ///
    /// - `OPENAI_API_KEY` (none): the key of the model's endpoint. With neither a key nor an address, the built-in rules plan.
    /// - `OPENAI_BASE_URL` (`https://api.openai.com/v1`): the address of any OpenAI-compatible endpoint for chat completions.
    /// - `AI_PROVIDER` (`openai`): `openai`, or `bedrock` for Amazon Bedrock's endpoint in `AWS_REGION`, with short-term keys
    ///   that the program makes from its AWS credentials.
    /// - `AI_MODEL` (`gpt-4o-mini`; on Bedrock `openai.gpt-oss-120b-1:0`): the name of the model.
    /// - `AI_FALLBACK_MODEL` (none): a second model of the same endpoint, asked while the first is unreachable or busy.
    ///   `meta.model` of a plan names the one that answered.
    /// - `AI_MAX_OUTPUT_TOKENS` (`800`): the longest answer.
    pub planner: Option<PlannerConfig>,
    /// What may be done, and how much
    ///
    /// - `AI_MAX_TOKENS_PER_MIN` (`8000`): the model's tokens in any 60 seconds, of all instances that share `REDIS_URL`. Busy
    ///   workspaces share them equally. The default is enough for a prompt with its context of 16 KB in English.
    /// - `ALLOW_ACTIONS_DEFAULT` (every action; on Lambda none): the actions that may run, comma separated, such as
    ///   `gmail.send,outlook.send`. Empty allows none.
    /// - `ALLOW_RECIPIENT_DOMAINS` (any): the domains that mail may go to, comma separated.
    /// - `INTERNAL_DOMAINS` (none): your own domains, comma separated. Plans and previews warn of recipients elsewhere.
    /// - `REQUIRE_APPROVAL` (`none`): which jobs are held until a person approves them: `none`, `external` (a recipient outside
    ///   `INTERNAL_DOMAINS`; without that list, every recipient is outside) or `all`.
    /// - `APPROVAL_HOURS` (`24`): a held job expires after this, 1 to 720.
    /// - `SECOND_PERSON` (`false`): `true`: the person who asked for a job cannot approve it.
    /// - `DERIVED_RECIPIENTS` (`ask`): plans that write to people who were looked up: `ask` executes them once they were shown,
    ///   `approve` holds their jobs until a person approves them, and `deny` refuses them. Agents' jobs are held.
    /// - `UNDO_SECONDS` (`0`): the time in which a send can be cancelled before it goes, at most 3600.
    /// - `REQUIRE_PLAN` (`false`): `true`: execute accepts only the `plan_id` of a plan that was made here.
    /// - `LIMIT_REQUESTS_PER_KEY` (`120`): requests in a minute with one key, of all instances that share `REDIS_URL`, and of
    ///   each while Redis is away. Without keys there is no limit.
    /// - `LIMIT_REQUESTS_PER_WORKSPACE` (`600`): the same of all keys of a workspace.
    /// - `LIMIT_OPEN_JOBS` (`1000`): a workspace's jobs that have not ended. Without keys there is no limit. A request has 1 to
    ///   10 actions, a mail 1 to 50 recipients.
    /// - `LIMIT_PROMPT_BYTES` (`32768`): the longest prompt. A context has at most 32768 bytes.
    /// - `PROVIDER_MODE` (per provider: `live` if an account is connected, else `sandbox`; on Lambda `live`): `sandbox` writes
    ///   every action to the outbox, `live` carries every action out.
    /// - `FLAGS_GOOGLE_ROLLOUT_PERCENT` (`100`; on Lambda `0`): the share of actors that may use the provider, unless the ledger
    ///   has another.
    /// - `GOOGLE_ACCESS_TOKEN` (none): an account of workspace `local` from a pasted token. Not on Lambda.
    /// - `GOOGLE_ACCESS_TOKEN_SCOPES` (the scope to send): the scopes of that token, separated by spaces.
    pub options: Options,
    /// Other origins
    ///
    /// - `ALLOW_ORIGINS` (none): exact origins, comma separated, whose pages may call the API with a key.
    pub origins: Vec<String>,
    /// Cache, queue and ledger
    ///
    /// - `REDIS_URL` (in process): Redis 7 or Valkey for cache, limits, token budget and metrics: `redis://` or `rediss://`, one
    ///   server, or with `?cluster=true` a cluster. Required on Lambda.
    pub redis_url: Option<Secret>,
    /// Whether a `REDIS_URL` that is a stored secret may be without TLS.
    pub redis_plaintext: bool,
    /// - `QUEUE_URL` (in process): the address of an SQS queue, or `redis` for a list in Redis. Required on Lambda.
    pub queue: QueueConfig,
    /// - `DEAD_LETTER_QUEUE_URL` (none): the SQS queue of messages that were received too often. Their jobs are settled.
    pub dead_letter_queue: Option<String>,
    /// - `LEDGER_TABLE` (SQLite in `ORCHESTRATOR_DATA`): a DynamoDB table; `orchestrator create-table` makes it on loopback.
    ///   Required on Lambda.
    pub ledger_table: Option<String>,
    /// - `ORCHESTRATOR_DATA` (`.orchestrator`): the folder of the embedded ledger and its key. It must belong to the user of the
    ///   process. A `ledger.db` of 0.1.0 is refused and not changed.
    pub data: PathBuf,
    /// The server
    ///
    /// - `HOST` (`127.0.0.1`): the IP address to listen on, such as `0.0.0.0` for every network, or `localhost`. Without a key in
    ///   the ledger, the server starts on loopback alone.
    /// - `PORT` (`8787`): the port; 0 means any free one.
    pub listen: SocketAddr,
    /// - `PUBLIC_URL` (`http://HOST:PORT`): the address that clients use, for OAuth redirects and links. On Lambda there is no
    ///   default, and an OAuth client requires it.
    pub public_url: Option<String>,
    /// The providers
    ///
    /// - `GOOGLE_CLIENT_ID`, `GOOGLE_CLIENT_SECRET` (none): the OAuth client that connects accounts.
    /// - `GOOGLE_AUTH_URL`, `GOOGLE_TOKEN_URL`, `GOOGLE_REVOKE_URL` (the public ones): the OAuth endpoints. An id token's issuer
    ///   must have the origin of the first. Microsoft has none to revoke.
    /// - `MICROSOFT_TENANT` (`common`): the tenant whose accounts are connected: its id or domain, `organizations`, `consumers`,
    ///   or `common` for any. Google has none.
    pub oauth: BTreeMap<Provider, OAuthClient>,
    /// - `GMAIL_BASE_URL`, `CALENDAR_BASE_URL`, `PEOPLE_BASE_URL`, `GRAPH_BASE_URL` (the public ones): the addresses of the
    ///   providers' APIs.
    pub apis: BTreeMap<&'static str, String>,
    /// Access tokens
    ///
    /// - `OIDC_ISSUER` (none): the issuer of access tokens that are credentials beside API keys, by https except on loopback.
    /// - `OIDC_AUDIENCE` (`PUBLIC_URL`, also with `/mcp`): the audience (`aud`) that its tokens must have.
    /// - `OIDC_WORKSPACE` (none): the workspace of all tokens.
    /// - `OIDC_WORKSPACE_CLAIM` (none): instead of `OIDC_WORKSPACE`, the claim that names the workspace.
    /// - `OIDC_SCOPES_CLAIM` (`scope`): the claim that names the scopes.
    pub issuer: Option<TrustedIssuer>,
    /// The network
    ///
    /// - `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` (none): the HTTP proxy to the model, the providers and their OAuth
    ///   endpoints, and its exceptions, as in curl; in lower case, too. A model on this machine is an exception only if it is
    ///   named; a server on this machine that the command line calls always is. An
    ///   address with credentials begins with `https://`, or leads into a private network.
    /// - `SSL_CERT_FILE` (none): a PEM file of certificates to trust besides Mozilla's, for these connections and for
    ///   `REDIS_URL`.
    /// - `ALLOW_PLAINTEXT` (`false`): `true`: URLs with `http://` and `redis://` may lead to any host, instead of this machine
    ///   and private networks alone.
    pub network: Network,
    /// - `WEBHOOK_ALLOW_HOSTS` (none): hosts that webhooks may reach although they are not public or speak no TLS, comma
    ///   separated, each alone or with a port. A server that only this machine reaches may call this machine.
    pub webhook_hosts: AllowedHosts,
    /// Encryption
    ///
    /// - `TOKEN_KEY` (a key file in `ORCHESTRATOR_DATA`): what encrypts contents at rest: 32 bytes in hex or base64, or several
    ///   such keys, comma separated, of which the first seals and all open. On Lambda, this or the next is required.
    /// - `KMS_KEY_ID` (none): instead of `TOKEN_KEY`, the id, ARN or alias of an AWS KMS key.
    pub sealing: SealingConfig,
    /// Page and logs
    ///
    /// - `ENABLE_DEV_UI` (`true`; on Lambda `false`): whether to serve the page under `/dev`.
    pub dev_ui: bool,
    /// `_HANDLER`, the function's handler, which Lambda sets; empty elsewhere.
    pub handler: String,
    /// - `RUST_LOG` (`info`): which log lines to write, as a filter of the tracing crates.
    pub log_filter: String,
    /// - `EMF` (`false`): `true`: counts are log lines on standard output, from which
    ///   [CloudWatch makes metrics](OPERATIONS.md#metrics-in-cloudwatch), instead of sums in Redis.
    /// - `EMF_NAMESPACE` (`ai-orchestrator`): their namespace.
    pub emf_namespace: Option<String>,
    /// - `LOG_FORMAT` (`text`): `text`, or `json` for one JSON object a line.
    pub log_json: bool,
    /// Region and credentials, from where AWS's SDK finds them; shared by all clients.
    #[cfg(feature = "aws")]
    pub(crate) sdk: Arc<Sdk>,
}

/// A chat completions endpoint.
#[derive(Debug, Clone)]
pub struct PlannerConfig {
    /// The name of the model.
    pub model: String,
    /// The one that is asked while the other is unreachable or busy.
    pub fallback: Option<String>,
    /// The longest answer.
    pub max_output_tokens: u32,
    /// The endpoint's address. Bedrock's is below `AWS_ENDPOINT_URL_BEDROCK_RUNTIME` or `AWS_ENDPOINT_URL` where they are set.
    pub base_url: String,
    /// The endpoint's key; on Bedrock, keys that are minted from AWS's credentials.
    pub key: Option<Secret>,
}

/// The encryption of contents at rest.
#[derive(Debug, Clone)]
pub enum SealingConfig {
    /// A key file in the data folder.
    KeyFile,
    /// `TOKEN_KEY`, 32 bytes in hex or base64; or several keys, comma separated: the first one seals, and all open.
    Key(Secret),
    /// `KMS_KEY_ID`, a key's id, ARN or alias: data keys of AWS KMS.
    #[cfg(feature = "aws")]
    Kms(String),
}

impl SealingConfig {
    /// Whether AWS KMS seals.
    pub const fn is_kms(&self) -> bool {
        !matches!(self, Self::KeyFile | Self::Key(_))
    }
}

/// The queue of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueConfig {
    /// In this process.
    Embedded,
    /// A list in Redis.
    Redis,
    /// The SQS queue with this URL.
    Sqs(String),
}

/// All mistakes in the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment is invalid: {}", .0.join("; "))]
pub struct ConfigErrors(Vec<String>);

/// The command line
///
/// - `ORCHESTRATOR_URL` (`http://HOST:PORT`): the server that the command line calls. `--url` counts before it.
/// - `ORCHESTRATOR_KEY` (none): the API key for it. `--key` counts before it.
///
/// Proxies and certificates on the way to it are those of [`Config::network`], but a server on this machine is called without
/// a proxy.
pub fn client(url: Option<&str>, key: Option<&str>) -> Result<Api, ConfigErrors> {
    let argument = |name: &str| match name {
        "ORCHESTRATOR_URL" => url,
        "ORCHESTRATOR_KEY" => key,
        _ => None,
    };
    read_client(&|name| argument(name).map(str::to_owned), &variable)
}

fn read_client(
    arguments: &dyn Fn(&str) -> Option<String>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Api, ConfigErrors> {
    let settings = lookup("SETTINGS").unwrap_or_default();
    let lookup = |name: &str| arguments(name).or_else(|| setting(&settings, name)).or_else(|| lookup(name));
    let mut env = Env::new(&lookup);
    let own = url_of(env.listen());
    let key = env.text("ORCHESTRATOR_KEY").map(SecretString::from);
    let network = env.network();
    let (url, network) = match env.url("ORCHESTRATOR_URL") {
        Some(url) => (url, network),
        None => (own, network.direct()),
    };
    env.finish(Api::new(url, key, network))
}

/// Where this machine reaches a server that listens here: at the loopback address, if it listens on all.
pub fn url_of(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

impl Config {
    /// Reads the process's environment.
    pub fn from_env(runtime: Runtime) -> Result<Self, ConfigErrors> {
        Self::read(runtime, &variable)
    }

    /// Reads variables through `lookup`. An empty variable counts as unset, except `ALLOW_ACTIONS_DEFAULT`, where empty means
    /// no action.
    pub fn read(runtime: Runtime, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let settings = lookup("SETTINGS").unwrap_or_default();
        let lookup = |name: &str| setting(&settings, name).or_else(|| lookup(name));
        let mut env = Env::new(&lookup);
        let are_settings = settings.split(';').all(|part| part.trim().is_empty() || part.contains('='));
        env.refuse(!are_settings, "SETTINGS must be NAME=value, separated by semicolons");
        let local = runtime == Runtime::Local;
        let planner = env.planner();
        let (mut oauth, mut apis) = (BTreeMap::new(), BTreeMap::new());
        let (mut rollout, mut tokens) = (BTreeMap::new(), BTreeMap::new());
        for spec in specs() {
            let percent = format!("FLAGS_{}_ROLLOUT_PERCENT", spec.variable_prefix());
            apis.extend(spec.apis.iter().filter_map(|api| Some((api.variable, env.url(api.variable)?))));
            oauth.extend(oauth_client(&mut env, spec, local).map(|client| (spec.id, client)));
            tokens.extend(pasted_token(&mut env, spec, local).map(|token| (spec.id, token)));
            rollout.insert(spec.id, env.number(&percent, if local { 100 } else { 0 }, 0..=100));
        }
        if !local {
            for name in ["REDIS_URL", "QUEUE_URL", "LEDGER_TABLE"] {
                env.refuse(env.text(name).is_none(), &format!("{name} must be set"));
            }
        }
        let redis_url = env.secret("REDIS_URL");
        if let Some(Secret::Given(url)) = &redis_url {
            let url = url.expose_secret();
            env.refuse_plaintext("REDIS_URL", url);
            env.errors.extend(RedisConnection::new(url).err().map(|error| format!("REDIS_URL: {error}")));
        }
        let queue = match env.text("QUEUE_URL").as_deref() {
            None => QueueConfig::Embedded,
            Some("redis") => {
                env.refuse(redis_url.is_none() && local, "QUEUE_URL is redis, so REDIS_URL must be set");
                QueueConfig::Redis
            }
            Some(_) => env.url("QUEUE_URL").map_or(QueueConfig::Embedded, QueueConfig::Sqs),
        };
        env.refuse_without_aws(matches!(queue, QueueConfig::Sqs(_)), "QUEUE_URL");
        for name in ["LEDGER_TABLE", "DEAD_LETTER_QUEUE_URL", "KMS_KEY_ID"] {
            env.refuse_without_aws(env.text(name).is_some(), name);
        }
        let listen = env.listen();
        let public_url = env.url("PUBLIC_URL");
        let ledger_table = env.text("LEDGER_TABLE");
        let webhook_hosts = env.webhook_hosts(local && ledger_table.is_none() && listen.ip().is_loopback());
        let words = [("sandbox", Via::Sandbox), ("live", Via::Live)];
        let options = Options {
            allowlist: env.allowlist(local),
            recipient_domains: env.domains("ALLOW_RECIPIENT_DOMAINS"),
            internal_domains: env.domains("INTERNAL_DOMAINS"),
            approval: env.approval(),
            require_plan: env.choice("REQUIRE_PLAN", FLAG).unwrap_or(false),
            rollout,
            rollout_good_for: ROLLOUT_GOOD_FOR,
            ledger_good_for: if ledger_table.is_some() { TABLE_GOOD_FOR } else { SignedDuration::ZERO },
            provider_mode: env.choice("PROVIDER_MODE", words).or((!local).then_some(Via::Live)),
            pasted: PastedTokens { workspace: LOCAL.parse().expect("the constant is a workspace id"), tokens },
            max_tokens_per_minute: env.number("AI_MAX_TOKENS_PER_MIN", 8000, 1..=1_000_000_000),
            limits: Limits {
                requests_per_key: env.number("LIMIT_REQUESTS_PER_KEY", 120, 1..=1_000_000),
                requests_per_workspace: env.number("LIMIT_REQUESTS_PER_WORKSPACE", 600, 1..=1_000_000),
                open_jobs: env.number("LIMIT_OPEN_JOBS", 1000, 1..=1_000_000),
                prompt_bytes: env.number("LIMIT_PROMPT_BYTES", 32 * 1024, 1..=1024 * 1024),
            },
            // One call may be two requests, such as one that reads a draft's state and one that sends it.
            provider_timeout: ClientOptions::PROVIDER.total * 2,
            public_url: match &public_url {
                None if local => url_of(listen),
                given => given.clone().unwrap_or_default(),
            },
            visibility_timeout: VISIBILITY_TIMEOUT,
        };
        let issuer = trusted_issuer(&mut env, local);
        let config = Self {
            planner,
            options,
            issuer,
            origins: env.origins(),
            redis_url,
            redis_plaintext: env.allow_plaintext,
            queue,
            dead_letter_queue: env.url("DEAD_LETTER_QUEUE_URL"),
            ledger_table,
            data: env.text("ORCHESTRATOR_DATA").unwrap_or_else(|| ".orchestrator".to_owned()).into(),
            listen,
            public_url,
            oauth,
            apis,
            network: env.network(),
            webhook_hosts,
            sealing: env.sealing(local),
            dev_ui: env.choice("ENABLE_DEV_UI", FLAG).unwrap_or(local),
            handler: env.text("_HANDLER").unwrap_or_default(),
            log_filter: env.text("RUST_LOG").unwrap_or_else(|| "info".to_owned()),
            emf_namespace: env.emf_namespace(),
            log_json: env.choice("LOG_FORMAT", [("text", false), ("json", true)]).unwrap_or(false),
            #[cfg(feature = "aws")]
            sdk: env.sdk.clone(),
        };
        env.finish(config)
    }

    /// The secrets that functions read at their first use.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let of_planner = self.planner.iter().filter_map(|planner| planner.key.clone());
        let of_clients = self.oauth.values().map(|client| client.client_secret.clone());
        self.redis_url.iter().cloned().chain(of_planner).chain(of_clients).collect()
    }
}

/// Several in one
///
/// - `SETTINGS` (none): any of these variables but AWS's own, as `NAME=value;NAME=value`. A value in it replaces the variable's
///   own. A deployment's template has this one parameter for all variables that are seldom set.
fn setting(settings: &str, name: &str) -> Option<String> {
    let mut pairs = settings.split(';').filter_map(|part| part.split_once('='));
    pairs.find(|(known, _)| known.trim() == name).map(|(_, value)| value.to_owned())
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads it")]
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use domain::RecipientDomains;

    use super::*;

    fn read_at(runtime: Runtime, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::read(runtime, &|name| variables.get(name).cloned())
    }

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        read_at(Runtime::Local, variables)
    }

    #[test]
    fn the_defaults_are_the_rules_planner_and_the_sandbox() {
        let config = read(&[]).unwrap();
        assert!(config.planner.is_none() && config.options.provider_mode.is_none());
        assert_eq!(
            (config.listen.to_string().as_str(), config.options.max_tokens_per_minute),
            ("127.0.0.1:8787", 8000)
        );
        assert_eq!(config.options.public_url, "http://127.0.0.1:8787");
        assert!(config.options.allowlist.is_none(), "everything in the catalogue");
        assert!(config.oauth.is_empty() && config.apis.is_empty() && config.options.pasted.tokens.is_empty());
        assert!(Provider::ALL.iter().all(|provider| config.options.rollout[provider] == 100));
    }

    #[cfg(feature = "aws")]
    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:redis-AbCdEf";

    #[cfg(feature = "aws")]
    #[test]
    fn lambda_requires_shared_stores_and_allows_nothing_by_default() {
        let error = read_at(Runtime::Lambda, &[]).unwrap_err().to_string();
        for name in ["REDIS_URL", "QUEUE_URL", "LEDGER_TABLE", "TOKEN_KEY or KMS_KEY_ID"] {
            assert!(error.contains(name), "{name} is missing in: {error}");
        }
        let mut variables = vec![
            ("REDIS_URL", ARN),
            ("QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"),
            ("LEDGER_TABLE", "ledger"),
            ("KMS_KEY_ID", "alias/orchestrator"),
        ];
        let config = read_at(Runtime::Lambda, &variables).unwrap();
        let options = config.options;
        assert_eq!((options.allowlist.map(|allow| allow.iter().count()), config.dev_ui), (Some(0), false));
        assert!(options.rollout.len() == Provider::ALL.len() && options.rollout.values().all(|percent| *percent == 0));
        assert_eq!(options.provider_mode, Some(Via::Live));
        assert_eq!(options.public_url, "", "a link has no host rather than a wrong one");
        assert!(matches!(config.sealing, SealingConfig::Kms(id) if id == "alias/orchestrator"));
        assert!(matches!(config.redis_url, Some(Secret::Stored { arn, .. }) if &*arn == ARN));

        variables.extend([("TOKEN_KEY", ARN), ("GOOGLE_CLIENT_ID", "id"), ("MICROSOFT_ACCESS_TOKEN", "s3cret")]);
        let error = read_at(Runtime::Lambda, &variables).unwrap_err().to_string();
        for name in ["TOKEN_KEY and KMS_KEY_ID", "PUBLIC_URL", "MICROSOFT_ACCESS_TOKEN"] {
            assert!(error.contains(name) && !error.contains("s3cret"), "{name} is missing in: {error}");
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn a_secret_may_be_an_arn_of_secrets_manager_and_of_no_other_service() {
        let with_field = format!("{ARN}:url::");
        for arn in [ARN, &with_field, &ARN.replace("aws:", "aws-us-gov:")] {
            let config = read(&[("OPENAI_API_KEY", arn), ("TOKEN_KEY", arn)]).unwrap();
            assert!(matches!(config.planner.unwrap().key, Some(Secret::Stored { arn: known, .. }) if &*known == arn));
            assert!(matches!(config.sealing, SealingConfig::Key(Secret::Stored { arn: known, .. }) if &*known == arn));
        }
        for wrong in ["arn:aws:s3:::bucket", &format!("{ARN}:url"), &ARN.replace("secret:", "topic:"), "arn:aws"] {
            let error = read(&[("OPENAI_API_KEY", wrong)]);
            // A text that does not look like an ARN is a key.
            assert_eq!(error.is_err(), wrong.matches(':').count() > 1, "{wrong}");
        }
    }

    #[cfg(not(feature = "aws"))]
    #[test]
    fn a_build_without_aws_refuses_every_variable_of_aws() {
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:redis-AbCdEf";
        for (name, value) in [
            ("REDIS_URL", arn),
            ("QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"),
            ("DEAD_LETTER_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"),
            ("LEDGER_TABLE", "ledger"),
            ("KMS_KEY_ID", "alias/orchestrator"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} needs a build with AWS")), "{error}");
        }
    }

    #[test]
    fn settings_are_variables_in_one() {
        let settings = [
            (
                "SETTINGS",
                " LIMIT_OPEN_JOBS=7;GMAIL_BASE_URL=http://127.0.0.1/?a=b;\nREQUIRE_PLAN=true; PORT=;;MemorySize=512;",
            ),
            ("LIMIT_OPEN_JOBS", "8"),
            ("LIMIT_PROMPT_BYTES", "9"),
            ("PORT", "1"),
        ];
        let config = read(&settings).unwrap();
        let limits = config.options.limits;
        assert_eq!((limits.open_jobs, limits.prompt_bytes, config.listen.port()), (7, 9, DEFAULT_PORT));
        assert_eq!(config.apis["GMAIL_BASE_URL"], "http://127.0.0.1/?a=b");
        assert!(config.options.require_plan);
        for (wrong, named) in [("LIMIT_OPEN_JOBS", "SETTINGS"), ("PORT=1;x", "SETTINGS"), ("PORT=x", "PORT")] {
            let error = read(&[("SETTINGS", wrong)]).unwrap_err().to_string();
            assert!(error.contains(named), "{wrong}: {error}");
        }
    }

    #[test]
    fn host_and_port_name_where_the_server_listens_and_is_called() {
        for (host, listens, called) in [
            ("", "127.0.0.1:9", "http://127.0.0.1:9"),
            ("localhost", "127.0.0.1:9", "http://127.0.0.1:9"),
            (" 127.0.0.2 ", "127.0.0.2:9", "http://127.0.0.2:9"),
            ("::1", "[::1]:9", "http://[::1]:9"),
            ("0.0.0.0", "0.0.0.0:9", "http://127.0.0.1:9"),
            ("::", "[::]:9", "http://[::1]:9"),
            ("192.0.2.1", "192.0.2.1:9", "http://192.0.2.1:9"),
            ("2001:db8::1", "[2001:db8::1]:9", "http://[2001:db8::1]:9"),
        ] {
            let variables = |name: &str| (name == "SETTINGS").then(|| format!("HOST={host};PORT=9"));
            let config = Config::read(Runtime::Local, &variables).unwrap();
            assert_eq!((config.listen.to_string().as_str(), config.options.public_url.as_str()), (listens, called));
            assert_eq!(read_client(&|_| None, &variables).unwrap().url(), called);
        }
        for wrong in ["*", "all", "example.com", "0.0.0.0:80", "256.0.0.1", "0", "[::]", "127.0.0.1,::1", "10.0.0.0/8"]
        {
            assert!(read(&[("HOST", wrong)]).unwrap_err().to_string().contains("HOST must be"), "{wrong}");
        }
    }

    #[test]
    fn an_empty_allowlist_is_set_and_allows_nothing() {
        assert_eq!(read(&[("ALLOW_ACTIONS_DEFAULT", "")]).unwrap().options.allowlist.unwrap().iter().count(), 0);
    }

    #[test]
    fn domains_are_read_as_addresses_have_them() {
        for name in ["ALLOW_RECIPIENT_DOMAINS", "INTERNAL_DOMAINS"] {
            let read = |value| {
                let options = read(&[(name, value)])?.options;
                let domains =
                    if name == "INTERNAL_DOMAINS" { options.internal_domains } else { options.recipient_domains };
                Ok::<_, ConfigErrors>(domains)
            };
            let known = read(" Example.com,,münchen.example ").unwrap();
            for (address, is_known) in
                [("a@example.com", true), ("a@münchen.example", true), ("a@x.example.com", false), ("a@b.org", false)]
            {
                assert_eq!(known.allow(&address.parse().unwrap()), is_known, "{name} {address}");
            }
            for unset in ["", "  "] {
                assert_eq!(read(unset).unwrap(), RecipientDomains::Any);
            }
            for wrong in
                [",", " , ", ",,,", "example", "a@example.com", "*.example.com", "exa mple.com", "https://example.com"]
            {
                assert!(read(wrong).unwrap_err().to_string().contains(name), "{wrong}");
            }
        }
    }

    #[test]
    fn nothing_goes_to_another_network_without_tls_unless_it_is_allowed() {
        for (name, plain, encrypted) in [
            ("OPENAI_BASE_URL", "http://model.example.com/v1", "https://model.example.com/v1"),
            ("PUBLIC_URL", "http://api.example.com", "https://api.example.com"),
            ("GMAIL_BASE_URL", "http://8.8.8.8", "https://8.8.8.8"),
            ("GRAPH_BASE_URL", "http://graph.example.com/v1.0", "https://graph.example.com/v1.0"),
            ("GOOGLE_AUTH_URL", "http://[2001:db8::1]/auth", "https://[2001:db8::1]/auth"),
            ("GOOGLE_TOKEN_URL", "http://localhost.example.com", "https://localhost.example.com"),
            ("GOOGLE_REVOKE_URL", "http://example.com", "https://example.com"),
            ("MICROSOFT_TOKEN_URL", "http://localhost@example.com", "https://localhost@example.com"),
            ("REDIS_URL", "redis://:s3cret@redis.example.com:6379", "rediss://:s3cret@redis.example.com:6379"),
            ("HTTPS_PROXY", "http://ana:s3cret@proxy.example.com:3128", "https://ana:s3cret@proxy.example.com:3128"),
            ("HTTP_PROXY", "http://ana:s3cret@proxy.example.com", "http://proxy.example.com"),
        ] {
            let error = read(&[(name, plain)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("ALLOW_PLAINTEXT"), "{name}: {error}");
            assert!(!error.contains("s3cret") && !error.contains("example.com"), "{error}");
            assert!(read(&[(name, plain), ("ALLOW_PLAINTEXT", "false")]).is_err(), "{name}");
            assert!(read(&[(name, plain), ("ALLOW_PLAINTEXT", "true")]).is_ok(), "{name}");
            assert!(read(&[(name, encrypted)]).is_ok(), "{name}");
            let scheme = plain.split_once("://").unwrap().0;
            for host in ["127.0.0.1:1", "localhost:1", "cache", "a.internal", "10.0.0.1", "[::1]:1"] {
                assert!(read(&[(name, &format!("{scheme}://{host}"))]).is_ok(), "{name} {host}");
            }
        }
        let error = read(&[("ALLOW_PLAINTEXT", "yes")]).unwrap_err().to_string();
        assert!(error.contains("ALLOW_PLAINTEXT must be true or false"), "{error}");
    }

    #[test]
    fn a_key_or_an_endpoint_is_enough_for_a_model() {
        let planner = read(&[("OPENAI_BASE_URL", "http://127.0.0.1:8081/v1/")]).unwrap().planner.unwrap();
        assert_eq!((planner.base_url.as_str(), planner.model.as_str()), ("http://127.0.0.1:8081/v1", "gpt-4o-mini"));
        assert_eq!(read(&[("OPENAI_API_KEY", "sk-x")]).unwrap().planner.unwrap().base_url, "https://api.openai.com/v1");
    }

    #[test]
    fn bedrock_is_asked_in_the_region_by_keys_of_the_credentials() {
        let bedrock = ("AI_PROVIDER", "bedrock");
        let region = ("AWS_REGION", "eu-central-1");
        if cfg!(not(feature = "aws")) {
            let error = read(&[bedrock, region]).unwrap_err().to_string();
            return assert!(error.contains("AI_PROVIDER needs a build with AWS"), "{error}");
        }
        let own = "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1";
        for (more, url, model) in [
            (&[region][..], own, "openai.gpt-oss-120b-1:0"),
            (&[("AWS_DEFAULT_REGION", "eu-central-1")], own, "openai.gpt-oss-120b-1:0"),
            (&[region, ("AI_MODEL", "openai.gpt-oss-20b-1:0")], own, "openai.gpt-oss-20b-1:0"),
            // Keys of OpenAI never reach Bedrock.
            (&[region, ("OPENAI_API_KEY", "sk-x")], own, "openai.gpt-oss-120b-1:0"),
            (
                &[region, ("AWS_ENDPOINT_URL", "http://127.0.0.1:1/")],
                "http://127.0.0.1:1/openai/v1",
                "openai.gpt-oss-120b-1:0",
            ),
            (
                &[
                    region,
                    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
                    ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:2"),
                ],
                "http://127.0.0.1:2/openai/v1",
                "openai.gpt-oss-120b-1:0",
            ),
            (
                &[region, ("OPENAI_BASE_URL", "http://127.0.0.1:3/v1")],
                "http://127.0.0.1:3/v1",
                "openai.gpt-oss-120b-1:0",
            ),
        ] {
            let planner = read(&[&[bedrock], more].concat()).unwrap().planner.unwrap();
            assert_eq!((&*planner.base_url, &*planner.model), (url, model), "{more:?}");
            #[cfg(feature = "aws")]
            assert!(matches!(planner.key, Some(Secret::Minted(_))), "{more:?}");
        }
        for wrong in ["", "eu central 1", "eu-central-1.example.com/", "eu@example.com", "..", "eu-central-1#"] {
            let error = read(&[bedrock, ("AWS_REGION", wrong)]).unwrap_err().to_string();
            assert!(error.contains("AWS_REGION"), "{wrong}: {error}");
        }
        let error = read(&[("AI_PROVIDER", "Bedrock")]).unwrap_err().to_string();
        assert!(error.contains("AI_PROVIDER must be openai or bedrock"), "{error}");
        assert!(read(&[("AI_PROVIDER", "openai"), region]).unwrap().planner.is_none(), "no key and no endpoint");
    }

    #[test]
    fn an_oauth_client_needs_its_secret_and_has_public_endpoints() {
        let client =
            [("MICROSOFT_CLIENT_ID", "id"), ("MICROSOFT_CLIENT_SECRET", "hush"), ("MICROSOFT_TENANT", "t.example.com")];
        let config = read(&client).unwrap();
        let microsoft = &config.oauth[&Provider::Microsoft];
        assert_eq!(microsoft.token_url, "https://login.microsoftonline.com/t.example.com/oauth2/v2.0/token");
        assert!(config.oauth.len() == 1 && microsoft.revoke_url.is_none() && !format!("{config:?}").contains("hush"));
        for (set, missing) in
            [("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"), ("GOOGLE_CLIENT_SECRET", "GOOGLE_CLIENT_ID")]
        {
            let error = read(&[(set, "x"), ("MICROSOFT_TENANT", "../x")]).unwrap_err().to_string();
            assert!(error.contains(missing) && error.contains("MICROSOFT_TENANT"), "{error}");
        }
    }

    #[test]
    fn all_mistakes_are_reported_together_without_secrets() {
        let error = read(&[
            ("PORT", "70000"),
            ("PROVIDER_MODE", "dry"),
            ("REQUIRE_PLAN", "yes"),
            ("ALLOW_ORIGINS", "https://app.example.com,https://*.example.com"),
            ("LIMIT_REQUESTS_PER_KEY", "0"),
            ("GMAIL_BASE_URL", "gmail"),
            ("ALLOW_ACTIONS_DEFAULT", "gmail.send,Gmail"),
            ("FLAGS_GOOGLE_ROLLOUT_PERCENT", "101"),
            ("OPENAI_API_KEY", "sk-secret"),
            ("ALL_PROXY", "socks5://user:sk-secret@proxy.example.com"),
            ("SSL_CERT_FILE", "/nowhere"),
            ("EMF", "yes"),
            ("EMF_NAMESPACE", "AWS/Lambda"),
        ])
        .unwrap_err()
        .to_string();
        for name in [
            "PORT",
            "PROVIDER_MODE",
            "REQUIRE_PLAN",
            "GMAIL_BASE_URL",
            "ALLOW_ACTIONS_DEFAULT",
            "ALLOW_ORIGINS",
            "LIMIT_REQUESTS_PER_KEY",
            "FLAGS_GOOGLE_ROLLOUT_PERCENT",
            "ALL_PROXY",
            "SSL_CERT_FILE",
            "EMF must",
            "EMF_NAMESPACE",
        ] {
            assert!(error.contains(name), "{name} is missing in: {error}");
        }
        assert_eq!(
            error.matches("ALL_PROXY").count(),
            1,
            "it counts for http and https, and is reported once: {error}"
        );
        assert!(!error.contains("sk-secret"));
        let secrets = [("OPENAI_API_KEY", "sk-secret"), ("https_proxy", "user:sk-secret@proxy.internal:3128")];
        assert!(!format!("{:?}", read(&secrets).unwrap()).contains("sk-secret"));
    }
}
