//! `GET /actions`: the catalogue, as this caller may use it.

use engine::{catalogue::Listing, ports::ProviderSpec};

use crate::endpoint::prelude::*;

endpoint! {
    path: "/actions", function: Plan2, scope: ActionsPreview, tag: "actions", problems: [],
    example: || example(include_str!("list_actions.json")),
}

/// The catalogue, as this caller may use it.
#[derive(Serialize, ToSchema)]
struct ActionList {
    data: Vec<Listing>,
    /// The providers of these actions.
    #[schema(value_type = Vec<ProviderSpec>)]
    providers: Vec<&'static ProviderSpec>,
}

/// Lists the catalogue, and what the caller may run.
#[utoipa::path(get, path = ENDPOINT.path, responses((status = 200, description = "The catalogue", body = ActionList)))]
async fn handler(State(web): State<Web>, may: Authorized) -> Answer<ActionList> {
    let data = web.engine.actions.list(&may.caller).await?;
    Ok(Out(ActionList { data, providers: web.engine.catalogue.providers().to_vec() }))
}
