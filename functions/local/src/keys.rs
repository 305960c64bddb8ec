use std::error::Error;

use app::Config;
use clap::Subcommand;
use domain::{ActionId, ActorId, Allowlist, KeyId, Scope, WorkspaceId};
use engine::{Engine, keys::NewKey};

/// API keys of the ledger. A server that runs without keys goes on without them until its next start.
#[derive(Subcommand)]
pub enum Keys {
    /// Make a key and print it: once, since only its hash is kept.
    Create {
        /// The workspace that it belongs to.
        #[arg(long)]
        workspace: WorkspaceId,
        /// What it may do, comma separated: actions:preview, actions:execute, connections:write, metrics:read, audit:read.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// The one actor it may act for; any, if left out.
        #[arg(long)]
        actor: Option<ActorId>,
        /// The actions that it may run, comma separated; those of its workspace, if left out.
        #[arg(long, value_delimiter = ',')]
        allow: Option<Vec<ActionId>>,
    },
    /// Print every key's id, workspace, actor (the first digits of its hash), scopes, actions and whether it was revoked.
    List,
    /// End a key. Servers hear of it within a minute.
    Revoke {
        /// The key's id, the part between the underscores.
        id: KeyId,
    },
}

/// Does what the command says, in the ledger that the environment names; a server may run beside it.
pub async fn run(config: &Config, command: Keys) -> Result<(), Box<dyn Error>> {
    let engine = app::engine(config)?;
    match command {
        Keys::Create { workspace, scopes, actor, allow } => {
            let allow = allow.map(|actions| known(&engine, actions)).transpose()?;
            let new = NewKey { workspace, scopes: scopes.into_iter().collect(), actor, allow };
            let key = engine.keys.create(new).await?;
            println!("{}", key.reveal());
        }
        Keys::List => {
            for key in engine.keys.list().await? {
                let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
                // The first digits of the SHA-256 of WORKSPACE:ACTOR, which is all that is kept.
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

/// These actions, if the catalogue has them all.
pub fn known(engine: &Engine, actions: Vec<ActionId>) -> Result<Allowlist, Box<dyn Error>> {
    if let Some(unknown) = actions.iter().find(|action| engine.catalogue.find(action.as_str()).is_none()) {
        return Err(format!("there is no action {unknown}").into());
    }
    Ok(actions.into_iter().collect())
}
