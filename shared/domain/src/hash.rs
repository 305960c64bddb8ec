//! SHA-256 hashes of payloads, actors and texts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::{ActionId, ActorId, Address, Provider, WorkspaceId};

/// The SHA-256 of what a job does, in lower-case hex; two requests with one idempotency key must agree on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadHash(String);

impl PayloadHash {
    /// The hash in lower-case hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of whom an action reaches with which content, in lower-case hex: two jobs with the same one are duplicates,
/// whichever accounts carry them out, and in whatever order they name people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentHash(String);

impl ContentHash {
    /// The hash of the recipients, and of the params that name none of them.
    pub fn of<'a>(recipients: impl Iterator<Item = &'a Address>, content: &Value) -> Self {
        let recipients: BTreeSet<String> = recipients.map(|one| one.addr_spec().to_ascii_lowercase()).collect();
        let mut content = json!({ "recipients": recipients, "content": content });
        content.sort_all_objects();
        Self(sha256_hex(content.to_string().as_bytes()))
    }

    /// The hash in lower-case hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of `workspace:actor` in lower-case hex: who it was, for those who know whom to look for. An
/// actor's id is often an address, so this is what records hold of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActorHash(String);

impl ActorHash {
    /// The hash of an actor of a workspace.
    pub fn of(workspace: &WorkspaceId, actor: &ActorId) -> Self {
        Self(sha256_hex(format!("{workspace}:{actor}").as_bytes()))
    }

    /// The hash in lower-case hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hashes an action with its canonical params (as the action's parser gives them back, so that one
/// address as a string and as a list of one are the same).
///
/// Neither the order of object keys nor white space counts.
pub fn payload_hash(provider: Provider, action: &ActionId, params: &Value) -> PayloadHash {
    let mut payload = json!({ "provider": provider, "action": action, "params": params });
    payload.sort_all_objects();
    PayloadHash(sha256_hex(payload.to_string().as_bytes()))
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    sha256(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a String does not fail");
        hex
    })
}

/// A UUID made of a SHA-256 (RFC 9562, version 8): the same bytes always give the same id.
pub fn hashed_uuid(bytes: &[u8]) -> Uuid {
    let hash = sha256(bytes);
    let (first, _) = hash.split_first_chunk().expect("a SHA-256 has 32 bytes");
    Builder::from_custom_bytes(*first).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_count_and_content_does() {
        let id: ActionId = "gmail.send".parse().unwrap();
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let hash = |text: &str| payload_hash(Provider::Google, &id, &value(text));
        assert_eq!(hash(r#"{"subject":"a","text":"b"}"#), hash(r#"{ "text":"b",  "subject":"a" }"#));
        assert_ne!(hash(r#"{"subject":"a","text":"b"}"#), hash(r#"{"subject":"a","text":"c"}"#));
    }

    #[test]
    fn hex_is_the_standard_one() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
