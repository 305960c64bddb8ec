//! Variables with a form of their own, and what several of them say together.

#[cfg(feature = "aws")]
use std::sync::Arc;
use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

#[cfg(feature = "aws")]
use adapters::aws::BedrockKeys;
use adapters::{
    http::Network,
    secret::Secret,
    vault::LocalVault,
    webhooks::{AllowedHost, AllowedHosts},
};
use domain::{ActionId, Address, Allowlist, DerivedRecipients, RecipientDomains, RequireApproval};
use engine::approval::ApprovalOptions;
use jiff::SignedDuration;
use secrecy::ExposeSecret;

use super::{
    DEFAULT_PORT, PlannerConfig, SealingConfig,
    env::{Env, FLAG},
};

impl Env<'_> {
    /// The model's endpoint; none where neither a key nor an address is set.
    pub fn planner(&mut self) -> Option<PlannerConfig> {
        let is_bedrock = self.choice("AI_PROVIDER", [("openai", false), ("bedrock", true)]).unwrap_or(false);
        let base_url = self.url("OPENAI_BASE_URL");
        let (base_url, key, default_model) = if is_bedrock {
            let (url, key) = self.bedrock();
            (base_url.unwrap_or(url), key, "openai.gpt-oss-120b-1:0")
        } else {
            let key = self.secret("OPENAI_API_KEY");
            if key.is_none() && base_url.is_none() {
                return None;
            }
            (base_url.unwrap_or_else(|| "https://api.openai.com/v1".to_owned()), key, "gpt-4o-mini")
        };
        Some(PlannerConfig {
            model: self.text("AI_MODEL").unwrap_or_else(|| default_model.to_owned()),
            fallback: self.text("AI_FALLBACK_MODEL"),
            max_output_tokens: self.number("AI_MAX_OUTPUT_TOKENS", 800, 1..=1_000_000),
            base_url,
            key,
        })
    }

    /// Bedrock's endpoint for chat completions, and its key.
    fn bedrock(&mut self) -> (String, Option<Secret>) {
        self.refuse_without_aws(true, "AI_PROVIDER");
        let region = self.text("AWS_REGION").or_else(|| self.text("AWS_DEFAULT_REGION")).unwrap_or_default();
        let is_region = !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        self.refuse(!is_region, "AI_PROVIDER is bedrock, so AWS_REGION must be set to a region such as eu-central-1");
        let endpoint = self.url("AWS_ENDPOINT_URL_BEDROCK_RUNTIME").or_else(|| self.url("AWS_ENDPOINT_URL"));
        let endpoint = endpoint.unwrap_or_else(|| format!("https://bedrock-runtime.{region}.amazonaws.com"));
        #[cfg(feature = "aws")]
        let key = {
            let clock = Arc::new(adapters::system::SystemClock);
            Some(Secret::Minted(Arc::new(BedrockKeys::new(self.sdk.clone(), clock, region))))
        };
        #[cfg(not(feature = "aws"))]
        let key = None;
        (format!("{endpoint}/openai/v1"), key)
    }

    pub fn sealing(&mut self, local: bool) -> SealingConfig {
        let (key, kms) = (self.secret("TOKEN_KEY"), self.text("KMS_KEY_ID"));
        if let Some(Secret::Given(key)) = &key
            && let Err(error) = LocalVault::from_text(key.expose_secret())
        {
            self.errors.push(format!("TOKEN_KEY: {error}"));
        }
        self.refuse(key.is_some() && kms.is_some(), "TOKEN_KEY and KMS_KEY_ID are both set; set only one");
        self.refuse(key.is_none() && kms.is_none() && !local, "TOKEN_KEY or KMS_KEY_ID must be set");
        match (key, kms) {
            (Some(key), _) => SealingConfig::Key(key),
            #[cfg(feature = "aws")]
            (None, Some(id)) => SealingConfig::Kms(id),
            _ => SealingConfig::KeyFile,
        }
    }

    pub fn emf_namespace(&mut self) -> Option<String> {
        let namespace = self.text("EMF_NAMESPACE").unwrap_or_else(|| "ai-orchestrator".to_owned());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
        let valid = namespace.len() <= 255 && namespace.bytes().all(plain) && !namespace.starts_with("AWS/");
        self.refuse(!valid, "EMF_NAMESPACE must be at most 255 letters, digits and .-_/#:, and not begin with AWS/");
        self.choice("EMF", FLAG).unwrap_or(false).then_some(namespace)
    }

    /// The address to listen on: `HOST` and `PORT`.
    pub fn listen(&mut self) -> SocketAddr {
        let host = match self.text("HOST").as_deref() {
            None | Some("localhost") => Ok(Ipv4Addr::LOCALHOST.into()),
            Some(host) => host.parse::<IpAddr>(),
        };
        self.refuse(host.is_err(), "HOST must be an IP address, such as 0.0.0.0 for every network, or localhost");
        let port = self.number("PORT", DEFAULT_PORT, 0..=u16::MAX);
        SocketAddr::new(host.unwrap_or(Ipv4Addr::LOCALHOST.into()), port)
    }

    pub fn network(&mut self) -> Network {
        let mut network = Network::default();
        let either = |env: &Self, name: &str| env.text(&name.to_ascii_lowercase()).or_else(|| env.text(name));
        let exceptions = either(self, "NO_PROXY").unwrap_or_default();
        for (name, https) in [("HTTPS_PROXY", true), ("HTTP_PROXY", false)] {
            let named = [name, "ALL_PROXY"].into_iter().find_map(|name| Some((name, either(self, name)?)));
            let Some((name, address)) = named else { continue };
            if let Err(error) = network.add_proxy(https, &address, &exceptions) {
                // Without the address, which may hold credentials.
                self.errors.push(format!("{name} {error}"));
            } else if address.contains('@') {
                // What goes through the proxy has TLS of its own; its credentials have not.
                let url = if address.contains("://") { address } else { format!("http://{address}") };
                self.refuse_plaintext(name, &url);
            }
        }
        if let Some(path) = self.text("SSL_CERT_FILE") {
            let added = fs::read(&path).map_err(|error| format!("cannot be read: {error}"));
            let added = added.and_then(|pem| network.add_roots(&pem).map_err(|error| error.to_string()));
            self.errors.extend(added.err().map(|error| format!("SSL_CERT_FILE {error}")));
        }
        self.errors.dedup();
        network
    }

    /// None where it is not set, and everything is allowed by default.
    pub fn allowlist(&mut self, local: bool) -> Option<Allowlist> {
        let name = "ALLOW_ACTIONS_DEFAULT";
        let items = self.list(name).or((!local).then(Vec::new))?;
        let parse = |item: String| {
            let parsed = item.parse::<ActionId>();
            parsed.inspect_err(|error| self.errors.push(format!("{name}: {error}"))).ok()
        };
        Some(items.into_iter().filter_map(parse).collect())
    }

    pub fn approval(&mut self) -> ApprovalOptions {
        let words =
            [("none", RequireApproval::None), ("external", RequireApproval::External), ("all", RequireApproval::All)];
        let derived = [
            ("ask", DerivedRecipients::Ask),
            ("approve", DerivedRecipients::Approve),
            ("deny", DerivedRecipients::Deny),
        ];
        ApprovalOptions {
            require: self.choice("REQUIRE_APPROVAL", words).unwrap_or_default(),
            expires_after: SignedDuration::from_hours(self.number("APPROVAL_HOURS", 24, 1..=720)),
            derived: self.choice("DERIVED_RECIPIENTS", derived).unwrap_or_default(),
            second_person: self.choice("SECOND_PERSON", FLAG).unwrap_or(false),
            undo: SignedDuration::from_secs(self.number("UNDO_SECONDS", 0, 0..=3600)),
        }
    }

    pub fn webhook_hosts(&mut self, loopback: bool) -> AllowedHosts {
        let given = self.list("WEBHOOK_ALLOW_HOSTS").unwrap_or_default();
        let parse = |host: String| {
            let parsed = host.parse::<AllowedHost>();
            parsed.inspect_err(|error| self.errors.push(format!("WEBHOOK_ALLOW_HOSTS {error}"))).ok()
        };
        let hosts = given.into_iter().filter_map(parse).collect();
        self.errors.dedup();
        AllowedHosts { hosts, loopback }
    }

    pub fn origins(&mut self) -> Vec<String> {
        let origins = self.list("ALLOW_ORIGINS").unwrap_or_default();
        let is_one = |origin: &String| {
            let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
            let named = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"/?#*@\\".contains(&b));
            named && !rest.bytes().any(|b| b.is_ascii_uppercase())
        };
        let says = "ALLOW_ORIGINS must be origins such as https://app.example.com, in lower case and without a path";
        self.refuse(!origins.iter().all(is_one), says);
        origins
    }

    /// Any domain where the variable is not set. A list of nothing is no way to say so.
    pub fn domains(&mut self, name: &str) -> RecipientDomains {
        let given = self.list(name).unwrap_or_default();
        self.refuse(given.is_empty() && self.text(name).is_some(), &format!("{name} is set, but to no domain"));
        // As an address has it: in lower case, and as A-labels.
        let domain = |domain: &String| format!("x@{domain}").parse::<Address>().ok().map(|address| address.domain());
        let domains: Option<BTreeSet<String>> = given.iter().map(domain).collect();
        self.refuse(domains.is_none(), &format!("{name} must be domains such as example.com, comma separated"));
        domains.filter(|domains| !domains.is_empty()).map_or(RecipientDomains::Any, RecipientDomains::Only)
    }
}
