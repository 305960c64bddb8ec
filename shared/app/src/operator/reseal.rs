//! The last step before a key is taken out of `TOKEN_KEY`.

use engine::{
    Engine, Problem, ProblemCode,
    reseal::{Counts, ResealError},
};
use serde_json::json;

use super::Outcome;
use crate::Config;

/// Seals the ledger's texts again: for each purpose, how many were sealed again, how many are sealed with the first key
/// now, and how many open with no key; then `ok` is false.
pub(super) async fn run(config: &Config, engine: &Engine) -> Result<Outcome, Problem> {
    if config.sealing.is_kms() {
        let says = "KMS_KEY_ID: there is nothing to seal again. KMS rotates its material by itself, and opens what the key \
                    sealed before for as long as the key exists";
        return Err(Problem::new(ProblemCode::InvalidRequest, says));
    }
    let resealed = engine.resealer.reseal().await.map_err(|error| match error {
        ResealError::Ledger(error) => Problem::from(error),
        ResealError::Vault(error) => error.into(),
    })?;
    let rows = resealed.texts.iter().map(|(purpose, Counts { resealed, current, unreadable })| {
        json!({ "purpose": purpose.as_str(), "resealed": resealed, "current": current, "unreadable": unreadable })
    });
    let outcome = Outcome::of(rows.collect());
    let unreadable = resealed.unreadable();
    if unreadable == 0 {
        return Ok(outcome);
    }
    let note = format!("{unreadable} texts open with none of the keys in TOKEN_KEY. Is an older key missing there?");
    Ok(Outcome { ok: false, notes: vec![note], ..outcome })
}
