//! The commands that call a running server.

mod decide;
mod jobs;
mod plans;
mod print;
mod questions;
mod table;
mod times;
mod webhooks;

use std::{
    error::Error,
    fmt::Display,
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

use adapters::api::Api;
use app::ConfigErrors;
use clap::{Args, Subcommand};
use domain::Provider;
use print::list;
use serde_json::Value;
use table::Reader;
use tokio::time;

/// A request or a job failed.
const FAILED: u8 = 1;
/// Wrong arguments.
const WRONG: u8 = 2;
/// Nothing was done: the plan asks a question, warns or has no action, or an account is not connected.
const NOT_DONE: u8 = 3;
/// The outcome of a send is unknown.
const UNKNOWN: u8 = 4;
/// How often a list or a status is polled.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// How long a server may take to say that it runs.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// The end of `--help`.
pub const AFTER_HELP: &str = "Exit codes: 0 done; 1 failed or refused; 2 wrong arguments; 3 nothing was done, because the plan asks \
     a question, warns of something or has no action, or a person said no; 4 the outcome of a send is unknown.\n\n\
     The commands down to mcp call a server: the one at --url, else at ORCHESTRATOR_URL, else at HOST and PORT of this \
     environment, with the API key in --key or ORCHESTRATOR_KEY. The others work on the ledger of this environment.";

/// Which server the commands call.
#[derive(Args)]
pub struct Server {
    /// The server to call, instead of the one at ORCHESTRATOR_URL.
    #[arg(id = "server_url", long = "url", value_name = "URL", global = true)]
    url: Option<String>,
    /// The API key, instead of ORCHESTRATOR_KEY. Other users of this machine can read a command's arguments.
    #[arg(id = "server_key", long = "key", value_name = "KEY", global = true)]
    key: Option<String>,
}

impl Server {
    /// Whether an argument names it.
    pub fn is_named(&self) -> bool {
        self.url.is_some() || self.key.is_some()
    }

    /// The server's API.
    pub fn api(&self) -> Result<Api, ConfigErrors> {
        app::client(self.url.as_deref(), self.key.as_deref())
    }
}

/// The commands.
#[derive(Subcommand)]
pub enum Ask {
    /// Turn a sentence into a plan.
    Plan(plans::Plan),
    /// Execute a plan as it was shown, or actions of your own, and wait for the end.
    ///
    /// Jobs that are held, or that go later, are not waited for.
    Execute(plans::Execute),
    /// Show what a plan would send, rendered by the code that sends it.
    Preview(plans::Preview),
    /// Show a job, or cancel, retry or resolve it.
    Job(jobs::Job),
    /// List jobs, newest first.
    Jobs(jobs::Jobs),
    /// Show everything that a held job would send, ask, and approve it.
    Approve(decide::Decide),
    /// Show everything that a held job would send, ask, and reject it.
    Reject(decide::Decide),
    /// List the newest actions that the sandbox recorded instead of carrying them out.
    Outbox(Output),
    /// List the actions, and whether you may execute them.
    Actions(Output),
    /// Tell where to connect an account, and wait until it is connected.
    Connect {
        /// The provider's id, such as google.
        provider: Provider,
        /// Do not wait.
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        how: Output,
    },
    /// Add, list, remove and test the addresses that are told when a job ends or waits.
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Tell the server, the workspace and the scopes of your key.
    Whoami(Output),
    /// Tell in one line whether the server runs, for a container's health check.
    ///
    /// Whether its stores answer, /readyz tells.
    Health,
}

/// The output's format.
#[derive(Args, Clone, Copy)]
pub struct Output {
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command. Results go to standard output, progress and questions to standard error.
pub async fn run(api: &Api, ask: Ask) -> Result<ExitCode, Box<dyn Error>> {
    match ask {
        Ask::Plan(plan) => return plan.run(api).await,
        Ask::Preview(preview) => return preview.run(api).await,
        Ask::Execute(execute) => return execute.run(api).await,
        Ask::Job(job) => return job.run(api).await,
        Ask::Jobs(jobs) => return jobs.run(api).await,
        Ask::Approve(decide) => return decide.run(api, "approve").await,
        Ask::Reject(decide) => return decide.run(api, "reject").await,
        Ask::Connect { provider, no_wait, how } => return connect(api, provider, !no_wait, how).await,
        Ask::Webhooks(command) => return webhooks::run(api, command).await,
        Ask::Health => return health(api).await,
        Ask::Outbox(how) => {
            let outbox = api.get(&["dev", "outbox"], &[]).await?;
            if list(&outbox["data"]).is_empty() && !how.json {
                eprintln!("The outbox is empty.");
            }
            say(how, &outbox, |out, reader| print::outbox(out, reader, &outbox))?;
        }
        Ask::Actions(how) => {
            let actions = api.get(&["actions"], &[]).await?;
            say(how, &actions, |out, reader| print::actions(out, reader, &actions))?;
        }
        Ask::Whoami(how) => {
            let whoami = api.get(&["whoami"], &[]).await?;
            say(how, &whoami, |out, _| print::whoami(out, api.url(), &whoami))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn connect(api: &Api, provider: Provider, wait: bool, how: Output) -> Result<ExitCode, Box<dyn Error>> {
    let path = ["oauth", provider.as_str(), "status"];
    let is_connected = |status: &Value| status["connected"] == true;
    let mut status = api.get(&path, &[]).await?;
    if !is_connected(&status) {
        if status["can_connect"] == false {
            let prefix = provider.as_str().to_uppercase();
            let set = format!("set {prefix}_CLIENT_ID and {prefix}_CLIENT_SECRET for the server, and restart it");
            eprintln!("{} has no OAuth client of {provider}: {set}.", api.url());
            say(how, &status, |out, _| print::connection(out, &status))?;
            return Ok(ExitCode::from(NOT_DONE));
        }
        // Only the page can start it, since the consent is bound to the browser that started it.
        eprintln!("Open {}/dev/action-runner.html and connect {provider} there.", api.url());
        if wait {
            let connected = async {
                loop {
                    match api.get(&path, &[]).await {
                        Ok(status) if is_connected(&status) => return Ok(status),
                        Err(error) if !error.is_retriable() => return Err(error),
                        _ => time::sleep(POLL_EVERY).await,
                    }
                }
            };
            status = waiting("waiting for the account", connected).await?;
        }
    }
    say(how, &status, |out, _| print::connection(out, &status))?;
    Ok(ExitCode::from(if is_connected(&status) { 0 } else { NOT_DONE }))
}

/// Whether a server runs there. It is on this machine, or a person named it, so it answers soon.
pub async fn runs(api: &Api) -> bool {
    let answer = time::timeout(Duration::from_secs(1), api.get(&["healthz"], &[])).await;
    matches!(answer, Ok(Ok(health)) if health["status"] == "ok")
}

/// Asks nothing of the stores: what watches a container restarts it if this fails, and that mends no store.
async fn health(api: &Api) -> Result<ExitCode, Box<dyn Error>> {
    match time::timeout(HEALTH_TIMEOUT, api.get(&["healthz"], &[])).await {
        Ok(Ok(health)) if health["status"] == "ok" => {
            println!("{} runs", api.url());
            Ok(ExitCode::SUCCESS)
        }
        Ok(Ok(_)) => Err(format!("{} is no orchestrator", api.url()).into()),
        Ok(Err(error)) => Err(error.to_string().replace("\n  ", "; ").into()),
        Err(_) => Err(format!("{} does not answer within {} s", api.url(), HEALTH_TIMEOUT.as_secs()).into()),
    }
}

/// Awaits something, and shows the seconds at a terminal.
async fn waiting<T>(what: &str, done: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return done.await;
    }
    let mut done = std::pin::pin!(done);
    let mut seconds = 0;
    loop {
        eprint!("\r{what}… {seconds} s");
        if let Ok(value) = time::timeout(Duration::from_secs(1), &mut done).await {
            eprint!("\r\x1b[K");
            return value;
        }
        seconds += 1;
    }
}

/// Prints an answer of the API: its JSON, or for people. Colours are left out where NO_COLOR is set or nobody looks.
fn say(
    how: Output,
    json: &dyn Display,
    print: impl FnOnce(&mut dyn io::Write, Reader) -> io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    use io::Write as _;

    let mut out = anstream::stdout().lock();
    if how.json {
        writeln!(out, "{json:#}")?;
    } else {
        print(&mut out, Reader::of_output())?;
    }
    Ok(out.flush()?)
}
