//! `orchestrator keys`.

use std::error::Error;

use app::Config;
use clap::Subcommand;
use domain::{ActionId, ActorId, Allowlist, KeyId, Scope, WorkspaceId};
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
    },
    /// Print each key's id, workspace, actor (the first digits of its hash), scopes, actions, and times of creation and revocation.
    List,
    /// Revoke a key. It takes effect within a minute.
    Revoke {
        /// The key's id, the part between the underscores.
        id: KeyId,
    },
}

/// Runs the command on the configured ledger. A server may run at the same time.
pub async fn run(config: &Config, command: Keys) -> Result<(), Box<dyn Error>> {
    let engine = &app::engine(config)?;
    match command {
        Keys::Create { workspace, scopes, actor, allow } => {
            let allow = allow.map(|actions| known(engine, actions)).transpose()?;
            let new = NewKey { workspace, scopes: scopes.into_iter().collect(), actor, allow };
            let key = engine.keys.create(new).await?;
            println!("{}", key.reveal());
            if app::is_beside_keyless_server(config) {
                eprintln!("The running server started without keys: restart it, or it does not require any.");
            }
        }
        Keys::List => {
            for key in engine.keys.list().await? {
                let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
                // Only the SHA-256 of WORKSPACE:ACTOR is stored.
                let actor = key.bound_actor.as_ref().map_or("any", |actor| &actor.as_str()[..16]);
                let allow = key.allow.as_ref().map_or_else(|| "all".to_owned(), Allowlist::to_string);
                let revoked = key.revoked_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
                let (id, workspace, created) = (&key.key_id, &key.workspace_id, key.created_at);
                println!("{id}\t{workspace}\t{actor}\t{}\t{allow}\t{created}\t{revoked}", scopes.join(","));
            }
        }
        Keys::Revoke { id } => {
            if !engine.keys.revoke(&id).await? {
                return Err(format!("there is no key {id}").into());
            }
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
