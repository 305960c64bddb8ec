//! How other processes steer the server; the crate's docs list the routes.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::State as Shared,
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    exchange::Exchange,
    fault::{RandomFaults, Scripted},
    oauth::Consents,
    state::{Holdings, Provider, State, Token},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    #[serde(default)]
    next: Vec<Scripted>,
    random: Option<RandomFaults>,
}

#[derive(Deserialize)]
struct Held {
    provider: Provider,
    #[serde(flatten)]
    holdings: Holdings,
}

pub(crate) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/_fakes/tokens", post(add_token))
        .route("/_fakes/faults", post(add_faults))
        .route("/_fakes/consents", post(set_consents))
        .route("/_fakes/holdings", post(hold))
        .route("/_fakes/exchanges", get(exchanges))
        .route("/_fakes/deliveries", get(deliveries))
        .route("/_fakes/drafts/delete", post(delete_drafts))
        .route("/_fakes/events/delete", post(delete_events))
        .route("/_fakes/reset", post(reset))
}

async fn add_token(Shared(state): Shared<Arc<State>>, Json(token): Json<Token>) -> StatusCode {
    state.add_token(token);
    StatusCode::NO_CONTENT
}

async fn add_faults(Shared(state): Shared<Arc<State>>, Json(faults): Json<Faults>) -> StatusCode {
    state.script(faults.next);
    if faults.random.is_some() {
        state.randomly(faults.random);
    }
    StatusCode::NO_CONTENT
}

async fn set_consents(Shared(state): Shared<Arc<State>>, Json(consents): Json<Consents>) -> StatusCode {
    state.oauth().consents = consents;
    StatusCode::NO_CONTENT
}

async fn hold(Shared(state): Shared<Arc<State>>, Json(held): Json<Held>) -> StatusCode {
    state.hold(held.provider, held.holdings);
    StatusCode::NO_CONTENT
}

async fn exchanges(Shared(state): Shared<Arc<State>>) -> Json<Vec<Exchange>> {
    Json(state.exchanges())
}

async fn deliveries(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let deliveries = state.deliveries();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for delivery in &deliveries {
        *counts.entry(&delivery.key).or_default() += 1;
    }
    Json(json!({
        "total": deliveries.len(),
        "counts": counts,
        "deliveries": deliveries,
        "operations": state.operations(),
    }))
}

async fn delete_drafts(Shared(state): Shared<Arc<State>>) -> StatusCode {
    state.delete_drafts();
    StatusCode::NO_CONTENT
}

async fn delete_events(Shared(state): Shared<Arc<State>>) -> StatusCode {
    state.delete_events();
    StatusCode::NO_CONTENT
}

async fn reset(Shared(state): Shared<Arc<State>>) -> StatusCode {
    state.reset();
    StatusCode::NO_CONTENT
}
