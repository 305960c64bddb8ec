//! `fakes [--port N]`: the fakes as a process of their own. Prints the base URL on one line.

use std::process::ExitCode;

use fakes::Fakes;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Some(0),
        ["--port", port] => port.parse().ok(),
        _ => None,
    };
    let Some(port) = port else {
        eprintln!("usage: fakes [--port N]");
        return ExitCode::from(2);
    };
    let served = async {
        let fakes = Fakes::start_on(port).await?;
        println!("{}", fakes.base_url());
        fakes.ended().await
    };
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fakes: {error}");
            ExitCode::FAILURE
        }
    }
}
