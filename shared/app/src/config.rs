//! The environment, read once, here, through a lookup that tests replace. Everything that is wrong
//! is reported together, and no value of a secret is ever part of a report.

mod oauth;

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use adapters::{embedded::LocalVault, redis::RedisConnection};
use domain::{ActionId, Allowlist, Provider, RecipientDomains, Via};
use engine::limits::Limits;
use secrecy::{ExposeSecret, SecretString};

pub use self::oauth::OAuthConfig;

const DEFAULT_PORT: u16 = 8787;

/// Where the program runs, which decides what must be set and what is not set means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On somebody's machine, by itself unless told otherwise.
    Local,
    /// On AWS Lambda, where nothing is kept in the process, and nothing is allowed unless told so.
    Lambda,
}

/// What the operator has set; every field says which variable it comes from. Any secret but a pasted
/// token may be the ARN of one in Secrets Manager instead.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who plans: `AI_MODEL`, `AI_MAX_OUTPUT_TOKENS`, `OPENAI_API_KEY`, `OPENAI_BASE_URL`. None is the offline planner.
    pub planner: Option<PlannerConfig>,
    /// `AI_MAX_TOKENS_PER_MIN`, 8000 unless set.
    pub max_tokens_per_minute: u64,
    /// `ALLOW_ACTIONS_DEFAULT`, comma separated; `gmail.send,outlook.send` unless set, and empty allows nothing. On
    /// Lambda, what is not set is empty.
    pub allowlist: Allowlist,
    /// `ALLOW_RECIPIENT_DOMAINS`, comma separated; any unless set.
    pub recipient_domains: RecipientDomains,
    /// `REQUIRE_PLAN`, `true` or `false`: whether execute takes nothing but a `plan_id`; `false` unless set.
    pub require_plan: bool,
    /// `ALLOW_ORIGINS`, comma separated: the pages of other origins that may call this API with a key; none unless set.
    pub origins: Vec<String>,
    /// `LIMIT_REQUESTS_PER_KEY` and `LIMIT_REQUESTS_PER_WORKSPACE` (in a minute), `LIMIT_OPEN_JOBS` (of a workspace),
    /// `LIMIT_PROMPT_BYTES`; 120, 600, 1000 and 32768 unless set.
    pub limits: Limits,
    /// `REDIS_URL`, what keeps cache and queue; in this process unless set, and on Lambda it must be.
    pub redis_url: Option<SecretConfig>,
    /// `QUEUE_URL`, an SQS queue's address, or `redis` for a list in Redis; in this process unless set, and on Lambda it
    /// must be.
    pub queue: QueueConfig,
    /// `DEAD_LETTER_QUEUE_URL`, where SQS puts messages that were received too often; their jobs are settled.
    pub dead_letter_queue: Option<String>,
    /// `LEDGER_TABLE`, a DynamoDB table; the embedded ledger unless set, and on Lambda it must be.
    pub ledger_table: Option<String>,
    /// `ORCHESTRATOR_DATA`, the folder of the embedded ledger; `.orchestrator` unless set.
    pub data: PathBuf,
    /// `PORT`, 8787 unless set; 0 takes a free one.
    pub port: u16,
    /// `PUBLIC_URL`, this API's own address; `http://127.0.0.1:PORT` unless set. On Lambda, links are without a host
    /// unless it is set, and with an OAuth client it must be.
    pub public_url: Option<String>,
    /// `PROVIDER_MODE`, `sandbox` or `live`; unless set, sandbox for each provider that is not connected; on Lambda,
    /// live.
    pub provider_mode: Option<Via>,
    /// `GOOGLE_ACCESS_TOKEN` and `MICROSOFT_ACCESS_TOKEN`: connections of workspace `local`, with their
    /// scopes from `GOOGLE_ACCESS_TOKEN_SCOPES` and `MICROSOFT_ACCESS_TOKEN_SCOPES`.
    pub tokens: BTreeMap<Provider, TokenConfig>,
    /// `GOOGLE_CLIENT_ID` and `MICROSOFT_CLIENT_ID` with their secrets and endpoints: what accounts are connected by.
    pub oauth: BTreeMap<Provider, OAuthConfig>,
    /// `GMAIL_BASE_URL`, `https://gmail.googleapis.com` unless set.
    pub gmail_base_url: String,
    /// `GRAPH_BASE_URL`, `https://graph.microsoft.com/v1.0` unless set.
    pub graph_base_url: String,
    /// What seals contents: `TOKEN_KEY` or `KMS_KEY_ID`, of which Lambda wants one.
    pub sealing: SealingConfig,
    /// `ENABLE_DEV_UI`, `true` or `false`: whether there is the page under `/dev`; on Lambda it is not unless set.
    pub dev_ui: bool,
    /// `FLAGS_GOOGLE_ROLLOUT_PERCENT`, 100 unless set; on Lambda 0.
    pub google_rollout_percent: u8,
    /// `FLAGS_MICROSOFT_ROLLOUT_PERCENT`, 100 unless set; on Lambda 0.
    pub microsoft_rollout_percent: u8,
    /// `_HANDLER`, which Lambda sets to the function's handler; empty elsewhere.
    pub handler: String,
    /// `RUST_LOG`, a filter of the tracing crates; `info` unless set.
    pub log_filter: String,
    /// `LOG_FORMAT`, `text` or `json`: a line of JSON for each event; text unless set.
    pub log_format: LogFormat,
}

