//! What an operator asks: the same commands for the command line and for the function `admin` on Lambda.

mod audit;
mod keys;
mod reseal;
mod rollout;
mod webhooks;
mod workspaces;

use domain::{ActionId, Allowlist};
use engine::{Engine, Problem, ProblemCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use self::{
    audit::Verify,
    keys::{Create, Keys, Lifetime, Revoke},
    rollout::{Get, Percent, Rollout, Set},
    webhooks::{One, Webhooks},
    workspaces::{Allow, DraftOnly, Workspace, Workspaces},
};
use crate::Config;

/// What an operator asks.
pub enum Command {
    /// Create, list and revoke API keys.
    Keys(Keys),
    /// Set and print the share of actors that may use a provider.
    Rollout(Rollout),
    /// Restrict the actions of a workspace.
    Workspaces(Workspaces),
    /// List, test and remove webhook endpoints. On the command line, a key of the workspace does that.
    Webhooks(Webhooks),
    /// Check that nobody has changed the audit.
    Verify(Verify),
    /// Seal everything in the ledger again.
    Reseal,
}

/// The result of a command.
#[derive(Debug)]
pub struct Outcome {
    /// Whether nothing is wrong with what was looked at.
    pub ok: bool,
    /// What the command found or made: an object, or a list of them.
    pub result: Value,
    /// What a person should know about it.
    pub notes: Vec<String>,
}

/// Carries a command out on the configured ledger. A server may run at the same time.
pub async fn run(config: &Config, engine: &Engine, command: Command) -> Result<Outcome, Problem> {
    match command {
        Command::Keys(command) => keys::run(config, engine, command).await,
        Command::Rollout(command) => rollout::run(engine, command).await,
        Command::Workspaces(command) => workspaces::run(engine, command).await,
        Command::Webhooks(command) => webhooks::run(engine, command).await,
        Command::Verify(command) => audit::run(engine, command).await,
        Command::Reseal => reseal::run(config, engine).await,
    }
}

impl Command {
    /// Reads a command as JSON: an object with the words of the command line in `command`, such as `keys create`, and its
    /// arguments by their names beside it.
    pub fn read(event: Value) -> Result<Self, Problem> {
        let Value::Object(mut fields) = event else {
            return Err(Problem::invalid("", "must be an object with the field command"));
        };
        let words = fields.remove("command");
        Ok(match words.as_ref().and_then(Value::as_str).unwrap_or_default() {
            "keys create" => Self::Keys(Keys::Create(arguments(fields)?)),
            "keys list" => arguments(fields).map(|Nothing {}| Self::Keys(Keys::List))?,
            "keys revoke" => Self::Keys(Keys::Revoke(arguments(fields)?)),
            "rollout set" => Self::Rollout(Rollout::Set(arguments(fields)?)),
            "rollout get" => Self::Rollout(Rollout::Get(arguments(fields)?)),
            "workspaces allow" => Self::Workspaces(Workspaces::Allow(arguments(fields)?)),
            "workspaces draft-only" => Self::Workspaces(Workspaces::DraftOnly(arguments(fields)?)),
            "workspaces reset" => Self::Workspaces(Workspaces::Reset(arguments(fields)?)),
            "workspaces show" => Self::Workspaces(Workspaces::Show(arguments(fields)?)),
            "webhooks list" => Self::Webhooks(Webhooks::List(arguments(fields)?)),
            "webhooks test" => Self::Webhooks(Webhooks::Test(arguments(fields)?)),
            "webhooks remove" => Self::Webhooks(Webhooks::Remove(arguments(fields)?)),
            "audit verify" => Self::Verify(arguments(fields)?),
            "reseal" => arguments(fields).map(|Nothing {}| Self::Reseal)?,
            _ => {
                let says = "must be one of: keys create, keys list, keys revoke, rollout set, rollout get, workspaces \
                            allow, workspaces draft-only, workspaces reset, workspaces show, webhooks list, webhooks test, \
                            webhooks remove, audit verify, reseal";
                return Err(Problem::invalid("/command", says));
            }
        })
    }
}

/// The arguments of a command that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn arguments<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    web::read_json(Value::Object(fields).to_string().as_bytes())
}

impl Outcome {
    fn of(result: Value) -> Self {
        Self { ok: true, result, notes: Vec::new() }
    }

