//! A plan as callers see it.

use std::collections::BTreeSet;

use domain::{Address, Plan};
use engine::{Caller, plan::Planned};

use crate::endpoint::prelude::*;

/// A plan, and how it was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Plan2Response {
    pub plan: Plan,
    meta: Meta,
    /// The accounts that the plan's actions would use, one per provider.
    accounts: Vec<Account>,
}

/// The account of a provider.
#[derive(Serialize, ToSchema)]
struct Account {
    #[schema(example = "google")]
    provider: &'static str,
    /// `live`, `sandbox`, `needs_reauth` or `not_connected`.
    mode: &'static str,
    /// The account's address, if it is known.
    address: Option<String>,
}

/// How a plan was made.
#[derive(Serialize, ToSchema)]
struct Meta {
    /// The model that made it.
    model: String,
    /// The time it took, in seconds; zero where it is only shown.
    duration: f64,
    /// Tokens of the request, as the model counts them; zero where the model was not asked.
    tokens_in: u64,
    /// Tokens of the answer, the same way.
    tokens_out: u64,
    /// What the model's endpoint was asked another way than OpenAI's, since it refused that: `max_tokens` (by its older
    /// name), `own_temperature`, `no_system_role`, and one of `not_strict`, `json_object`, `no_response_format`. Not there if nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    adjusted: Vec<&'static str>,
}

impl Plan2Response {
    pub(crate) async fn of(web: &Web, caller: &Caller, planned: Planned) -> Result<Self, Problem> {
        let providers: BTreeSet<Provider> = planned.plan.actions.iter().map(|action| action.provider).collect();
        let mut accounts = Vec::new();
        for provider in providers {
            let connection = web.engine.actions.account(caller, provider).await?;
            let address = connection.address().map(Address::addr_spec);
            accounts.push(Account { provider: provider.as_str(), mode: connection.mode(), address });
        }
        let meta = Meta {
            model: planned.model,
            duration: (planned.duration.as_secs_f64() * 1000.0).round() / 1000.0,
            tokens_in: planned.usage.input,
            tokens_out: planned.usage.output,
            adjusted: planned.adjusted,
        };
        Ok(Self { plan: planned.plan, meta, accounts })
    }
}

/// The example of an answer.
pub(super) fn plan_example() -> Value {
    example(include_str!("plan2.json"))["response"].clone()
}