/// A chat completions endpoint.
#[derive(Debug, Clone)]
pub struct PlannerConfig {
    /// `AI_MODEL`, `gpt-4o-mini` unless set.
    pub model: String,
    /// `AI_MAX_OUTPUT_TOKENS`, 800 unless set.
    pub max_output_tokens: u32,
    /// `OPENAI_BASE_URL`, `https://api.openai.com/v1` unless set.
    pub base_url: String,
    /// `OPENAI_API_KEY`.
    pub key: Option<SecretConfig>,
}

/// A secret, or where it lies.
#[derive(Debug, Clone)]
pub enum SecretConfig {
    /// The secret itself.
    Value(SecretString),
    /// The ARN of a secret in Secrets Manager, with `:KEY::` at its end where the secret is a JSON object.
    Arn(String),
}

/// What seals contents at rest.
#[derive(Debug, Clone)]
pub enum SealingConfig {
    /// A key file in the data folder.
    KeyFile,
    /// `TOKEN_KEY`, 32 bytes in hex or base64.
    Key(SecretConfig),
    /// `KMS_KEY_ID`, a key's id, ARN or alias: data keys of AWS KMS.
    Kms(String),
}

/// What brings jobs to workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueConfig {
    /// A queue in this process.
    Embedded,
    /// A list in Redis.
    Redis,
    /// SQS, at this address.
    Sqs(String),
}

/// A token that was pasted by hand.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The bearer token.
    pub token: SecretString,
    /// What it was granted.
    pub scopes: Vec<String>,
}

/// What the command line needs to ask a running orchestrator.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `ORCHESTRATOR_URL`, the orchestrator's address; `http://127.0.0.1:PORT` unless set.
    pub url: String,
    /// `ORCHESTRATOR_KEY`, the API key; none for an orchestrator without keys.
    pub key: Option<SecretString>,
}

impl ClientConfig {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, ConfigErrors> {
        Self::read(&variable)
    }

