use std::sync::Arc;

use engine::Engine;

use crate::door::Door;

/// What every handler may use.
#[derive(Clone)]
pub struct Web {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// Who may come in.
    pub door: Arc<Door>,
    /// This API's own address, without a slash at its end.
    pub public_url: Arc<str>,
    /// Whether there is the page under `/dev`.
    pub dev_ui: bool,
    /// The pages of other origins that may call this API with a key.
    pub origins: Arc<[String]>,
}
