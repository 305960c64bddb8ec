//! What is wrong with an input.

use serde::{Deserialize, Serialize};

/// One thing that is wrong with an input: where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// A JSON Pointer (RFC 6901) into the request; empty for the whole of it.
    pub pointer: String,
    /// What to change, for a person.
    pub detail: String,
    /// The same detail, quoting the offending value; for readers allowed to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// What a plan asks a person instead of failing; `Ask::Nothing` leaves the action out. None: the planner's answer is
    /// invalid.
    #[serde(skip)]
    pub ask: Option<Ask>,
}

/// What a person can be asked about invalid params.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Which address is meant, where the value is not one.
    Address,
    /// Who the recipients are, where there are none.
    Recipients,
    /// Which time is meant, where there is none, or it is not one moment.
    Time,
    /// Nothing: the action cannot do this, whatever a person says.
    Nothing,
}

impl Violation {
    /// A violation at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into(), named: None, ask: None }
    }

    /// The violation of a value that is not an address, with its detail for readers allowed to see the value.
    #[must_use]
    pub fn naming(self, named: impl Into<String>) -> Self {
        Self { named: Some(named.into()), ..self.asking(Ask::Address) }
    }

    /// The same violation, with what a plan asks instead of failing.
    #[must_use]
    pub fn asking(self, ask: Ask) -> Self {
        Self { ask: Some(ask), ..self }
    }

    /// The same violation seen from further up: `/to` under `/actions/0/params` is `/actions/0/params/to`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

/// One token of a JSON Pointer, with `~` and `/` escaped (RFC 6901, section 3).
pub fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
