//! `orchestrator rollout`: the share of actors that may use a provider.

use std::error::Error;

use clap::Subcommand;
use domain::Provider;
use engine::Engine;

/// The share of actors that may use a provider.
#[derive(Subcommand)]
pub enum Rollout {
    /// Set a provider's percentage. With Redis it takes effect within seconds, else within about a minute.
    Set {
        /// google or microsoft.
        provider: Provider,
        /// 0 to 100.
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
    },
    /// Print the percentages and their sources.
    Get {
        /// google or microsoft; default both.
        provider: Option<Provider>,
    },
}

/// Runs the command on the configured ledger, and prints the result. A server may run at the same time.
pub async fn run(engine: &Engine, command: Rollout) -> Result<(), Box<dyn Error>> {
    let providers = match command {
        Rollout::Set { provider, percent } => {
            if !engine.settings.set_rollout(provider, percent).await? {
                eprintln!("Redis does not answer, so the change takes effect within a minute, not at once");
            }
            vec![provider]
        }
        Rollout::Get { provider } => provider.map_or_else(|| Provider::ALL.to_vec(), |provider| vec![provider]),
    };
    for provider in providers {
        let (percent, of_environment) = engine.settings.rollout(provider).await?;
        println!("{provider}\t{percent}\t{}", if of_environment { "environment" } else { "ledger" });
    }
    Ok(())
}
