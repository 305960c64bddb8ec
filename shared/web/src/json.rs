//! Reads JSON strictly, then as a type. A mismatch is reported with a JSON Pointer and what belongs there, in our own
//! words, and never quotes the value that was sent.

use std::{fmt, iter};

use domain::{Violation, pointer_token};
use engine::{Problem, ProblemCode};
use serde::{
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Number, Value};
use serde_path_to_error::Segment;

/// The deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 32;

/// Reads a body as `T`: JSON in UTF-8, not too deep, no key twice, no unknown field.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    decode(Decoder { value: parse(bytes)?, query: false })
}

/// Reads a value that was read before as `T`.
pub(crate) fn read_value<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    decode(Decoder { value, query: false })
}

/// Reads the parameters of a query as `T`.
pub(crate) fn read_query<T: DeserializeOwned>(parameters: Vec<(String, String)>) -> Result<T, Problem> {
    let value = |text| Decoder { value: Value::String(text), query: true };
    decode(MapDeserializer::new(parameters.into_iter().map(|(name, text)| (name, value(text)))))
}

fn decode<'de, T: DeserializeOwned>(deserializer: impl Deserializer<'de, Error = Mismatch>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let token = |segment: &Segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", pointer_token(key)),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        };
        let pointer: String = error.path().iter().map(token).collect();
        let Mismatch(detail) = error.into_inner();
        let place = if pointer.is_empty() { "the request" } else { &pointer };
        Problem::new(ProblemCode::InvalidRequest, format!("{place}: {detail}"))
            .with_errors(vec![Violation::new(pointer, detail)])
    })
}

/// What belongs in a place whose value does not fit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Mismatch(String);

impl serde::de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("must be {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("must be {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("must be one of: {}", expected.join(", ")))
    }
}

type Names = &'static [&'static str];

/// A value to read as a type. In a query every value is text, so numbers are parsed.
struct Decoder {
    value: Value,
    query: bool,
}

impl IntoDeserializer<'_, Mismatch> for Decoder {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Decoder {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let query = self.query;
        let decoder = |value| Self { value, query };
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(decoder))),
            Value::Object(fields) => {
                visitor.visit_map(MapDeserializer::new(fields.into_iter().map(|(key, value)| (key, decoder(value)))))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match &self.value {
            Value::String(text) if self.query => {
                visitor.visit_u64(text.parse().map_err(|_| Mismatch("must be a whole number".to_owned()))?)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    /// Derived types would also take an array of their fields' values.
    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: Names, visitor: V) -> Result<V::Value, Mismatch> {
        if self.value.is_object() {
            self.deserialize_any(visitor)
        } else {
            Err(Mismatch("must be an object".to_owned()))
        }
    }

    /// Derived enums would also take an object with one field.
    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: Names, visitor: V) -> Result<V::Value, Mismatch> {
        match self.value {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(Mismatch("must be a string".to_owned())),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any newtype_struct
    }
}

fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    // A byte order mark may be ignored (RFC 8259, section 8.1).
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(MAX_DEPTH).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        // A data error is one of the rules below: depth or a repeated key.
        let code = if error.is_data() { ProblemCode::InvalidRequest } else { ProblemCode::MalformedJson };
        Problem::new(code, error.to_string()).with_errors(vec![Violation::new("", error.to_string())])
    })
}

