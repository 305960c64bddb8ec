//! `orchestrator keys`.

use std::{error::Error, fmt, str::FromStr, time::Duration};

use app::Config;
use clap::Subcommand;
use domain::{ActionId, ActorId, Allowlist, KeyId, KeyName, Scope, WorkspaceId};
use engine::{Engine, keys::NewKey};

/// API keys of the ledger. A server that started without keys does not require them until its next start.
#[derive(Subcommand)]
pub enum Keys {
    /// Create a key and print it. It cannot be printed again, since only its hash is stored.
    Create {
        /// The key's workspace.
        #[arg(long)]
        workspace: WorkspaceId,
        /// Its scopes, comma separated: actions:preview, actions:execute, connections:write, metrics:read, audit:read.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// The only actor that it may act for; default any.
        #[arg(long)]
        actor: Option<ActorId>,
        /// The actions that it may run, comma separated; default those of its workspace.
        #[arg(long, value_delimiter = ',')]
        allow: Option<Vec<ActionId>>,
        /// How long it is good for, in days or hours, such as 90d or 12h; or never to end.
        #[arg(long, default_value = "90d")]
        expires: Lifetime,
        /// What you call it.
        #[arg(long)]
        name: Option<KeyName>,
    },
    /// Print each key's id, workspace, actor (the first digits of its hash), scopes, actions, times of creation and
    /// revocation, when it expires, the day of its last use (UTC), and its name.
    List,
    /// Revoke a key. Its next request is refused, and what it has queued is not sent.
    Revoke {
        /// The key's id, the part between the underscores.
        id: KeyId,
    },
}

/// Runs the command on the configured ledger. A server may run at the same time.
pub async fn run(config: &Config, command: Keys) -> Result<(), Box<dyn Error>> {
    let engine = &app::engine(config)?;
    match command {
        Keys::Create { workspace, scopes, actor, allow, expires, name } => {
            let allow = allow.map(|actions| known(engine, actions)).transpose()?;
            let scopes = scopes.into_iter().collect();
            let new = NewKey { workspace, scopes, actor, allow, lifetime: expires.0, name };
            let key = engine.keys.create(new).await?;
            println!("{}", key.reveal());
            eprintln!("{expires}");
            if app::is_beside_keyless_server(config) {
                eprintln!("The running server started without keys: restart it, or it does not require any.");
            }
        }
        Keys::List => {
            let keys = engine.keys.list().await?;
            let ids: Vec<KeyId> = keys.iter().map(|key| key.key_id.clone()).collect();
            for (key, used) in keys.iter().zip(engine.keys.last_used(&ids).await?) {
                let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
                // Only the SHA-256 of WORKSPACE:ACTOR is stored.
                let actor = key.bound_actor.as_ref().map_or("any", |actor| &actor.as_str()[..16]);
                let allow = key.allow.as_ref().map_or_else(|| "all".to_owned(), Allowlist::to_string);
                let revoked = key.revoked_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
                let expires = key.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
                let used = used.map_or_else(|| "-".to_owned(), |day| day.to_string());
                let name = key.name.as_ref().map_or("-", KeyName::as_str);
                let (id, workspace, created, scopes) =
                    (&key.key_id, &key.workspace_id, key.created_at, scopes.join(","));
                println!(
                    "{id}\t{workspace}\t{actor}\t{scopes}\t{allow}\t{created}\t{revoked}\t{expires}\t{used}\t{name}"
                );
            }
        }
        Keys::Revoke { id } => {
            let told = engine.keys.revoke(&id).await?.ok_or_else(|| format!("there is no key {id}"))?;
            if config.ledger_table.is_some() && (!told || config.redis_url.is_none()) {
                let why = if told { "REDIS_URL is not set" } else { "Redis does not answer" };
                eprintln!("{why}: servers that have just read the key accept its requests for up to 10 seconds more.");
            }
            println!("{id} is revoked");
        }
    }
    Ok(())
}

/// These actions, if all are in the catalogue.
pub fn known(engine: &Engine, actions: Vec<ActionId>) -> Result<Allowlist, Box<dyn Error>> {
    if let Some(unknown) = actions.iter().find(|action| engine.catalogue.find(action.as_str()).is_none()) {
        return Err(format!("there is no action {unknown}").into());
    }
    Ok(actions.into_iter().collect())
}

/// How long a key is good for; without end, if not set.
#[derive(Clone, Copy)]
pub struct Lifetime(Option<Duration>);

/// Ten years: a longer lifetime is a mistake.
const MOST_HOURS: u64 = 24 * 3650;

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        let number = |unit: char| text.strip_suffix(unit).filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let days = number('d').and_then(|days| days.parse::<u64>().ok()?.checked_mul(24));
        let hours = days.or_else(|| number('h')?.parse().ok()).filter(|hours| (1..=MOST_HOURS).contains(hours));
        let hours = hours.ok_or("must be days or hours, such as 90d or 12h, up to 3650d; or never")?;
        Ok(Self(Some(Duration::from_hours(hours))))
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.map(|lifetime| lifetime.as_secs() / 3600) {
            None => f.write_str("This key never expires: revoke it when it is no longer needed."),
            Some(hours) if hours % 24 == 0 => write!(f, "This key expires in {} days.", hours / 24),
            Some(hours) => write!(f, "This key expires in {hours} hours."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_days_or_hours_or_never() {
        for (text, hours) in [
            ("90d", Some(90 * 24)),
            ("1d", Some(24)),
            ("12h", Some(12)),
            ("036h", Some(36)),
            ("3650d", Some(87_600)),
            ("87600h", Some(87_600)),
            ("never", None),
        ] {
            let lifetime = text.parse::<Lifetime>().unwrap().0;
            assert_eq!(lifetime, hours.map(Duration::from_hours), "{text}");
        }
        for wrong in [
            "",
            "0d",
            "0h",
            "d",
            "h",
            "90",
            "90 d",
            "-1d",
            "+1d",
            "1.5d",
            "90D",
            "2w",
            "30m",
            "3651d",
            "87601h",
            "Never",
            "1d2h",
            "٣d",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(wrong.parse::<Lifetime>().is_err(), "{wrong}");
        }
    }
}