    /// The result for people and shells: a line for each object, with its values between tabs.
    pub fn text(&self) -> String {
        let rows = self.result.as_array().map_or_else(|| std::slice::from_ref(&self.result), Vec::as_slice);
        let line = |row: &Value| {
            let cells: Vec<String> = row.as_object().into_iter().flat_map(Map::values).map(cell).collect();
            cells.join("\t") + "\n"
        };
        rows.iter().map(line).collect()
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// These actions, if all are in the catalogue.
fn known(engine: &Engine, field: &str, actions: Vec<ActionId>) -> Result<Allowlist, Problem> {
    for (place, action) in actions.iter().enumerate() {
        if engine.catalogue.find(action.as_str()).is_none() {
            let says = format!("there is no action {action}");
            return Err(Problem::at(ProblemCode::UnknownAction, format!("/{field}/{place}"), says));
        }
    }
    Ok(actions.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_of_json_has_the_names_of_the_command_line() {
        for good in [
            json!({ "command": "keys create", "workspace": "acme", "scopes": ["actions:preview"] }),
            json!({ "command": "keys create", "workspace": "acme", "scopes": ["metrics:read"], "name": "x",
                    "expires": "never", "actor": "ana", "allow": [], "replace_unused": true }),
            json!({ "command": "keys list" }),
            json!({ "command": "keys revoke", "id": "aaaaaaaaaaaa" }),
            json!({ "command": "rollout set", "provider": "google", "percent": 100 }),
            json!({ "command": "rollout get" }),
            json!({ "command": "rollout get", "provider": null }),
            json!({ "command": "workspaces allow", "workspace": "acme", "actions": [] }),
            json!({ "command": "workspaces draft-only", "workspace": "acme" }),
            json!({ "command": "workspaces draft-only", "workspace": "acme", "off": true }),
            json!({ "command": "workspaces reset", "workspace": "acme" }),
            json!({ "command": "workspaces show", "workspace": "acme" }),
            json!({ "command": "webhooks list", "workspace": "acme" }),
            json!({ "command": "webhooks test", "workspace": "acme", "id": "5d0c1f0e-9a64-4b0c-8a57-3c1f6e0b2d11" }),
            json!({ "command": "webhooks remove", "workspace": "acme", "id": "5d0c1f0e-9a64-4b0c-8a57-3c1f6e0b2d11" }),
            json!({ "command": "audit verify" }),
            json!({ "command": "audit verify", "workspace": "acme", "heads": ["acme"] }),
            json!({ "command": "reseal" }),
        ] {
            assert!(Command::read(good.clone()).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_wrong_command_is_told_where_and_what_to_change() {
        let create = |field: &str, value: Value| {
            let mut event = json!({ "command": "keys create", "workspace": "acme", "scopes": ["actions:preview"] });
            event[field] = value;
            event
        };
        for (wrong, pointer) in [
            (json!(null), ""),
            (json!("keys list"), ""),
            (json!([{ "command": "keys list" }]), ""),
            (json!({}), "/command"),
            (json!({ "command": null }), "/command"),
            (json!({ "command": 1 }), "/command"),
            (json!({ "command": "" }), "/command"),
            (json!({ "command": "keys" }), "/command"),
            (json!({ "command": "keys  list" }), "/command"),
            (json!({ "command": "Keys List" }), "/command"),
            (json!({ "command": "create-table" }), "/command"),
            (json!({ "command": "keys list", "workspace": "acme" }), "/workspace"),
            (json!({ "command": "reseal", "now": true }), "/now"),
            (json!({ "command": "keys create", "scopes": ["actions:preview"] }), ""),
            (create("workspace", json!("Acme")), "/workspace"),
            (create("workspace", json!(7)), "/workspace"),
            (create("scopes", json!("actions:preview")), "/scopes"),
            (create("scopes", json!(["actions:preview", "all"])), "/scopes/1"),
            (create("expires", json!("soon")), "/expires"),
            (create("expires", json!(90)), "/expires"),
            (create("name", json!("a\tb")), "/name"),
            (create("allow", json!(["gmail"])), "/allow/0"),
            (create("replace_unused", json!("yes")), "/replace_unused"),
            (create("scope", json!("metrics:read")), "/scope"),
            (json!({ "command": "keys revoke", "id": "a/b" }), "/id"),
            (json!({ "command": "rollout set", "provider": "google", "percent": 101 }), "/percent"),
            (json!({ "command": "rollout set", "provider": "google", "percent": -1 }), "/percent"),
            (json!({ "command": "rollout set", "provider": "google", "percent": 2.5 }), "/percent"),
            (json!({ "command": "rollout set", "provider": "google", "percent": "25" }), "/percent"),
            (json!({ "command": "rollout get", "provider": "yahoo" }), "/provider"),
            (json!({ "command": "webhooks" }), "/command"),
            (json!({ "command": "webhooks list" }), ""),
            (json!({ "command": "webhooks add", "workspace": "acme", "url": "https://example.com" }), "/command"),
            (json!({ "command": "webhooks test", "workspace": "acme" }), ""),
            (json!({ "command": "webhooks test", "workspace": "acme", "id": 7 }), "/id"),
            (json!({ "command": "webhooks test", "workspace": "acme", "id": "5d0c1f0e" }), "/id"),
            (
                json!({ "command": "webhooks remove", "workspace": "A", "id": "5d0c1f0e-0000-4000-8000-000000000000" }),
                "/workspace",
            ),
            (json!({ "command": "audit verify", "heads": ["acme/1"] }), "/heads/0"),
        ] {
            let problem = Command::read(wrong.clone()).err().unwrap_or_else(|| panic!("{wrong}"));
            assert_eq!(problem.code, ProblemCode::InvalidRequest, "{wrong}");
            assert_eq!(problem.errors[0].pointer, pointer, "{wrong}: {}", problem.detail);
        }
    }

    #[test]
    fn the_text_of_a_result_has_a_line_for_each_object() {
        let text = |result| Outcome::of(result).text();
        assert_eq!(text(json!({ "a": "x", "b": null, "c": [1, "y"], "d": 7 })), "x\t-\t1,y\t7\n");
        assert_eq!(text(json!([{ "a": 1 }, { "a": 2 }])), "1\n2\n");
        assert_eq!(text(json!([])), "");
    }
}