    /// Reads variables through `lookup`.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut env = Env { lookup, errors: Vec::new() };
        let port = env.number("PORT", DEFAULT_PORT, 0..=u16::MAX);
        let url = env.url("ORCHESTRATOR_URL").unwrap_or_else(|| format!("http://127.0.0.1:{port}"));
        let config = Self { url, key: env.text("ORCHESTRATOR_KEY").map(SecretString::from) };
        if env.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(env.errors)) }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// For everyone else.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json"),
        }
    }
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment is not right: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Reads the process's environment.
    pub fn from_env(place: Place) -> Result<Self, ConfigErrors> {
        Self::read(place, &variable)
    }

    /// Reads variables through `lookup`. One that is empty counts as not set, but for
    /// `ALLOW_ACTIONS_DEFAULT`, where empty means nothing.
    pub fn read(place: Place, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut env = Env { lookup, errors: Vec::new() };
        let local = place == Place::Local;
        let key = env.secret("OPENAI_API_KEY");
        let base_url = env.url("OPENAI_BASE_URL");
        let model = env.text("AI_MODEL").unwrap_or_else(|| "gpt-4o-mini".to_owned());
        let max_output_tokens = env.number("AI_MAX_OUTPUT_TOKENS", 800, 1..=1_000_000);
        let planner = (key.is_some() || base_url.is_some()).then(|| PlannerConfig {
            model,
            max_output_tokens,
            base_url: base_url.unwrap_or_else(|| "https://api.openai.com/v1".to_owned()),
            key,
        });
        let mut tokens = BTreeMap::new();
        for (provider, prefix, scope) in [
            (Provider::Google, "GOOGLE", "https://www.googleapis.com/auth/gmail.send"),
            (Provider::Microsoft, "MICROSOFT", "https://graph.microsoft.com/Mail.Send"),
        ] {
            let scopes = env.text(&format!("{prefix}_ACCESS_TOKEN_SCOPES")).unwrap_or_else(|| scope.to_owned());
            let scopes = scopes.split_whitespace().map(str::to_owned).collect();
            let name = format!("{prefix}_ACCESS_TOKEN");
            if let Some(token) = env.text(&name).map(SecretString::from) {
                tokens.insert(provider, TokenConfig { token, scopes });
                env.refuse(!local, &format!("{name} is for a server on your own machine: connect the account instead"));
            }
        }
        let mut oauth = BTreeMap::new();
        for provider in [Provider::Google, Provider::Microsoft] {
            oauth.extend(OAuthConfig::read(&mut env, provider).map(|client| (provider, client)));
        }
        if !local {
            for name in ["REDIS_URL", "QUEUE_URL", "LEDGER_TABLE"] {
                env.refuse(env.text(name).is_none(), &format!("{name} must be set"));
            }
            let oauth = ["GOOGLE_CLIENT_ID", "MICROSOFT_CLIENT_ID"].into_iter().find(|name| env.text(name).is_some());
            if let Some(client) = oauth {
                let says =
                    format!("PUBLIC_URL must be set beside {client}: it is where the provider sends people back to");
                env.refuse(env.text("PUBLIC_URL").is_none(), &says);
            }
        }
        let redis_url = env.secret("REDIS_URL");
        if let Some(SecretConfig::Value(url)) = &redis_url
            && let Err(error) = RedisConnection::new(url.expose_secret())
        {
            env.errors.push(format!("REDIS_URL: {error}"));
        }
        let queue = match env.text("QUEUE_URL").as_deref() {
            None => QueueConfig::Embedded,
            Some("redis") => {
                env.refuse(redis_url.is_none() && local, "QUEUE_URL is redis, so REDIS_URL must be set");
                QueueConfig::Redis
            }
            Some(_) => env.url("QUEUE_URL").map_or(QueueConfig::Embedded, QueueConfig::Sqs),
        };
        let rollout = if local { 100 } else { 0 };
        let config = Self {
            planner,
            max_tokens_per_minute: env.number("AI_MAX_TOKENS_PER_MIN", 8000, 1..=1_000_000_000),
            allowlist: env.allowlist(if local { &["gmail.send", "outlook.send"] } else { &[] }),
            recipient_domains: env.recipient_domains(),
            require_plan: env.flag("REQUIRE_PLAN", false),
            origins: env.origins(),
            limits: Limits {
                requests_per_key: env.number("LIMIT_REQUESTS_PER_KEY", 120, 1..=1_000_000),
                requests_per_workspace: env.number("LIMIT_REQUESTS_PER_WORKSPACE", 600, 1..=1_000_000),
                open_jobs: env.number("LIMIT_OPEN_JOBS", 1000, 1..=1_000_000),
                prompt_bytes: env.number("LIMIT_PROMPT_BYTES", 32 * 1024, 1..=1024 * 1024),
            },
            redis_url,
            queue,
            dead_letter_queue: env.url("DEAD_LETTER_QUEUE_URL"),
            ledger_table: env.text("LEDGER_TABLE"),
            data: env.text("ORCHESTRATOR_DATA").map_or_else(|| PathBuf::from(".orchestrator"), PathBuf::from),
            port: env.number("PORT", DEFAULT_PORT, 0..=u16::MAX),
            public_url: env.url("PUBLIC_URL"),
            provider_mode: env.parsed("PROVIDER_MODE").or((!local).then_some(Via::Live)),
            tokens,
            oauth,
            gmail_base_url: env.url("GMAIL_BASE_URL").unwrap_or_else(|| "https://gmail.googleapis.com".to_owned()),
            graph_base_url: env.url("GRAPH_BASE_URL").unwrap_or_else(|| "https://graph.microsoft.com/v1.0".to_owned()),
            sealing: env.sealing(place),
            dev_ui: env.flag("ENABLE_DEV_UI", local),
            google_rollout_percent: env.number("FLAGS_GOOGLE_ROLLOUT_PERCENT", rollout, 0..=100),
            microsoft_rollout_percent: env.number("FLAGS_MICROSOFT_ROLLOUT_PERCENT", rollout, 0..=100),
            handler: env.text("_HANDLER").unwrap_or_default(),
            log_filter: env.text("RUST_LOG").unwrap_or_else(|| "info".to_owned()),
            log_format: env.parsed("LOG_FORMAT").unwrap_or(LogFormat::Text),
        };
        if env.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(env.errors)) }
    }
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    std::env::var(name).ok()
}

struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<String>,
}

impl Env<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn refuse(&mut self, wrong: bool, says: &str) {
        if wrong {
            self.errors.push(says.to_owned());
        }
    }

    /// A secret, or the ARN of one in Secrets Manager.
    fn secret(&mut self, name: &str) -> Option<SecretConfig> {
        let text = self.text(name)?;
        let Some((_, rest)) = text.strip_prefix("arn:").and_then(|rest| rest.split_once(':')) else {
            return Some(SecretConfig::Value(text.into()));
        };
        let parts: Vec<&str> = text.split(':').collect();
        let is_secret = rest.starts_with("secretsmanager:") && matches!(parts.len(), 7 | 10) && parts[5] == "secret";
        self.refuse(!is_secret, &format!("{name} is an ARN, but not of a secret in Secrets Manager"));
        Some(SecretConfig::Arn(text))
    }

    fn sealing(&mut self, place: Place) -> SealingConfig {
        match (self.secret("TOKEN_KEY"), self.text("KMS_KEY_ID")) {
            (Some(SecretConfig::Value(key)), None) => {
                if let Err(error) = LocalVault::from_text(key.expose_secret()) {
                    self.errors.push(format!("TOKEN_KEY: {error}"));
                }
                SealingConfig::Key(SecretConfig::Value(key))
            }
            (Some(key), None) => SealingConfig::Key(key),
            (None, Some(id)) => SealingConfig::Kms(id),
            (Some(_), Some(_)) => {
                self.refuse(true, "TOKEN_KEY and KMS_KEY_ID are both set, but one of them seals");
                SealingConfig::KeyFile
            }
            (None, None) => {
                self.refuse(place == Place::Lambda, "TOKEN_KEY or KMS_KEY_ID must be set");
                SealingConfig::KeyFile
            }
        }
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        match self.text(name)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.push(format!("{name} {error}"));
                None
            }
        }
    }

    fn number<T>(&mut self, name: &str, default: T, range: std::ops::RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        let Some(text) = self.text(name) else { return default };
        if let Some(value) = text.parse::<T>().ok().filter(|value| range.contains(value)) {
            return value;
        }
        self.errors.push(format!("{name} must be a whole number from {} to {}", range.start(), range.end()));
        default
    }

    /// True or false; false unless set.
    fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.text(name).as_deref() {
            None => default,
            Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.errors.push(format!("{name} must be true or false"));
                default
            }
        }
    }

    /// An address with http or https, without the slash at its end.
    fn url(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace)) {
            self.errors.push(format!("{name} must be an address that begins with https:// or http://"));
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    fn list(&self, name: &str) -> Option<Vec<String>> {
        let text = (self.lookup)(name)?;
        Some(text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
    }

    fn allowlist(&mut self, unset: &[&str]) -> Allowlist {
        let name = "ALLOW_ACTIONS_DEFAULT";
        let items = self.list(name).unwrap_or_else(|| unset.iter().map(|action| (*action).to_owned()).collect());
        let mut actions: Vec<ActionId> = Vec::new();
        for item in items {
            match item.parse() {
                Ok(action) => actions.push(action),
                Err(error) => self.errors.push(format!("{name}: {error}")),
            }
        }
        actions.into_iter().collect()
    }

    fn origins(&mut self) -> Vec<String> {
        let origins = self.list("ALLOW_ORIGINS").unwrap_or_default();
        let is_one = |origin: &String| {
            let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
            let named = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"/?#*@\\".contains(&b));
            named && !rest.bytes().any(|b| b.is_ascii_uppercase())
        };
        if !origins.iter().all(is_one) {
            let says =
                "ALLOW_ORIGINS must be origins such as https://app.example.com, in lower case and without a path";
            self.errors.push(says.to_owned());
        }
        origins
    }

    fn recipient_domains(&mut self) -> RecipientDomains {
        match self.list("ALLOW_RECIPIENT_DOMAINS") {
            None => RecipientDomains::Any,
            Some(domains) if domains.is_empty() => RecipientDomains::Any,
            Some(domains) => {
                if domains.iter().any(|domain| domain.contains(['@', ' ', '*']) || !domain.contains('.')) {
                    let says = "ALLOW_RECIPIENT_DOMAINS must be domains such as example.com, comma separated";
                    self.errors.push(says.to_owned());
                }
                RecipientDomains::Only(domains.iter().map(|domain| domain.to_ascii_lowercase()).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_at(place: Place, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::read(place, &|name| variables.get(name).cloned())
    }

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        read_at(Place::Local, variables)
    }

    #[test]
    fn nothing_set_is_the_offline_planner_and_the_sandbox() {
        let config = read(&[]).unwrap();
        assert!(config.planner.is_none() && config.tokens.is_empty() && config.provider_mode.is_none());
        assert_eq!((config.port, config.max_tokens_per_minute, config.google_rollout_percent), (8787, 8000, 100));
        assert_eq!(config.allowlist.iter().count(), 2);
    }

    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:redis-AbCdEf";

    #[test]
    fn on_lambda_nothing_is_kept_in_the_process_and_nothing_is_allowed_unless_told() {
        let error = read_at(Place::Lambda, &[]).unwrap_err().to_string();
        for name in ["REDIS_URL", "QUEUE_URL", "LEDGER_TABLE", "TOKEN_KEY or KMS_KEY_ID"] {
            assert!(error.contains(name), "{name} is missing in: {error}");
        }
        let mut variables = vec![
            ("REDIS_URL", ARN),
            ("QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"),
            ("LEDGER_TABLE", "ledger"),
            ("KMS_KEY_ID", "alias/orchestrator"),
        ];
        let config = read_at(Place::Lambda, &variables).unwrap();
        assert_eq!((config.allowlist.iter().count(), config.dev_ui), (0, false));
        assert_eq!((config.google_rollout_percent, config.microsoft_rollout_percent), (0, 0));
        assert_eq!(config.provider_mode, Some(Via::Live));
        assert!(matches!(config.sealing, SealingConfig::Kms(id) if id == "alias/orchestrator"));
        assert!(matches!(config.redis_url, Some(SecretConfig::Arn(arn)) if arn == ARN));

        variables.extend([("TOKEN_KEY", ARN), ("GOOGLE_CLIENT_ID", "id"), ("MICROSOFT_ACCESS_TOKEN", "s3cret")]);
        let error = read_at(Place::Lambda, &variables).unwrap_err().to_string();
        for name in ["TOKEN_KEY and KMS_KEY_ID", "PUBLIC_URL", "MICROSOFT_ACCESS_TOKEN"] {
            assert!(error.contains(name) && !error.contains("s3cret"), "{name} is missing in: {error}");
        }
    }

    #[test]
    fn a_secret_may_be_an_arn_of_secrets_manager_and_no_other() {
        let with_field = format!("{ARN}:url::");
        for arn in [ARN, &with_field, &ARN.replace("aws:", "aws-us-gov:")] {
            let config = read(&[("OPENAI_API_KEY", arn), ("TOKEN_KEY", arn)]).unwrap();
            assert!(matches!(config.planner.unwrap().key, Some(SecretConfig::Arn(known)) if known == arn));
            assert!(matches!(config.sealing, SealingConfig::Key(SecretConfig::Arn(known)) if known == arn));
        }
        for wrong in ["arn:aws:s3:::bucket", &format!("{ARN}:url"), &ARN.replace("secret:", "topic:"), "arn:aws"] {
            let error = read(&[("OPENAI_API_KEY", wrong)]);
            // What does not even look like an ARN is a key.
            assert_eq!(error.is_err(), wrong.matches(':').count() > 1, "{wrong}");
        }
    }

    #[test]
    fn an_empty_allowlist_is_set_and_allows_nothing() {
        assert_eq!(read(&[("ALLOW_ACTIONS_DEFAULT", "")]).unwrap().allowlist.iter().count(), 0);
    }

    #[test]
    fn a_key_or_an_endpoint_is_enough_for_a_model() {
        let planner = read(&[("OPENAI_BASE_URL", "http://127.0.0.1:8081/v1/")]).unwrap().planner.unwrap();
        assert_eq!((planner.base_url.as_str(), planner.model.as_str()), ("http://127.0.0.1:8081/v1", "gpt-4o-mini"));
        assert_eq!(read(&[("OPENAI_API_KEY", "sk-x")]).unwrap().planner.unwrap().base_url, "https://api.openai.com/v1");
    }

    #[test]
    fn a_client_needs_its_secret_and_finds_the_public_endpoints() {
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
    fn everything_wrong_is_reported_together_and_no_secret_with_it() {
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
        ] {
            assert!(error.contains(name), "{name} is missing in: {error}");
        }
        assert!(!error.contains("sk-secret"));
        assert!(!format!("{:?}", read(&[("OPENAI_API_KEY", "sk-secret")]).unwrap()).contains("sk-secret"));
    }
}
