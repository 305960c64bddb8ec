//! API keys.

use std::{collections::BTreeSet, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ActorHash, Allowlist, AuditBy, AuditEntry, AuditEvent, InvalidId, KeyId, KeyName, Scope, WorkspaceId, hashed_uuid,
    sha256_hex,
};

/// Lengths of a key's parts. 40 characters from an alphabet of 62 have 238 bits.
pub(crate) const ID: usize = 12;
const RANDOM: usize = 40;
const CHECKSUM: usize = 6;

/// An API key as its owner has it: `orc_<id>_<secret>`. It is never stored, and printed once.
///
/// Both parts are alphanumeric. The secret ends in a checksum of the rest, so a mistyped key, or a scanner's find in a
/// repository, can be checked without a store.
pub struct ApiKey {
    id: KeyId,
    secret: String,
}

/// The ledger's record of an API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key's public part.
    pub key_id: KeyId,
    /// The key's workspace.
    pub workspace_id: WorkspaceId,
    /// The key's permissions.
    pub scopes: BTreeSet<Scope>,
    /// The only actor that it may act for; none for any actor.
    pub bound_actor: Option<ActorHash>,
    /// The actions that it may run, among those of its workspace; all of those if unset. It never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allowlist>,
    /// The SHA-256 of the secret, in lower-case hex. A random secret needs no slower hash.
    pub secret_sha256: String,
    /// When the key was created.
    pub created_at: Timestamp,
    /// When the key was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When the key expires; a key without an end is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<KeyName>,
    /// An agent has it: its jobs are held, and it cannot approve.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub agent: bool,
    /// Its sends end after their drafts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draft_only: bool,
}

impl ApiKey {
    /// The key of these random bytes.
    pub fn of(random: &[u8; 64]) -> Self {
        const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        // 256 is not a multiple of 62, so the first characters are slightly more frequent. Each character loses less than
        // 0.04 bits.
        let mut text = random.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        let id: String = text.by_ref().take(ID).collect();
        let random: String = text.take(RANDOM).collect();
        let secret = format!("{random}{}", checksum(&id, &random));
        let id = id.parse().expect("12 letters and digits are a key's id");
        Self { id, secret }
    }

    /// The public part.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The hash that the ledger stores.
    pub fn secret_sha256(&self) -> String {
        sha256_hex(self.secret.as_bytes())
    }

    /// The whole key, to be shown once.
    pub fn reveal(&self) -> String {
        format!("orc_{}_{}", self.id, self.secret)
    }
}

impl KeyRecord {
    /// The permissions that it gives. An agent's key never approves, whatever its record says.
    pub fn usable_scopes(&self) -> BTreeSet<Scope> {
        self.scopes.iter().copied().filter(|scope| !(self.agent && *scope == Scope::ActionsApprove)).collect()
    }

    /// What sets it apart from other keys, by the names of the command line: `agent`, `draft-only`.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        [(self.agent, "agent"), (self.draft_only, "draft-only")].into_iter().filter_map(|(is, name)| is.then_some(name))
    }

    /// The audit entry of its creation, or of its end once it is revoked, which the ledger writes in the same transaction.
    pub fn audit(&self) -> AuditEntry {
        let (event, at) =
            self.revoked_at.map_or((AuditEvent::KeyCreated, self.created_at), |at| (AuditEvent::KeyRevoked, at));
        let id = hashed_uuid(format!("{}\n{event}", self.key_id).as_bytes());
        let mut entry = AuditEntry::new(id, Some(self.workspace_id.clone()), event, AuditBy::CommandLine, at);
        (entry.key_id, entry.actor) = (Some(self.key_id.clone()), self.bound_actor.clone());
        if self.revoked_at.is_none() {
            let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
            let allow = self.allow.as_ref().map(ToString::to_string).into_iter();
            let parts = std::iter::once(scopes.join(",")).chain(allow).chain(self.kinds().map(str::to_owned));
            entry.value = Some(parts.collect::<Vec<_>>().join("; "));
        }
        entry
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "orc_{}_…", self.id)
    }
}

impl FromStr for ApiKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId("an API key is orc_, its id, _ and its secret, whose end is a checksum");
        let (id, secret) = text.strip_prefix("orc_").and_then(|rest| rest.split_once('_')).ok_or_else(invalid)?;
        let id: KeyId = id.parse()?;
        let plain = secret.len() == RANDOM + CHECKSUM && secret.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain || checksum(id.as_str(), &secret[..RANDOM]) != secret[RANDOM..] {
            return Err(invalid());
        }
        Ok(Self { id, secret: secret.to_owned() })
    }
}

/// The first 24 bits of a SHA-256, in hex.
fn checksum(id: &str, random: &str) -> String {
    sha256_hex(format!("orc_{id}_{random}").as_bytes())[..CHECKSUM].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_reads_back_and_a_changed_one_does_not(random in prop::array::uniform32(any::<u8>()), at in 0_usize..63) {
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(&random);
            bytes[32..].copy_from_slice(&random);
            let key = ApiKey::of(&bytes);
            let text = key.reveal();
            let again: ApiKey = text.parse().unwrap();
            prop_assert_eq!((again.id(), again.secret_sha256()), (key.id(), key.secret_sha256()));
            let mut changed = text.into_bytes();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            prop_assert!(String::from_utf8(changed).unwrap().parse::<ApiKey>().is_err());
        }

        #[test]
        fn any_text_is_a_key_or_refused(text in "\\PC{0,80}|orc_[a-zA-Z0-9é]{10,14}_[a-zA-Z0-9é]{40,50}") {
            let _ = text.parse::<ApiKey>();
        }
    }

    #[test]
    fn a_key_from_before_there_were_ends_has_none() {
        let before = r#"{ "key_id": "aB3dE6gH9jK2", "workspace_id": "acme", "scopes": ["actions:preview"],
            "bound_actor": null, "secret_sha256": "00", "created_at": "2026-01-01T00:00:00Z", "revoked_at": null }"#;
        let key: KeyRecord = serde_json::from_str(before).unwrap();
        assert_eq!((key.expires_at, &key.name, key.agent, key.draft_only), (None, &None, false, false));
        assert_eq!(key.kinds().count(), 0);
    }

    #[test]
    fn an_agents_key_does_not_approve_whatever_its_record_says() {
        let record = r#"{ "key_id": "aB3dE6gH9jK2", "workspace_id": "acme", "secret_sha256": "00", "agent": true,
            "scopes": ["actions:preview", "actions:approve"], "bound_actor": null, "revoked_at": null,
            "created_at": "2026-01-01T00:00:00Z" }"#;
        let agents: KeyRecord = serde_json::from_str(record).unwrap();
        assert_eq!(agents.usable_scopes(), [Scope::ActionsPreview].into());
        let persons = KeyRecord { agent: false, draft_only: true, ..agents.clone() };
        assert_eq!(persons.usable_scopes(), [Scope::ActionsPreview, Scope::ActionsApprove].into());
        let told = |key: &KeyRecord| key.audit().value.unwrap();
        assert_eq!(told(&agents), "actions:preview,actions:approve; agent");
        assert_eq!(told(&persons), "actions:preview,actions:approve; draft-only");
    }

    #[test]
    fn a_key_does_not_print_its_secret() {
        let key = ApiKey::of(&[7; 64]);
        assert_eq!(format!("{key:?}"), format!("orc_{}_…", key.id()));
    }
}
