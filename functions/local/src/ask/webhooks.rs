//! `orchestrator webhooks`: the addresses that are told when a job ends or waits.

use std::{error::Error, process::ExitCode, time::Duration};

use adapters::api::{Api, ApiError};
use clap::Subcommand;
use serde_json::{Value, json};
use tokio::time;

use super::{FAILED, Output, POLL_EVERY, print, print::list, say, waiting};

/// How long a test may take: its first attempt, and one more.
const TEST_TIMEOUT: Duration = Duration::from_secs(45);

/// Webhook endpoints of the workspace.
#[derive(Subcommand)]
pub enum Webhooks {
    /// Add an endpoint and print its secret, which cannot be printed again.
    Add {
        /// An https URL.
        url: String,
        /// What to tell it of, comma separated: job.held, job.completed, job.failed, job.unknown,
        /// connection.reauth_required; default all.
        #[arg(long, value_delimiter = ',')]
        events: Vec<String>,
        #[command(flatten)]
        how: Output,
    },
    /// List the endpoints.
    List {
        #[command(flatten)]
        how: Output,
    },
    /// Remove an endpoint.
    Remove {
        /// The endpoint's id.
        id: String,
    },
    /// Send a test to an endpoint, and tell how it went.
    Test {
        /// The endpoint's id.
        id: String,
        #[command(flatten)]
        how: Output,
    },
}

/// Runs a command.
pub async fn run(api: &Api, command: Webhooks) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Webhooks::Add { url, events, how } => {
            let new = api.post(&["webhooks"], &json!({ "url": url, "events": events })).await?;
            say(how, &new, |out, reader| print::new_webhook(out, reader, &new))?;
        }
        Webhooks::List { how } => {
            let endpoints = api.get(&["webhooks"], &[]).await?;
            let listed = list(&endpoints["data"]);
            if listed.is_empty() && !how.json {
                eprintln!("There are no webhook endpoints.");
            }
            say(how, &endpoints, |out, reader| print::webhooks(out, reader, listed))?;
        }
        Webhooks::Remove { id } => {
            api.delete(&["webhooks", &id]).await?;
            println!("{id} is removed");
        }
        Webhooks::Test { id, how } => {
            let sent = api.post(&["webhooks", &id, "test"], &json!({})).await?;
            let attempted = attempted(api, &id, &sent["webhook_id"]);
            let delivery = match waiting("sending", time::timeout(TEST_TIMEOUT, attempted)).await {
                Ok(delivery) => delivery?,
                Err(_) => return Err("the test was not sent yet; is a worker running?".into()),
            };
            say(how, &delivery, |out, _| print::delivery(out, &delivery))?;
            return Ok(ExitCode::from(if delivery["status"] == "delivered" { 0 } else { FAILED }));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Polls until a delivery has been tried.
async fn attempted(api: &Api, id: &str, webhook_id: &Value) -> Result<Value, ApiError> {
    loop {
        let page = api.get(&["webhooks", id, "deliveries"], &[]).await?;
        let it = list(&page["data"]).iter().find(|delivery| delivery["webhook_id"] == *webhook_id);
        match it {
            Some(it) if it["status"] != "pending" || !it["last_error"].is_null() => return Ok(it.clone()),
            _ => time::sleep(POLL_EVERY / 4).await,
        }
    }
}