/// Builds a [`Value`], and checks on the way that no key comes twice and that it is at most this deep.
#[derive(Clone, Copy)]
struct Strict(usize);

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let too_deep = || E::custom(format!("the body is nested deeper than {MAX_DEPTH} levels"));
        self.0.checked_sub(1).map(Self).ok_or_else(too_deep)
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
        iter::from_fn(|| access.next_element_seed(inner).transpose()).collect()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if object.contains_key(&key) {
                let detail = format!("the key \"{}\" appears twice in one object", key.escape_debug());
                return Err(A::Error::custom(detail));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    fn code(text: &str) -> Option<ProblemCode> {
        parse(text.as_bytes()).err().map(|problem| problem.code)
    }

    #[test]
    fn bad_json_is_malformed_and_a_broken_rule_of_ours_is_invalid() {
        for text in [
            "",
            "{",
            "nul",
            "{} {}",
            r#"{"a":1,}"#,
            "\u{feff}",
            "\u{feff}\u{feff}{}",
            "{}\u{feff}",
            r#""\ud800""#,
            "1e999",
        ] {
            assert_eq!(code(text), Some(ProblemCode::MalformedJson), "{text}");
        }
        assert_eq!(code("\u{feff}{}"), None);
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

    #[derive(Deserialize, Debug)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        One,
        Two,
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the types matter")]
    struct Inner {
        b: Vec<u8>,
        choice: Option<Choice>,
        flag: Option<bool>,
        free: Option<Value>,
    }

    #[derive(Deserialize, Debug)]
    #[expect(dead_code, reason = "only the types matter")]
    struct Outer {
        a: Inner,
    }

    #[test]
    fn a_mismatch_has_a_pointer_and_says_what_belongs_there() {
        for (text, pointer, detail) in [
            (r#"{"a":{"b":[1,"x"]}}"#, "/a/b/1", "must be u8"),
            (r#"{"a":{"b":[300]}}"#, "/a/b/0", "must be u8"),
            (r#"{"a":{"b":{}}}"#, "/a/b", "must be a sequence"),
            (
                r#"{"a":{"b":[],"c/d":1}}"#,
                "/a/c~1d",
                "unknown field `c/d`, expected one of `b`, `choice`, `flag`, `free`",
            ),
            (r#"{"a":{"b":[],"flag":1.5}}"#, "/a/flag", "must be a boolean"),
            (r#"{"a":{"b":[],"choice":"three"}}"#, "/a/choice", "must be one of: one, two"),
            (r#"{"a":{"b":[],"choice":{"one":null}}}"#, "/a/choice", "must be a string"),
            (r#"{"a":null}"#, "/a", "must be an object"),
            (r#"{"a":[[]]}"#, "/a", "must be an object"),
            (r"{}", "", "missing field `a`"),
            (r#"[{"b":[1]}]"#, "", "must be an object"),
        ] {
            let problem = read::<Outer>(text.as_bytes()).unwrap_err();
            assert_eq!(problem.code, ProblemCode::InvalidRequest, "{text}");
            assert_eq!(problem.errors, [Violation::new(pointer, detail)], "{text}");
        }
        assert!(read::<Outer>(br#"{"a":{"b":[1],"choice":"two","flag":null,"free":{"x":[1.5,-1,null]}}}"#).is_ok());
    }

    #[test]
    fn a_mismatch_does_not_quote_the_value() {
        let text = r#"{"n": "secret\", expected secret"}"#;
        let problem = read::<BTreeMap<String, u8>>(text.as_bytes()).unwrap_err();
        let said = format!("{problem:?}");
        assert!(said.contains("must be u8") && !said.contains("secret"), "{said}");
    }

    #[test]
    fn a_query_is_read_by_the_same_rules() {
        #[derive(Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        struct Query {
            limit: Option<usize>,
            choice: Option<Choice>,
        }
        let read = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            read_query::<Query>(pairs).map_err(|problem| problem.errors)
        };
        let query = read(&[("limit", "7"), ("choice", "two")]).unwrap();
        assert!(matches!(query, Query { limit: Some(7), choice: Some(Choice::Two) }), "{query:?}");
        for (pairs, pointer, detail) in [
            (&[("limit", "x")][..], "/limit", "must be a whole number"),
            (&[("limit", "-1")], "/limit", "must be a whole number"),
            (&[("limit", "")], "/limit", "must be a whole number"),
            (&[("choice", "One")], "/choice", "must be one of: one, two"),
            (&[("offset", "1")], "/offset", "unknown field `offset`, expected `limit` or `choice`"),
            (&[("limit", "1"), ("limit", "2")], "", "duplicate field `limit`"),
        ] {
            assert_eq!(read(pairs).unwrap_err(), [Violation::new(pointer, detail)], "{pairs:?}");
        }
    }
}
