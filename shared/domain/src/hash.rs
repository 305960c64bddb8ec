//! SHA-256 hashes of payloads, actors and texts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::{ActionId, ActorId, Address, Provider, WorkspaceId};

macro_rules! hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The hash in lower-case hex.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

hash! {
    /// The SHA-256 of what a job does, in lower-case hex; two requests with one idempotency key must agree on it.
    PayloadHash
}

hash! {
    /// The SHA-256 of whom an action reaches with which content, in lower-case hex: two jobs with the same one are duplicates,
    /// whichever accounts carry them out, and in whatever order they name people.
    ContentHash
}

hash! {
    /// The SHA-256 of `workspace:actor` in lower-case hex: who it was, for those who know whom to look for. An
    /// actor's id is often an address, so this is what records hold of it.
    ActorHash
}

impl ContentHash {
    /// The hash of the recipients, and of the params without the fields that name them.
    pub fn of<'a>(
        recipients: impl Iterator<Item = &'a Address>,
        params: &Value,
        names_them: impl Fn(&str) -> bool,
    ) -> Self {
        let recipients = recipients.map(|one| one.addr_spec().to_ascii_lowercase()).collect();
        Self(hash_json(&Content { content: Sorted(params, &names_them), recipients }))
    }
}

impl ActorHash {
    /// The hash of an actor of a workspace.
    pub fn of(workspace: &WorkspaceId, actor: &ActorId) -> Self {
        Self(sha256_hex(format!("{workspace}:{actor}").as_bytes()))
    }
}

/// Serde of a hash in base64url, which is a third shorter than hex. Any other text stays as it is, and hex reads back as well.
pub(crate) mod brief {
    use std::borrow::Cow;

    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de::IntoDeserializer as _};

    pub fn serialize<S: Serializer>(hash: &impl AsRef<str>, serializer: S) -> Result<S::Ok, S::Error> {
        let hash = hash.as_ref();
        let mut text = [0; 43];
        let written = bytes(hash).and_then(|bytes| URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).ok());
        serializer.serialize_str(written.and_then(|_| str::from_utf8(&text).ok()).unwrap_or(hash))
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(hex(Cow::deserialize(deserializer)?).into_deserializer())
    }

    /// The same of a hash that may be missing.
    pub mod option {
        use std::borrow::Cow;

        use serde::{Deserialize, Deserializer, Serializer, de::IntoDeserializer as _};

        use super::hex;

        #[expect(clippy::ref_option, reason = "serde passes the field")]
        pub fn serialize<S: Serializer>(hash: &Option<impl AsRef<str>>, serializer: S) -> Result<S::Ok, S::Error> {
            match hash {
                Some(hash) => super::serialize(hash, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<T>, D::Error> {
            let text: Option<Cow<'_, str>> = Option::deserialize(deserializer)?;
            text.map(|text| T::deserialize(hex(text).into_deserializer())).transpose()
        }
    }

    /// The bytes of a hash in lower-case hex.
    fn bytes(hex: &str) -> Option<[u8; 32]> {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
        if pairs.len() != bytes.len() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = (digit(*high)? << 4) | digit(*low)?;
        }
        Some(bytes)
    }

    fn hex(text: Cow<'_, str>) -> String {
        match URL_SAFE_NO_PAD.decode(&*text) {
            Ok(bytes) if bytes.len() == 32 => super::hex(&bytes),
            _ => text.into_owned(),
        }
    }
}

/// Hashes an action with its canonical params (as the action's parser gives them back, so that one
/// address as a string and as a list of one are the same).
///
/// Neither the order of object keys nor white space counts.
pub fn payload_hash(provider: Provider, action: &ActionId, params: &Value) -> PayloadHash {
    PayloadHash(hash_json(&Payload { action, params: Sorted::whole(params), provider }))
}

/// What a [`PayloadHash`] is the hash of, its keys in order.
#[derive(Serialize)]
struct Payload<'a> {
    action: &'a ActionId,
    params: Sorted<'a>,
    provider: Provider,
}

/// What a [`ContentHash`] is the hash of, its keys in order.
#[derive(Serialize)]
struct Content<'a> {
    content: Sorted<'a>,
    recipients: BTreeSet<String>,
}

/// A value with the keys of all its objects in order, and without some of its own fields.
struct Sorted<'a>(&'a Value, &'a dyn Fn(&str) -> bool);

impl<'a> Sorted<'a> {
    fn whole(value: &'a Value) -> Self {
        Self(value, &|_| false)
    }
}

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, is_left_out) = self;
        match value {
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().filter(|(name, _)| !is_left_out(name)).collect();
                fields.sort_unstable_by_key(|(name, _)| *name);
                serializer.collect_map(fields.into_iter().map(|(name, value)| (name, Sorted::whole(value))))
            }
            Value::Array(values) => serializer.collect_seq(values.iter().map(Sorted::whole)),
            value => value.serialize(serializer),
        }
    }
}

fn hash_json(value: &impl Serialize) -> String {
    sha256_hex(&serde_json::to_vec(value).expect("JSON in memory is always written"))
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
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
    fn what_is_hashed_never_changes() {
        let params: Value = serde_json::from_str(r#"{"to":"A@example.com","b":[{"d":1,"c":2}],"a":"x"}"#).unwrap();
        let hash = payload_hash(Provider::Google, &"gmail.send".parse().unwrap(), &params);
        let payload = r#"{"action":"gmail.send","params":{"a":"x","b":[{"c":2,"d":1}],"to":"A@example.com"},"provider":"google"}"#;
        assert_eq!(hash.as_str(), sha256_hex(payload.as_bytes()));
        let recipients: Vec<Address> = ["B@example.com", "A@example.com"].map(|one| one.parse().unwrap()).into();
        let hash = ContentHash::of(recipients.iter(), &params, |field| field == "to");
        let content = r#"{"content":{"a":"x","b":[{"c":2,"d":1}]},"recipients":["a@example.com","b@example.com"]}"#;
        assert_eq!(hash.as_str(), sha256_hex(content.as_bytes()));
    }

    #[test]
    fn hex_is_the_standard_one() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
