//! JSON Schemas of arguments and results, from the same types that the OpenAPI document describes.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::problem::ProblemBody;

/// The fields of a problem that only HTTP needs.
pub(super) const OF_HTTP: [&str; 3] = ["type", "title", "status"];

/// The schema of a type, which needs no other document.
pub(super) fn of<T: ToSchema>() -> Map<String, Value> {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    let parts: Map<String, Value> = parts.into_iter().map(|(name, part)| (name, json!(part))).collect();
    let mut schema = json!(T::schema());
    if !parts.is_empty() {
        schema["$defs"] = Value::Object(parts);
    }
    localize(&mut schema);
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// The schema of a tool's arguments. Null is accepted for one that is left out, but not advertised: models fill it in.
pub(super) fn of_arguments<T: ToSchema>() -> Map<String, Value> {
    let mut schema = of::<T>();
    let fields = schema.entry("properties").or_insert_with(|| json!({}));
    for field in fields.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(kinds) = field["type"].as_array() {
            field["type"] = kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
        }
        let described = field["description"].clone();
        let not_null = |kind: &&Value| kind["type"] != "null";
        if let Some(only) = field["oneOf"].as_array().and_then(|kinds| kinds.iter().find(not_null)).cloned() {
            *field = only;
            field["description"] = described;
        }
    }
    schema
}

/// The schema of a tool's structured content: a result, or what was wrong.
pub(super) fn of_result(mut result: Map<String, Value>) -> Map<String, Value> {
    let mut problem = of::<ProblemBody>();
    let required = result.remove("required").unwrap_or(json!([]));
    for part in ["properties", "$defs"] {
        let more = problem.remove(part).and_then(|more| more.as_object().cloned()).unwrap_or_default();
        let more = more.into_iter().filter(|(name, _)| !OF_HTTP.contains(&name.as_str()));
        match result.get_mut(part).and_then(Value::as_object_mut) {
            Some(fields) => fields.extend(more),
            None => drop(result.insert(part.to_owned(), more.collect())),
        }
    }
    result.insert("anyOf".to_owned(), json!([{ "required": required }, { "required": ["code", "retriable"] }]));
    result.insert("additionalProperties".to_owned(), json!(false));
    result
}

/// Turns references into the OpenAPI document into references into the schema itself, and leaves out examples.
fn localize(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref") {
                *reference = reference.replace("#/components/schemas/", "#/$defs/");
            }
            // A field may have this name, too.
            if !fields.get("example").is_some_and(Value::is_object) || fields.contains_key("type") {
                fields.remove("example");
            }
            fields.values_mut().for_each(localize);
        }
        Value::Array(items) => items.iter_mut().for_each(localize),
        _ => {}
    }
}
