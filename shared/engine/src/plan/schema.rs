//! The JSON Schema of a plan, in the subset that OpenAI's strict mode accepts.
//!
//! Source of the rules: OpenAI's guide to structured outputs. Every object is closed and requires
//! all its keys, what is optional is nullable, alternatives are `anyOf`. Gemini refuses a list of types, so there is none.

use domain::Effect;
use serde_json::{Map, Value, json};

use crate::{catalogue::MAX_ACTIONS, ports::Action};

/// A model points at the words for a time, and reads no clock.
const SEND_AT: &str = "When to send: the message's own words for it, copied, such as \"tomorrow at 9\". Null is now.";

/// The schema of a plan of these actions. Keys stand in the order in which a model should write
/// them: what it makes of the request first, how sure it is last.
pub fn plan_schema(actions: &[&dyn Action]) -> Value {
    let one: Vec<Value> = actions
        .iter()
        .map(|action| {
            let spec = action.spec();
            let fields = [
                ("provider", json!({ "type": "string", "enum": [spec.provider] })),
                ("action", json!({ "type": "string", "enum": [spec.id] })),
                ("params", strict(&action.params_schema())),
            ];
            let send_at = ("send_at", nullable(json!({ "type": "string", "description": SEND_AT })));
            closed(fields.into_iter().chain((spec.effect == Effect::Send).then_some(send_at)))
        })
        .collect();
    let one = object([("anyOf", Value::Array(one))]);
    closed([
        (
            "intent",
            json!({ "type": "string", "description": "What the person wants, in snake_case, as the instructions name it." }),
        ),
        ("notes", nullable(json!({ "type": "string", "description": "Why there is no action, or null." }))),
        ("actions", object([("type", "array".into()), ("maxItems", MAX_ACTIONS.into()), ("items", one)])),
        (
            "questions",
            json!({ "type": "array", "maxItems": 5, "items": { "type": "string" },
                    "description": "What has to be known first, such as an address that is missing." }),
        ),
        ("confidence", json!({ "type": "number", "description": "How sure the plan is right, from 0 to 1." })),
    ])
}

fn closed<'a>(properties: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let properties: Map<_, _> = properties.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
    let required = properties.keys().map(|key| key.as_str().into()).collect();
    object([
        ("type", "object".into()),
        ("properties", Value::Object(properties)),
        ("required", Value::Array(required)),
        ("additionalProperties", false.into()),
    ])
}

/// An object of these fields as they are. `json!` would write each of them anew, and what is in it, level by level.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// A schema as schemars derives it, made strict.
fn strict(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    if let Some(Value::Array(alternatives)) = fields.get("anyOf") {
        let mut schema = one_of(alternatives);
        if let Some(description) = fields.get("description") {
            schema["description"] = description.clone();
        }
        return schema;
    }
    if let Some(Value::Array(kinds)) = fields.get("type") {
        let alone = |kind: &Value| {
            let mut alone = schema.clone();
            alone["type"] = kind.clone();
            alone
        };
        return one_of(&kinds.iter().map(alone).collect::<Vec<_>>());
    }
    if schema["type"] == "object" || fields.contains_key("properties") {
        let properties = schema["properties"].as_object().into_iter().flatten().map(|(key, property)| {
            let required = schema["required"].as_array().is_some_and(|required| required.contains(&json!(key)));
            let property = strict(property);
            (key.as_str(), if required { property } else { nullable(property) })
        });
        return closed(properties);
    }
    let kept = ["type", "description", "enum", "pattern", "minItems", "maxItems", "minimum", "maximum"];
    let kept = kept.into_iter().filter_map(|key| Some((key.to_owned(), fields.get(key)?.clone())));
    let items = fields.get("items").map(|items| ("items".to_owned(), strict(items)));
    Value::Object(kept.chain(items).collect())
}

/// One way to write a thing is enough for a model: a list rather than one or a list; else the alternatives as they are.
fn one_of(alternatives: &[Value]) -> Value {
    let is = |schema: &&Value, kind: &str| schema["type"] == kind;
    let null = alternatives.iter().any(|schema| is(&schema, "null"));
    let inner: Vec<Value> = alternatives.iter().filter(|schema| !is(schema, "null")).map(strict).collect();
    let list = inner.iter().find(|schema| is(schema, "array"));
    let chosen = match (list, inner.as_slice()) {
        (Some(list), _) => list.clone(),
        (None, [single]) => single.clone(),
        (None, _) => object([("anyOf", Value::Array(inner))]),
    };
    if null { nullable(chosen) } else { chosen }
}

fn nullable(mut schema: Value) -> Value {
    let null = json!({ "type": "null" });
    let Some(Value::Array(alternatives)) = schema.get_mut("anyOf") else {
        let description = schema.as_object_mut().and_then(|fields| fields.shift_remove_entry("description"));
        let either = ("anyOf".to_owned(), Value::Array(vec![schema, null]));
        return Value::Object(std::iter::once(either).chain(description).collect());
    };
    if !alternatives.contains(&null) {
        alternatives.push(null);
    }
    schema
}
