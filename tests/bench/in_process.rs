use std::path::Path;

use domain::{ActorHash, Scope};
use engine::{Caller, Parts, limits::Ticket};

/// The parts of the use cases on a ledger in this folder, and a caller who may do everything.
pub fn engine_in(folder: &Path, variables: &[(&str, &str)]) -> (Parts, Caller) {
    let data = folder.display().to_string();
    let config = app::Config::read(app::Runtime::Local, &|name| match name {
        "ORCHESTRATOR_DATA" => Some(data.clone()),
        _ => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
    });
    let parts = app::parts(&config.expect("it is right")).expect("it can be put together");
    let workspace = "local".parse().expect("an id");
    let caller = Caller {
        key_id: None,
        bound_actor: None,
        default_actor: ActorHash::of(&workspace, &"local".parse().expect("an id")),
        workspace,
        scopes: Scope::all(),
        allow: None,
        agent: false,
        draft_only: false,
        ticket: Ticket::default(),
    };
    (parts, caller)
}
