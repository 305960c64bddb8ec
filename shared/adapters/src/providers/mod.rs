//! The providers: one folder each with its facts ([`ProviderSpec`]), its API and its actions.
//!
//! To add an action, add its file to its provider's folder and a line to that folder's `actions`. To add a provider, add
//! a folder and a line to `PROVIDERS`. CONTRIBUTING.md has an example of each.

mod event;
mod found;
mod google;
mod mail;
mod microsoft;
mod params;

use std::{collections::BTreeMap, sync::Arc};

use domain::Provider;
use engine::ports::{Action, Finder, ProviderSpec};

use crate::{
    exchange::{Endpoint, InvalidBaseUrl},
    http::LazyClient,
};

pub use microsoft::render_graph_message;

/// Every provider: what is known of it, and its actions over its APIs.
const PROVIDERS: &[(&ProviderSpec, Actions)] =
    &[(&google::SPEC, google::actions), (&microsoft::SPEC, microsoft::actions)];

type Actions = fn(&Apis) -> Vec<Arc<dyn Action>>;

/// What is known of every provider.
pub fn specs() -> Vec<&'static ProviderSpec> {
    PROVIDERS.iter().map(|(spec, _)| *spec).collect()
}

/// What is known of one provider.
pub fn spec(provider: Provider) -> &'static ProviderSpec {
    let found = PROVIDERS.iter().find(|(spec, _)| spec.id == provider);
    found.expect("a test finds every provider in the list").0
}

/// Every action of every provider.
pub fn actions(apis: &Apis) -> Vec<Arc<dyn Action>> {
    PROVIDERS.iter().flat_map(|(_, actions)| actions(apis)).collect()
}

/// What reads the address books and calendars of each provider that has them.
pub fn finders(apis: &Apis) -> BTreeMap<Provider, Arc<dyn Finder>> {
    [(google::SPEC.id, google::finder(apis)), (microsoft::SPEC.id, microsoft::finder(apis))].into()
}

/// The endpoints of every API, by the variable that may name them.
#[derive(Debug, Clone)]
pub struct Apis(BTreeMap<&'static str, Endpoint>);

impl Apis {
    /// Endpoints at these addresses, by the variable that names each. An API without an entry has its public address.
    pub fn new(client: &LazyClient, addresses: &BTreeMap<&'static str, String>) -> Result<Self, InvalidBaseUrl> {
        let apis = PROVIDERS.iter().flat_map(|(spec, _)| spec.apis);
        let endpoints = apis.map(|api| {
            let address = addresses.get(api.variable).map_or(api.default, String::as_str);
            Ok((api.variable, Endpoint::new(client.clone(), address)?))
        });
        Ok(Self(endpoints.collect::<Result<_, InvalidBaseUrl>>()?))
    }

    fn endpoint(&self, variable: &'static str) -> Endpoint {
        self.0.get(variable).expect("every API of a provider's spec has an endpoint").clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_registered_once() {
        let ids: Vec<Provider> = specs().iter().map(|spec| spec.id).collect();
        assert_eq!(ids, Provider::ALL);
        assert_eq!(spec(ids[0]).id, ids[0]);
    }
}
