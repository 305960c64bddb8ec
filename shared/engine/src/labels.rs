//! The domain's names as labels of metrics.

use domain::{ActionId, Provider};
use telemetry::labels::{Action, Provider as Label};

/// The label of a provider.
pub const fn provider(provider: Provider) -> Label {
    match provider {
        Provider::Google => Label::Google,
        Provider::Microsoft => Label::Microsoft,
    }
}

/// The label of an action; `other` if the catalogue does not hold it any more.
pub(crate) fn action(id: &ActionId) -> Action {
    Action::named(id.as_str())
}
