//! Whether a short-term API key is one that Amazon Bedrock would take: a presigned request, whose signature is made again
//! here from the credentials (AWS's "Create a signed AWS API request").

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use ring::hmac;
use sha2::{Digest as _, Sha256};

/// The only credentials that are known here, and the region whose endpoint this is.
pub const ACCESS_KEY_ID: &str = "ASIAIOSFODNN7EXAMPLE";
/// The session that they belong to.
pub const SESSION_TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE//canary+session==";
/// Where the endpoint is.
pub const REGION: &str = "eu-central-1";

/// Whether this is a key by the credentials with this secret, and good now.
pub(super) fn knows(secret: &str, authorization: &str) -> bool {
    is_good(secret, authorization).unwrap_or(false)
}

fn is_good(secret: &str, authorization: &str) -> Option<bool> {
    let decoded = STANDARD.decode(authorization.strip_prefix("Bearer bedrock-api-key-")?).ok()?;
    let presigned = String::from_utf8(decoded).ok()?;
    let query = presigned.strip_prefix("bedrock.amazonaws.com/?")?.strip_suffix("&Version=1")?;
    let fields: BTreeMap<&str, &str> = query.split('&').filter_map(|field| field.split_once('=')).collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    let time = field("X-Amz-Date");
    let scope = format!("{}/{REGION}/bedrock/aws4_request", time.get(..8)?);
    let wanted = [
        ("Action", "CallWithBearerToken"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-SignedHeaders", "host"),
        ("X-Amz-Credential", &encoded(&format!("{ACCESS_KEY_ID}/{scope}"))),
        ("X-Amz-Security-Token", &encoded(SESSION_TOKEN)),
    ];
    let made = DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let lives: u64 = field("X-Amz-Expires").parse().ok()?;
    #[expect(clippy::disallowed_methods, reason = "the program under test goes by this clock, too")]
    let age = Timestamp::now().duration_since(made).as_secs();
    let is_now =
        (-60..i64::try_from(lives).ok()?).contains(&age) && Duration::from_secs(lives) <= Duration::from_hours(12);

    // All but the signature, by name.
    let signed = fields.iter().filter(|(name, _)| **name != "X-Amz-Signature");
    let signed: Vec<String> = signed.map(|(name, value)| format!("{name}={value}")).collect();
    let canonical = format!("POST\n/\n{}\nhost:bedrock.amazonaws.com\n\nhost\n{}", signed.join("&"), hash(""));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(&canonical));
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    let is_signed = field("X-Amz-Signature") == hex(&mac(&key, &to_sign));
    Some(is_now && is_signed && fields.len() == 8 && wanted.iter().all(|(name, value)| field(name) == *value))
}

/// As a value in a query.
fn encoded(text: &str) -> String {
    let keeps = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if keeps(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
