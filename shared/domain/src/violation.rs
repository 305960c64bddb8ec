use serde::{Deserialize, Serialize};

/// One thing that is wrong with an input: where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// A JSON Pointer (RFC 6901) into the request; empty for the whole of it.
    pub pointer: String,
    /// What to change, for a person.
    pub detail: String,
    /// The same with the text it is about, for who is to see that text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
}

impl Violation {
    /// A violation at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into(), named: None }
    }

    /// The same violation with its detail for who is to see what it is about.
    #[must_use]
    pub fn naming(mut self, named: impl Into<String>) -> Self {
        self.named = Some(named.into());
        self
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
