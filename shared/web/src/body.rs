//! Reads a request's body and query strictly: JSON in UTF-8, of the right type, not too large, not
//! too deep, no key twice, no field that is not known.

use std::fmt;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, header, request::Parts},
};
use domain::{Violation, pointer_token};
use engine::{Object, Problem, ProblemCode};
use http_body_util::BodyExt;
use serde::{
    Deserialize,
    de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_path_to_error::Segment as Step;

use crate::problem::Refused;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// So much of a body that is too large is read and dropped: a client that is still writing when the
/// connection closes does not see its answer.
const MAX_DRAINED: usize = 16 * MAX_BODY;
/// The deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 32;

/// A JSON body of type `T`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        if !is_json(request.headers()) {
            return Err(not_json().into());
        }
        Ok(Self(read(&collect(request.into_body()).await?)?))
    }
}

/// The whole body, if it is not too large.
async fn collect(mut body: Body) -> Result<Vec<u8>, Problem> {
    let (mut kept, mut seen) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await.filter(|_| seen <= MAX_DRAINED) {
        let frame =
            frame.map_err(|_| Problem::new(ProblemCode::MalformedJson, "the body ended before it was whole"))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= MAX_BODY {
            kept.extend_from_slice(&data);
        }
    }
    if seen > MAX_BODY {
        return Err(Problem::new(ProblemCode::PayloadTooLarge, "the body is larger than 1 MiB"));
    }
    Ok(kept)
}

/// One segment of the path, whatever it is.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        // What is not UTF-8 names nothing here, like any other text that names nothing.
        let segment = path.ok().and_then(|path| path.iter().next().map(|(_, value)| value.to_owned()));
        Ok(Self(segment.unwrap_or_default()))
    }
}

/// A query of type `T`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                // The text after the last colon says which field is wrong, and how.
                let detail = rejection.body_text();
                let detail = detail.strip_prefix("Failed to deserialize query string: ").unwrap_or(&detail);
                let field = detail.split_once(": ").map_or("", |(field, _)| field);
                let pointer = if field.is_empty() { String::new() } else { format!("/{}", pointer_token(field)) };
                Err(Problem::invalid(&pointer, format!("in the query: {detail}")).into())
            }
        }
    }
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(header::HeaderValue::to_str) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| {
        let charset = parameter.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("charset"));
        charset.is_none_or(|(_, charset)| charset.trim_matches('"').eq_ignore_ascii_case("utf-8"))
    })
}

pub(crate) fn not_json() -> Problem {
    Problem::new(ProblemCode::UnsupportedMediaType, "send the body as application/json in UTF-8")
}

/// Reads a body as `T`, with a pointer to what does not fit.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let value = parse(bytes)?;
    serde_path_to_error::deserialize(value).map(|Object(body)| body).map_err(|error| {
        let pointer: String = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                Step::Seq { index } => Some(format!("/{index}")),
                Step::Map { key } => Some(format!("/{}", pointer_token(key))),
                Step::Enum { .. } | Step::Unknown => None,
            })
            .collect();
        let detail = unquoted(&error.into_inner().to_string());
        Problem::new(ProblemCode::InvalidRequest, format!("the request is not of its form: {detail}"))
            .with_errors(vec![Violation::new(pointer, detail)])
    })
}

/// What serde says, without the value that it quotes: the place says which one it is.
fn unquoted(detail: &str) -> String {
    for (begin, end, instead) in
        [(": string \"", "\", expected ", ": a string"), (" variant `", "`, expected ", " value")]
    {
        if let (Some(from), Some(to)) = (detail.find(begin), detail.rfind(end)) {
            let rest = end.trim_start_matches(['"', '`']).len();
            return format!("{}{instead}{}", &detail[..from], &detail[to + end.len() - rest..]);
        }
    }
    detail.to_owned()
}

fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        // A rule of ours was broken (depth, a key twice), or JSON's own.
        let code = if error.is_data() { ProblemCode::InvalidRequest } else { ProblemCode::MalformedJson };
        Problem::new(code, error.to_string()).with_errors(vec![Violation::new("", error.to_string())])
    })
}

/// Builds a [`Value`], and counts depth and keys on the way.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("the body is nested deeper than {MAX_DEPTH}")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key \"{}\" stands twice in an object", key.escape_debug())));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// An empty object, for requests whose body has nothing to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn code(text: &str) -> Option<ProblemCode> {
        parse(text.as_bytes()).err().map(|problem| problem.code)
    }

    #[test]
    fn what_is_not_json_is_malformed_and_what_breaks_our_rules_invalid() {
        for text in ["", "{", "nul", "{} {}", r#"{"a":1,}"#, "\u{feff}{}", r#""\ud800""#, "1e999"] {
            assert_eq!(code(text), Some(ProblemCode::MalformedJson), "{text}");
        }
        assert_eq!(code(r#"{"a":{"b":1,"b":2}}"#), Some(ProblemCode::InvalidRequest));
        assert_eq!(parse(b"\"\xff\"").unwrap_err().code, ProblemCode::MalformedJson);
    }

    #[test]
    fn thirty_two_levels_are_the_deepest() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(code(&nested(32)), None);
        assert_eq!(code(&nested(33)), Some(ProblemCode::InvalidRequest));
        // serde_json itself gives up at 128.
        assert!(code(&nested(100_000)).is_some());
    }

    #[test]
    fn a_type_that_does_not_fit_has_a_pointer() {
        #[derive(Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        struct Inner {
            #[expect(dead_code, reason = "only its type matters")]
            b: Vec<u8>,
        }
        #[derive(Deserialize, Debug)]
        struct Outer {
            #[expect(dead_code, reason = "only its type matters")]
            a: Inner,
        }
        let pointer = |text: &str| read::<Outer>(text.as_bytes()).unwrap_err().errors[0].pointer.clone();
        assert_eq!(pointer(r#"{"a":{"b":[1,"x"]}}"#), "/a/b/1");
        assert_eq!(pointer(r#"{"a":{"b":[],"c/d":1}}"#), "/a/c~1d");
        assert_eq!(pointer(r"{}"), "");
        assert_eq!(pointer(r#"[{"b":[1]}]"#), "");
    }

    #[test]
    fn a_value_that_does_not_fit_is_not_repeated() {
        let text = r#"{"n": "secret\", expected secret"}"#;
        let problem = read::<BTreeMap<String, u8>>(text.as_bytes()).unwrap_err();
        let said = format!("{problem:?}");
        assert!(said.contains("invalid type: a string, expected u8") && !said.contains("secret"), "{said}");
        assert_eq!(unquoted("unknown variant `a`, expected `b`"), "unknown value, expected `b`");
        assert_eq!(unquoted("missing field `b`"), "missing field `b`");
    }

    #[test]
    fn json_is_json_with_utf_8_or_no_charset() {
        let is = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        assert!(
            is("application/json") && is("Application/JSON; charset=UTF-8") && is("application/json;charset=\"utf-8\"")
        );
        assert!(!is("text/plain") && !is("application/json; charset=utf-16") && !is("application/jsonx"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
