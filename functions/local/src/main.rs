//! The program `orchestrator`: API, page and worker in one process, and the command line.

mod ask;
mod audit;
mod connections;
mod eval;
mod mcp;
mod operate;
mod replay;
mod serve;

use std::{
    error::Error,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use app::{
    Config, Runtime,
    operator::{self, Keys, Rollout, Workspaces},
};
use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use clap_complete::Shell;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns a sentence into typed actions and carries out each one once.
#[derive(Parser)]
#[command(name = "orchestrator", version, after_help = ask::AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    server: ask::Server,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Ask(ask::Ask),
    /// Serve agents over standard input and output: an MCP client starts this, and it calls the server at ORCHESTRATOR_URL
    /// with the API key in ORCHESTRATOR_KEY.
    Mcp,
    #[command(flatten)]
    Run(Run),
    /// Print the completions of a shell, to be read by it: `source <(orchestrator completions bash)`.
    Completions { shell: Shell },
    /// Write the manual's pages into a folder.
    #[command(hide = true)]
    Man { folder: PathBuf },
}

/// Commands that run in this process, with the configuration of its environment.
#[derive(Subcommand)]
enum Run {
    /// Serve the API and the page, and work jobs. This is the default, unless a server runs already.
    Serve,
    /// Create, list and revoke API keys.
    #[command(subcommand)]
    Keys(Keys),
    /// Plan the prompts of a file and score the plans.
    Eval(eval::Eval),
    /// Show how the current code reads the stored answer of a plan.
    Replay(replay::Replay),
    /// Set and print the share of actors that may use a provider.
    #[command(subcommand)]
    Rollout(Rollout),
    /// Restrict what a workspace may do.
    #[command(subcommand)]
    Workspaces(Workspaces),
    /// Print the audit of a workspace, or check that nobody has changed it.
    Audit(audit::Audit),
    /// Seal everything in the ledger again with the first key of TOKEN_KEY, so that the others can be removed.
    ///
    /// It may be stopped and started again. A server may run at the same time, with the same TOKEN_KEY.
    Reseal,
    /// Work jobs of a shared queue (QUEUE_URL) and ledger (LEDGER_TABLE), without serving the API.
    Worker,
    /// Create the table LEDGER_TABLE as infra/template.yaml does, for a local DynamoDB.
    #[cfg(feature = "aws")]
    CreateTable,
}

fn main() -> ExitCode {
    app::keep_memory_private();
    start(Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("orchestrator: {error}");
        ExitCode::FAILURE
    })
}

fn start(Arguments { server, command }: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        Some(Command::Ask(command)) => runtime.block_on(ask::run(&server.api()?, command)),
        Some(Command::Mcp) => runtime.block_on(mcp::run(server.api()?)),
        Some(Command::Completions { shell }) => completions(shell),
        Some(Command::Man { folder }) => manual(&folder),
        Some(Command::Run(_)) if server.is_named() => {
            let says = "--url and --key are for the commands that call a server; this one works on the ledger of its environment";
            Arguments::command().error(ErrorKind::ArgumentConflict, says).exit()
        }
        Some(Command::Run(command)) => runtime.block_on(run(&Config::from_env(Runtime::Local)?, command)),
        // The server that starts next reports what is wrong with the environment.
        None => match server.api() {
            Ok(api) if runtime.block_on(ask::runs(&api)) => {
                eprintln!("A server runs at {}. These commands call it:\n", api.url());
                Arguments::command().print_help()?;
                Ok(ExitCode::SUCCESS)
            }
            _ => runtime.block_on(run(&Config::from_env(Runtime::Local)?, Run::Serve)),
        },
    }
}

/// Prints through a buffer: the generator panics if its output goes away.
fn completions(shell: Shell) -> Result<ExitCode, Box<dyn Error>> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "orchestrator", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

fn manual(folder: &Path) -> Result<ExitCode, Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Arguments::command(), folder)?;
    Ok(ExitCode::SUCCESS)
}

async fn run(config: &Config, command: Run) -> Result<ExitCode, Box<dyn Error>> {
    telemetry::logs::init(&config.log_filter, config.log_json);
    if let Some(folder) = app::missing_ledger(config).filter(|_| !matches!(command, Run::Serve)) {
        eprintln!(
            "There was no ledger in {}, so a new one is made. A server uses it if it starts with the same folder: set ORCHESTRATOR_DATA.",
            folder.display()
        );
    }
    match command {
        Run::Serve => serve::serve(config).await?,
        Run::Worker => serve::work(config).await?,
        #[cfg(feature = "aws")]
        Run::CreateTable => app::create_table(config).await?,
        Run::Eval(command) => return eval::run(config, command).await,
        Run::Audit(command) => return audit::run(config, command).await,
        Run::Replay(command) => return replay::run(&app::engine(config)?, command).await,
        Run::Keys(command) => return operate::run(config, operator::Command::Keys(command)).await,
        Run::Rollout(command) => return operate::run(config, operator::Command::Rollout(command)).await,
        Run::Workspaces(command) => return operate::run(config, operator::Command::Workspaces(command)).await,
        Run::Reseal => return operate::run(config, operator::Command::Reseal).await,
    }
    Ok(ExitCode::SUCCESS)
}
