//! `orchestrator reseal`: the last step before a key is taken out of `TOKEN_KEY`.

use std::{error::Error, process::ExitCode};

use app::Config;
use engine::reseal::Counts;

/// Seals the ledger's texts again, and prints for each purpose how many were sealed again, how many are sealed with the
/// first key now, and how many open with no key. The exit code is 1 if there are any of the last.
pub async fn run(config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    if config.sealing.is_kms() {
        let says = "KMS_KEY_ID: there is nothing to seal again. KMS rotates its material by itself, and opens what the key \
                    sealed before for as long as the key exists";
        return Err(says.into());
    }
    let resealed = app::engine(config)?.resealer.reseal().await?;
    println!("purpose\tsealed again\twith the first key now\tunreadable");
    for (purpose, Counts { resealed, current, unreadable }) in &resealed.texts {
        println!("{}\t{resealed}\t{current}\t{unreadable}", purpose.as_str());
    }
    if resealed.unreadable() == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "{} texts open with none of the keys in TOKEN_KEY. Is an older key missing there?",
        resealed.unreadable()
    );
    Ok(ExitCode::FAILURE)
}
