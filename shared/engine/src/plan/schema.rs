//! The JSON Schema of a plan, in the subset that OpenAI's strict mode accepts.
//!
//! Source of the rules: OpenAI's guide to structured outputs. Every object is closed and requires
//! all its keys, what is optional is nullable, alternatives are `anyOf`. Gemini refuses a list of types, so there is none.

use std::collections::HashSet;

use domain::{Effect, FindKind, Provider};
use serde_json::{Map, Value, json};

use super::lookups::MAX_LOOKUPS;
use crate::{
    catalogue::MAX_ACTIONS,
    ports::{Action, ActionSpec},
    texts::looks_up_time,
};

/// A model points at the words for a time, and reads no clock.
const SEND_AT: &str = "When to send: the message's own words for it, copied, such as \"tomorrow at 9\". Null is now.";

/// The names of the definitions that fields share.
const REFERENCE: &str = "ref";
const ADDRESSES: &str = "addresses";

/// The schema of a plan of these actions. Keys stand in the order in which a model should write
/// them: what it makes of the request first, how sure it is last.
pub fn plan_schema(actions: &[&dyn Action]) -> Value {
    let has_time = actions.iter().any(|action| looks_up_time(action.params_schema()));
    // Actions with the same params are one alternative. That an action is its provider's, the answer's reader checks.
    let mut alike: Vec<(Value, Vec<&ActionSpec>)> = Vec::new();
    for action in actions {
        let (spec, params) = (action.spec(), strict(action.params_schema()));
        match alike.iter_mut().find(|(known, _)| *known == params) {
            Some((_, specs)) => specs.push(spec),
            None => alike.push((params, vec![spec])),
        }
    }
    let mut told = HashSet::new();
    let one = alike.into_iter().map(|(params, specs)| {
        let ids: Vec<&str> = specs.iter().map(|spec| spec.id).collect();
        let mut providers: Vec<Provider> = specs.iter().map(|spec| spec.provider).collect();
        providers.dedup();
        let fields = [
            ("provider", json!({ "type": "string", "enum": providers })),
            ("action", json!({ "type": "string", "enum": ids })),
            ("params", params),
        ];
        // A draft is an alternative to a send; other actions have times of their own.
        let sends = specs.iter().any(|spec| matches!(spec.effect, Effect::Send | Effect::Draft));
        let send_at = ("send_at", nullable(json!({ "type": "string", "description": SEND_AT })));
        let mut one = closed(fields.into_iter().chain(sends.then_some(send_at)));
        tell_once(&mut one, &mut told);
        one
    });
    let one: Vec<Value> = one.collect();
    let one = object([("anyOf", Value::Array(one))]);
    let plan = closed([
        (
            "intent",
            json!({ "type": "string", "description": "What the person wants, in snake_case, as the instructions name it." }),
        ),
        ("notes", nullable(json!({ "type": "string", "description": "Why there is no action, or null." }))),
        ("lookups", lookups(has_time)),
        ("actions", object([("type", "array".into()), ("maxItems", MAX_ACTIONS.into()), ("items", one)])),
        (
            "questions",
            json!({ "type": "array", "maxItems": 5, "items": { "type": "string" },
                    "description": "What has to be known first, such as an address that is missing." }),
        ),
        ("confidence", json!({ "type": "number", "description": "How sure the plan is right, from 0 to 1." })),
    ]);
    with_definitions(plan)
}

/// What a plan may look up in the account: people and meetings; and free time, where an action takes a time.
fn lookups(has_time: bool) -> Value {
    let find = |kind: FindKind, more: &[(&'static str, Value)]| {
        let fields = [("id", json!({ "type": "string" })), ("find", json!({ "type": "string", "enum": [kind] }))];
        closed(fields.into_iter().chain(more.iter().cloned()))
    };
    let text = || json!({ "type": "string" });
    let hour = || nullable(text());
    let day = || ("day", json!({ "type": "string", "description": "As 2026-12-01." }));
    let at = ("at", nullable(json!({ "type": "string", "description": "As 10:00." })));
    let mut finds = vec![
        find(FindKind::Contact, &[("name", text())]),
        find(FindKind::Event, &[day(), at, ("title", nullable(text()))]),
    ];
    if has_time {
        let minutes = ("minutes", json!({ "type": "integer" }));
        finds.push(find(FindKind::FreeTime, &[day(), minutes, ("from", hour()), ("to", hour())]));
    }
    let items = object([("anyOf", Value::Array(finds))]);
    object([("type", "array".into()), ("maxItems", MAX_LOOKUPS.into()), ("items", items)])
}

/// The schema with what several of its parts share: addresses, each written out or looked up.
fn with_definitions(mut schema: Value) -> Value {
    let reference = closed([("$ref", json!({ "type": "string", "description": "As l1.address." }))]);
    let items = json!({ "anyOf": [{ "type": "string" }, defined(REFERENCE)] });
    let list = json!({ "type": "array", "items": items, "minItems": 1, "maxItems": 50 });
    let addresses = json!({ "anyOf": [list, defined(REFERENCE)] });
    let definitions = [(REFERENCE.to_owned(), reference), (ADDRESSES.to_owned(), addresses)];
    schema["$defs"] = Value::Object(definitions.into_iter().collect());
    schema
}

fn defined(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// A field whose value may be looked up.
fn looked_up(field: &Value) -> Option<Value> {
    let mut schema = match field["x-lookup"].as_str()? {
        "addresses" => json!({ "anyOf": [defined(ADDRESSES)] }),
        "time" => json!({ "anyOf": [{ "type": "string" }, defined(REFERENCE)] }),
        _ => return None,
    };
    if let Some(description) = field.get("description") {
        schema["description"] = description.clone();
    }
    Some(schema)
}

/// Leaves out descriptions that stood before. Actions share params, and a model reads the schema as a whole.
fn tell_once(schema: &mut Value, told: &mut HashSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(description)) = fields.get("description")
                && !told.insert(description.clone())
            {
                fields.shift_remove("description");
            }
            fields.values_mut().for_each(|field| tell_once(field, told));
        }
        Value::Array(list) => list.iter_mut().for_each(|item| tell_once(item, told)),
        _ => {}
    }
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

/// An object of these fields as they are. `json!` would copy each of them, level by level.
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
            if let Some(values) = alone.get_mut("enum").and_then(Value::as_array_mut) {
                values.retain(|value| value.is_null() == (kind == "null"));
            }
            alone
        };
        return one_of(&kinds.iter().map(alone).collect::<Vec<_>>());
    }
    if schema["type"] == "object" || fields.contains_key("properties") {
        // A model knows nothing of what an account holds, such as its ids.
        let properties = schema["properties"].as_object().into_iter().flatten();
        let properties = properties.filter(|(_, property)| property["x-planned"] != false).map(|(key, property)| {
            let required = schema["required"].as_array().is_some_and(|required| required.contains(&json!(key)));
            let property = looked_up(property).unwrap_or_else(|| strict(property));
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
