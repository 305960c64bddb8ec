//! Queries, read as strictly as the providers read them.

use std::collections::BTreeMap;

use axum::{
    extract::Query,
    http::{StatusCode, Uri},
    response::Response,
};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{refusal, state::Provider};

/// A query in which every name is known.
pub(crate) struct Known {
    provider: Provider,
    pairs: Vec<(String, String)>,
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
impl Known {
    pub(crate) fn read(provider: Provider, uri: &Uri, names: &[&str]) -> Result<Self, Response> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs);
        let known = Self { provider, pairs: pairs.unwrap_or_default() };
        match known.pairs.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => Err(known.bad(&format!("Unknown name \"{name}\": Cannot bind query parameter."))),
            None => Ok(known),
        }
    }

    pub(crate) fn bad(&self, message: &str) -> Response {
        let code = match self.provider {
            Provider::Google => "badRequest",
            Provider::Microsoft => "BadRequest",
        };
        refusal(self.provider, StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn need(&self, name: &str) -> Result<&str, Response> {
        self.get(name).ok_or_else(|| self.bad(&format!("Missing required parameter: {name}")))
    }

    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Response> {
        let time = self.get(name).map(str::parse).transpose();
        time.map_err(|_| self.bad(&format!("Invalid value for {name}")))
    }

    /// A number of at least 1 and at most this.
    pub(crate) fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Response> {
        match self.get(name).map(str::parse) {
            None => Ok(default),
            Some(Ok(number)) if number > 0 => Ok(most.min(number)),
            Some(_) => Err(self.bad(&format!("Invalid value for {name}"))),
        }
    }

    /// Where a page starts: the token is how many entries came before.
    pub(crate) fn start(&self, name: &str) -> Result<usize, Response> {
        let start = self.get(name).map_or(Ok(0), str::parse);
        start.map_err(|_| self.bad(&format!("Invalid value for {name}")))
    }
}

/// What is left of a value under a field mask: `a,b(c,d/e)` (a partial response, see
/// <https://developers.google.com/workspace/calendar/api/guides/performance#partial-response>). None if the mask cannot be
/// read.
pub(crate) fn masked(value: &Value, mask: &str) -> Option<Value> {
    let mut rest = mask;
    let tree = Tree::read(&mut rest)?;
    rest.is_empty().then(|| tree.of(value))
}

#[derive(Default)]
struct Tree(BTreeMap<String, Tree>);

impl Tree {
    fn read(rest: &mut &str) -> Option<Self> {
        let mut tree = Self::default();
        loop {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            *rest = after;
            if name.is_empty() {
                return None;
            }
            let inner = if let Some(after) = rest.strip_prefix('/') {
                *rest = after;
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                *rest = after;
                Self([(name.to_owned(), Self::default())].into())
            } else if let Some(after) = rest.strip_prefix('(') {
                *rest = after;
                let inner = Self::read(rest)?;
                *rest = rest.strip_prefix(')')?;
                inner
            } else {
                Self::default()
            };
            tree.0.insert(name.to_owned(), inner);
            match rest.strip_prefix(',') {
                Some(after) => *rest = after,
                None => return Some(tree),
            }
        }
    }

    fn of(&self, value: &Value) -> Value {
        match value {
            _ if self.0.is_empty() => value.clone(),
            Value::Array(items) => items.iter().map(|item| self.of(item)).collect(),
            Value::Object(fields) => {
                let kept = fields.iter().filter_map(|(name, value)| Some((name.clone(), self.0.get(name)?.of(value))));
                Value::Object(kept.collect::<Map<_, _>>())
            }
            value => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mask_keeps_what_it_names() {
        let value = json!({ "next": "1", "items": [{ "a": 1, "b": { "c": 2, "d": 3 } }, 4], "more": [] });
        for (mask, kept) in [
            ("next", json!({ "next": "1" })),
            ("items", json!({ "items": value["items"] })),
            ("items(a,b/c)", json!({ "items": [{ "a": 1, "b": { "c": 2 } }, 4] })),
            ("next,items(b(d))", json!({ "next": "1", "items": [{ "b": { "d": 3 } }, 4] })),
        ] {
            assert_eq!(masked(&value, mask), Some(kept), "{mask}");
        }
        for mask in ["", "items(", "items(a", "items)", "a,,b", "a b"] {
            assert_eq!(masked(&value, mask), None, "{mask}");
        }
    }
}
