//! The JSON Schema of a plan, in the subset that OpenAI's strict mode accepts.
//!
//! Source of the rules: OpenAI's guide to structured outputs. Every object is closed and requires
//! all its keys, what is optional is nullable, alternatives are `anyOf`.

use serde_json::{Map, Value, json};

use crate::{catalogue::MAX_ACTIONS, ports::Action};

/// The schema of a plan of these actions. Keys stand in the order in which a model should write
/// them: what it makes of the request first, how sure it is last.
pub fn plan_schema(actions: &[&dyn Action]) -> Value {
    let one: Vec<Value> = actions
        .iter()
        .map(|action| {
            let spec = action.spec();
            closed([
                ("provider", json!({ "type": "string", "enum": [spec.provider] })),
                ("action", json!({ "type": "string", "enum": [spec.id] })),
                ("params", strict(&action.params_schema())),
            ])
        })
        .collect();
    let one = object([("anyOf", Value::Array(one))]);
    closed([
        (
            "intent",
            json!({ "type": "string", "description": "What the person wants, in snake_case, as the instructions name it." }),
        ),
        ("notes", json!({ "type": ["string", "null"], "description": "Why there is no action, or null." })),
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
        let description = fields.get("description");
        return with_description(one_of(alternatives), description);
    }
    if fields.get("type") == Some(&json!("object")) || fields.contains_key("properties") {
        let required: Vec<&str> =
            fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = fields.get("properties").and_then(Value::as_object);
        let properties = properties.into_iter().flatten().map(|(key, property)| {
            let property = strict(property);
            let property = if required.contains(&key.as_str()) { property } else { nullable(property) };
            (key.as_str(), property)
        });
        return closed(properties);
    }
    let mut kept = serde_json::Map::new();
    for key in ["type", "description", "enum", "pattern", "minItems", "maxItems", "minimum", "maximum"] {
        if let Some(value) = fields.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(items) = fields.get("items") {
        kept.insert("items".to_owned(), strict(items));
    }
    Value::Object(kept)
}

/// One way to write a thing is enough for a model: a list rather than one or a list; else the alternatives as they are.
fn one_of(alternatives: &[Value]) -> Value {
    let is = |schema: &&Value, kind: &str| schema.get("type") == Some(&json!(kind));
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

fn nullable(schema: Value) -> Value {
    match schema.get("type") {
        Some(Value::String(kind)) if schema.get("enum").is_none() => {
            let mut schema = schema.clone();
            schema["type"] = json!([kind, "null"]);
            schema
        }
        Some(Value::Array(kinds)) if kinds.contains(&json!("null")) => schema,
        _ => object([("anyOf", Value::Array(vec![schema, json!({ "type": "null" })]))]),
    }
}

fn with_description(mut schema: Value, description: Option<&Value>) -> Value {
    if let Some(description) = description {
        schema["description"] = description.clone();
    }
    schema
}
