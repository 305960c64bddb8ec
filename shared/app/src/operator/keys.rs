//! API keys.

use std::{fmt, str::FromStr, time::Duration};

use domain::{ActionId, ActorId, Allowlist, ApiKey, KeyId, KeyName, KeyRecord, Scope, WorkspaceId};
use engine::{Engine, Problem, ProblemCode, keys::NewKey, ports::LedgerError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Outcome, known};
use crate::{Config, config::LOCAL, is_beside_keyless_server};

/// API keys of the ledger. A server that started without keys does not require them until its next start.
#[cfg_attr(feature = "clap", derive(clap::Subcommand))]
pub enum Keys {
    /// Create a key and print it. It cannot be printed again, since only its hash is stored.
    Create(Create),
    /// Print each key's id, workspace, actor (the first digits of its hash), scopes, actions, times of creation and
    /// revocation, when it expires, the day of its last use (UTC), its name, and whether it is an agent's or draft-only.
    List,
    /// Revoke a key. Its next request is refused, and what it has queued is not sent.
    Revoke(Revoke),
}

/// A key to create.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Create {
    /// The key's workspace.
    #[cfg_attr(feature = "clap", arg(long))]
    workspace: WorkspaceId,
    /// Its scopes, comma separated: actions:preview, actions:execute, actions:approve, accounts:read, connections:write,
    /// webhooks:write, metrics:read, audit:read.
    #[cfg_attr(feature = "clap", arg(long, value_delimiter = ',', required = true))]
    scopes: Vec<Scope>,
    /// The only actor that it may act for; default any.
    #[cfg_attr(feature = "clap", arg(long))]
    actor: Option<ActorId>,
    /// The actions that it may run, comma separated; default those of its workspace.
    #[cfg_attr(feature = "clap", arg(long, value_delimiter = ','))]
    allow: Option<Vec<ActionId>>,
    /// How long it is good for, in days or hours, such as 90d or 12h; or never to end.
    #[cfg_attr(feature = "clap", arg(long, default_value = "90d"))]
    #[serde(default)]
    expires: Lifetime,
    /// What you call it.
    #[cfg_attr(feature = "clap", arg(long))]
    name: Option<KeyName>,
    /// An agent gets it: its jobs are held until a person approves, and it cannot approve.
    #[cfg_attr(feature = "clap", arg(long))]
    #[serde(default)]
    agent: bool,
    /// Its sends end after their drafts: nothing is sent.
    #[cfg_attr(feature = "clap", arg(long))]
    #[serde(default)]
    draft_only: bool,
    /// Revoke the other keys of this workspace and name that were never used, such as one whose output was lost.
    #[cfg_attr(feature = "clap", arg(long, requires = "name"))]
    #[serde(default)]
    replace_unused: bool,
}

/// A key to revoke.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Revoke {
    /// The key's id, the part between the underscores.
    id: KeyId,
}

pub(super) async fn run(config: &Config, engine: &Engine, command: Keys) -> Result<Outcome, Problem> {
    match command {
        Keys::Create(command) => create(config, engine, command).await,
        Keys::List => list(engine).await,
        Keys::Revoke(Revoke { id }) => revoke(config, engine, &id).await,
    }
}

async fn create(config: &Config, engine: &Engine, command: Create) -> Result<Outcome, Problem> {
    let Create { workspace, scopes, actor, allow, expires, name, agent, draft_only, replace_unused } = command;
    let allow = allow.map(|actions| known(engine, "allow", actions)).transpose()?;
    if scopes.is_empty() {
        return Err(Problem::invalid("/scopes", "a key has at least one scope"));
    }
    if replace_unused && name.is_none() {
        return Err(Problem::invalid("/name", "replace_unused needs the name of the keys to replace"));
    }
    let scopes = scopes.into_iter().collect();
    let new = NewKey { workspace, scopes, actor, allow, lifetime: expires.0, name, agent, draft_only };
    let key = engine.keys.create(new.clone()).await?;
    let mut notes = vec![expires.to_string()];
    if replace_unused {
        for id in unused(engine, &new, &key).await? {
            engine.keys.revoke(&id).await?;
            notes.push(format!("The key {id} has the same name and was never used: it is revoked."));
        }
    }
    if is_beside_keyless_server(config) {
        let restart = "The running server started without keys: restart it, or it does not require any.";
        notes.push(format!("{restart} Jobs that were made without a key stay in the workspace {LOCAL}."));
    }
    Ok(Outcome { notes, ..Outcome::of(json!({ "key": key.reveal() })) })
}

/// The other keys of the same workspace and name that were neither used nor revoked.
async fn unused(engine: &Engine, new: &NewKey, key: &ApiKey) -> Result<Vec<KeyId>, LedgerError> {
    let mut others = engine.keys.list().await?;
    others.retain(|other| {
        let same = other.workspace_id == new.workspace && other.name == new.name && other.key_id != *key.id();
        same && other.revoked_at.is_none()
    });
    let ids: Vec<KeyId> = others.into_iter().map(|other| other.key_id).collect();
    let used = engine.keys.last_used(&ids).await?;
    Ok(ids.into_iter().zip(used).filter_map(|(id, used)| used.is_none().then_some(id)).collect())
}

async fn list(engine: &Engine) -> Result<Outcome, Problem> {
    let keys = engine.keys.list().await?;
    let ids: Vec<KeyId> = keys.iter().map(|key| key.key_id.clone()).collect();
    let used = engine.keys.last_used(&ids).await?;
    let rows = keys.iter().zip(used).map(|(key, used)| {
        json!({
            "id": key.key_id,
            "workspace": key.workspace_id,
            // Only the SHA-256 of WORKSPACE:ACTOR is stored.
            "actor": key.bound_actor.as_ref().map_or("any", |actor| &actor.as_str()[..16]),
            "scopes": key.usable_scopes(),
            "allow": key.allow.as_ref().map_or_else(|| "all".to_owned(), Allowlist::to_string),
            "created_at": key.created_at,
            "revoked_at": key.revoked_at,
            "expires_at": key.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
            "last_used": used,
            "name": key.name,
            "kind": kinds_of(key),
        })
    });
    Ok(Outcome::of(rows.collect()))
}

/// Whether it is an agent's or draft-only; none if it is neither.
fn kinds_of(key: &KeyRecord) -> Option<String> {
    let kinds: Vec<&str> = key.kinds().collect();
    (!kinds.is_empty()).then(|| kinds.join(","))
}

async fn revoke(config: &Config, engine: &Engine, id: &KeyId) -> Result<Outcome, Problem> {
    let missing = || Problem::at(ProblemCode::InvalidRequest, "/id", format!("there is no key {id}"));
    let told = engine.keys.revoke(id).await?.ok_or_else(missing)?;
    let mut outcome = Outcome::of(json!({ "done": format!("{id} is revoked") }));
    if config.ledger_table.is_some() && (!told || config.redis_url.is_none()) {
        let why = if told { "REDIS_URL is not set" } else { "Redis does not answer" };
        let until = "servers that have just read the key accept its requests for up to 10 seconds more.";
        outcome.notes.push(format!("{why}: {until}"));
    }
    Ok(outcome)
}

/// How long a key is good for; without end, if not set.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
pub struct Lifetime(Option<Duration>);

impl Default for Lifetime {
    fn default() -> Self {
        Self(Some(Duration::from_hours(24 * 90)))
    }
}

impl TryFrom<Value> for Lifetime {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        value.as_str().unwrap_or_default().parse()
    }
}

/// Ten years: a longer lifetime is a mistake.
const MOST_HOURS: u64 = 24 * 3650;

impl FromStr for Lifetime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
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
