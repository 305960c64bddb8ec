//! The share of actors that may use a provider.

use std::str::FromStr;

use domain::Provider;
use engine::{Engine, Problem};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;

/// The share of actors that may use a provider.
#[cfg_attr(feature = "clap", derive(clap::Subcommand))]
pub enum Rollout {
    /// Set a provider's percentage. With Redis it takes effect within seconds, else within about a minute.
    Set(Set),
    /// Print the percentages and their sources.
    Get(Get),
}

/// A rollout to set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Set {
    /// The provider's id, such as google.
    provider: Provider,
    /// 0 to 100.
    percent: Percent,
}

/// Rollouts to look at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Get {
    /// The provider's id, such as google; default all.
    provider: Option<Provider>,
}

/// A share of a hundred.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
pub struct Percent(u8);

impl FromStr for Percent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.parse().ok().filter(|percent| *percent <= 100);
        percent.map(Self).ok_or("must be a whole number from 0 to 100")
    }
}

impl TryFrom<Value> for Percent {
    type Error = &'static str;

    /// A JSON number.
    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let number = value.as_u64().map(|number| number.to_string());
        number.unwrap_or_default().parse()
    }
}

pub(super) async fn run(engine: &Engine, command: Rollout) -> Result<Outcome, Problem> {
    let mut notes = Vec::new();
    let providers = match command {
        Rollout::Set(Set { provider, percent: Percent(percent) }) => {
            if !engine.settings.set_rollout(provider, percent).await? {
                notes.push("Redis does not answer, so the change takes effect within a minute, not at once".to_owned());
            }
            vec![provider]
        }
        Rollout::Get(Get { provider }) => provider.map_or_else(|| Provider::ALL.to_vec(), |provider| vec![provider]),
    };
    let mut rows = Vec::new();
    for provider in providers {
        let (percent, of_environment) = engine.settings.rollout(provider).await?;
        let source = if of_environment { "environment" } else { "ledger" };
        rows.push(json!({ "provider": provider, "percent": percent, "source": source }));
    }
    Ok(Outcome { notes, ..Outcome::of(rows.into()) })
}
