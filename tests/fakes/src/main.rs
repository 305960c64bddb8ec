//! `fakes [--port N] [--model-key KEY]`: the fakes as a process of their own. Prints the base URL on one
//! line, and with a key the model's, which takes it, on another.

use std::process::ExitCode;

use fakes::{Fakes, model::FakeModel};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut port, mut model) = (Some(0), None);
    for option in arguments.chunks(2) {
        match option {
            [name, value] if name == "--port" => port = value.parse().ok(),
            [name, key] if name == "--model-key" => model = Some(FakeModel::new(key)),
            _ => port = None,
        }
    }
    let Some(port) = port else {
        eprintln!("usage: fakes [--port N] [--model-key KEY]");
        return ExitCode::from(2);
    };
    let served = async {
        let fakes = Fakes::start_on(port).await?;
        println!("{}", fakes.base_url());
        if let Some(model) = model {
            println!("{}", model.serve().await);
        }
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
