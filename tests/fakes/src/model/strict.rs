//! What OpenAI demands of a chat completions request, and of a schema in strict mode
//! (platform.openai.com/docs/guides/structured-outputs, supported schemas).

use serde_json::{Map, Value};

/// An error's code and what it says.
type Refusal = (&'static str, String);

const KNOWN: [&str; 33] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tools",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];
/// OpenAI's reasoning models take none of these, and no orchestrator's request needs them.
const UNSUPPORTED: [&str; 7] =
    ["frequency_penalty", "logit_bias", "logprobs", "max_tokens", "presence_penalty", "stop", "top_p"];
/// How names of reasoning models begin. They refuse a temperature, too.
const REASONING: [&str; 4] = ["o1", "o3", "o4", "gpt-5"];

/// Whether the endpoint takes this request.
pub fn check(body: &Value) -> Result<(), Refusal> {
    let invalid = |detail: String| ("invalid_request_error", detail);
    let Value::Object(fields) = body else { return Err(invalid("the body must be an object".to_owned())) };
    for name in fields.keys() {
        if !KNOWN.contains(&name.as_str()) {
            return Err(("unknown_parameter", format!("Unknown parameter: '{name}'.")));
        }
        if UNSUPPORTED.contains(&name.as_str()) {
            return Err(("unsupported_parameter", format!("Unsupported parameter: '{name}'.")));
        }
    }
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err(invalid("you must provide a model parameter".to_owned()));
    }
    let model = body["model"].as_str().unwrap_or_default();
    if let Some(temperature) = fields.get("temperature") {
        if REASONING.iter().any(|name| model.starts_with(name)) {
            return Err(("unsupported_parameter", "Unsupported parameter: 'temperature'.".to_owned()));
        }
        if temperature.as_f64().is_none_or(|temperature| !(0.0..=2.0).contains(&temperature)) {
            return Err(invalid("'temperature' must be between 0 and 2".to_owned()));
        }
    }
    let Some(messages) = body["messages"].as_array().filter(|messages| !messages.is_empty()) else {
        return Err(invalid("'messages' must be a non-empty array".to_owned()));
    };
    for (i, message) in messages.iter().enumerate() {
        if !["system", "developer", "user", "assistant"].iter().any(|role| message["role"] == *role) {
            return Err(invalid(format!("messages[{i}].role is not a role")));
        }
        if !message["content"].is_string() {
            return Err(invalid(format!("messages[{i}].content must be a string")));
        }
        only(message.as_object(), &["role", "content", "name"], &format!("messages[{i}]"))?;
    }
    if fields.get("max_completion_tokens").is_some_and(|cap| cap.as_u64().is_none_or(|cap| cap == 0)) {
        return Err(invalid("'max_completion_tokens' must be an integer of at least 1".to_owned()));
    }
    if fields.get("n").is_some_and(|n| n != 1) || fields.get("stream").is_some_and(|stream| stream != false) {
        return Err(invalid("this endpoint gives one answer, in one piece".to_owned()));
    }
    fields.get("response_format").map_or(Ok(()), check_format)
}

fn check_format(format: &Value) -> Result<(), Refusal> {
    let invalid = |detail: &str| Err(("invalid_request_error", format!("response_format: {detail}")));
    match format["type"].as_str() {
        Some("text" | "json_object") => return Ok(()),
        Some("json_schema") => {}
        _ => return invalid("type must be text, json_object or json_schema"),
    }
    only(format.as_object(), &["type", "json_schema"], "response_format")?;
    let wrapper = &format["json_schema"];
    only(wrapper.as_object(), &["name", "description", "schema", "strict"], "response_format.json_schema")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let is_name = |name: &str| (1..=64).contains(&name.len()) && name.bytes().all(plain);
    if !wrapper["name"].as_str().is_some_and(is_name) {
        return invalid("json_schema.name must match ^[a-zA-Z0-9_-]{1,64}$");
    }
    if wrapper["strict"] != true {
        return invalid("json_schema.strict must be true here");
    }
    check_schema(&wrapper["schema"]).map_err(|detail| ("invalid_json_schema", format!("Invalid schema: {detail}")))
}

fn only(fields: Option<&Map<String, Value>>, known: &[&str], at: &str) -> Result<(), Refusal> {
    let Some(fields) = fields else { return Err(("invalid_request_error", format!("{at} must be an object"))) };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(("unknown_parameter", format!("Unknown parameter: '{at}.{name}'."))),
        None => Ok(()),
    }
}

/// Whether strict mode takes this schema.
pub fn check_schema(schema: &Value) -> Result<(), String> {
    if schema["type"] != "object" || schema.get("anyOf").is_some() {
        return Err("the root must be of type object, and no anyOf".to_owned());
    }
    let mut walk = Walk { root: schema, properties: 0, enum_values: 0, text: 0 };
    walk.visit(schema, 1, "")?;
    let Walk { properties, enum_values, text, .. } = walk;
    if properties > 5_000 || enum_values > 1_000 || text > 120_000 {
        return Err(format!("too large: {properties} properties, {enum_values} enum values, {text} characters"));
    }
    Ok(())
}

const KEYWORDS: [&str; 19] = [
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "required",
];
const FORMATS: [&str; 9] = ["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"];
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

struct Walk<'a> {
    root: &'a Value,
    properties: usize,
    enum_values: usize,
    text: usize,
}

impl Walk<'_> {
    fn visit(&mut self, schema: &Value, depth: usize, at: &str) -> Result<(), String> {
        let Value::Object(fields) = schema else { return Err(format!("{at}: a schema must be an object")) };
        if depth > 10 {
            return Err(format!("{at}: nested deeper than 10 levels"));
        }
        for name in fields.keys().map(String::as_str) {
            if name != "type" && name != "title" && !KEYWORDS.contains(&name) {
                return Err(format!("{at}: '{name}' is not permitted"));
            }
        }
        if let Some(format) = fields.get("format")
            && !FORMATS.iter().any(|known| format == known)
        {
            return Err(format!("{at}: format {format} is not permitted"));
        }
        for text in fields.get("enum").and_then(Value::as_array).into_iter().flatten() {
            self.enum_values += 1;
            self.text += text.as_str().map_or(0, str::len);
        }
        self.text += schema["const"].as_str().map_or(0, str::len);
        if let Some(target) = fields.get("$ref") {
            let known = target.as_str().and_then(|t| t.strip_prefix('#')).and_then(|t| self.root.pointer(t));
            return known.map(|_| ()).ok_or(format!("{at}: reference {target} leads nowhere"));
        }
        for (name, definition) in fields.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            self.text += name.len();
            self.visit(definition, depth, &format!("{at}/$defs/{name}"))?;
        }
        if let Some(branches) = fields.get("anyOf") {
            let branches = branches.as_array().filter(|list| !list.is_empty()).ok_or(format!("{at}: empty anyOf"))?;
            for (i, branch) in branches.iter().enumerate() {
                self.visit(branch, depth, &format!("{at}/anyOf/{i}"))?;
            }
            return Ok(());
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().map(|one| one.as_str().unwrap_or_default()).collect(),
            _ => return Err(format!("{at}: schema must have a 'type' key")),
        };
        if types.is_empty() || types.iter().any(|name| !TYPES.contains(name)) {
            return Err(format!("{at}: {} is no type", schema["type"]));
        }
        if types.contains(&"object") {
            self.object(fields, depth, at)?;
        }
        if types.contains(&"array") {
            let items = fields.get("items").ok_or(format!("{at}: array schema missing items"))?;
            self.visit(items, depth + 1, &format!("{at}/items"))?;
        }
        Ok(())
    }

    fn object(&mut self, fields: &Map<String, Value>, depth: usize, at: &str) -> Result<(), String> {
        if fields.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err(format!("{at}: 'additionalProperties' is required to be supplied and to be false"));
        }
        let none = Map::new();
        let properties = fields.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let listed = fields.get("required").and_then(Value::as_array).ok_or(format!("{at}: 'required' is missing"))?;
        let missing = properties.keys().find(|name| !listed.iter().any(|r| r == *name));
        if missing.is_some() || listed.len() != properties.len() {
            return Err(format!("{at}: 'required' must list every key in properties, and nothing else"));
        }
        for (name, property) in properties {
            self.properties += 1;
            self.text += name.len();
            self.visit(property, depth + 1, &format!("{at}/properties/{name}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(property: &Value) -> Value {
        json!({
            "type": "object", "additionalProperties": false, "required": ["a"], "properties": { "a": property },
        })
    }

    fn request(schema: &Value) -> Value {
        json!({
            "model": "m", "messages": [{ "role": "user", "content": "hello" }], "max_completion_tokens": 10,
            "response_format": { "type": "json_schema", "json_schema": { "name": "plan", "strict": true, "schema": schema } },
        })
    }

    #[test]
    fn what_strict_mode_takes() {
        for property in [
            json!({ "type": ["string", "null"], "pattern": "^a", "description": "An a." }),
            json!({ "type": "string", "format": "email" }),
            json!({ "type": "number", "minimum": 0, "maximum": 1 }),
            json!({ "type": "string", "enum": ["a", "b"] }),
            json!({ "anyOf": [object(&json!({ "type": "null" })), { "type": "array", "items": { "type": "string" }, "maxItems": 5 }] }),
            json!({ "$ref": "#" }),
        ] {
            assert_eq!(check(&request(&object(&property))), Ok(()), "{property}");
        }
    }

    #[test]
    fn what_strict_mode_refuses() {
        let mut open = object(&json!({ "type": "string" }));
        open["additionalProperties"] = json!(true);
        let mut optional = object(&json!({ "type": "string" }));
        optional["required"] = json!([]);
        let mut dialect = object(&json!({ "type": "string" }));
        dialect["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        let deep = (0..10).fold(json!({ "type": "string" }), |inner, _| object(&inner));
        let names: Vec<String> = (0..1_001).map(|i| i.to_string()).collect();
        let mut roots = vec![open.clone(), optional.clone(), dialect, deep, json!({ "type": "array" }), json!(null)];
        roots.push(json!({ "anyOf": [object(&json!({ "type": "string" }))] }));
        let properties = [
            open,
            optional,
            json!({}),
            json!("string"),
            json!({ "type": "text" }),
            json!({ "type": "array" }),
            json!({ "type": "object" }),
            json!({ "anyOf": [] }),
            json!({ "$ref": "#/$defs/a" }),
            json!({ "type": "string", "format": "uri" }),
            json!({ "type": "string", "default": "a" }),
            json!({ "type": "string", "minLength": 1 }),
            json!({ "oneOf": [{ "type": "string" }] }),
            json!({ "allOf": [{ "type": "string" }] }),
            json!({ "type": "string", "enum": names }),
        ];
        roots.extend(properties.iter().map(object));
        for schema in roots {
            let refused = check(&request(&schema)).unwrap_err();
            assert_eq!(refused.0, "invalid_json_schema", "{schema}");
        }
        let nine = (0..9).fold(json!({ "type": "string" }), |inner, _| object(&inner));
        assert_eq!(check(&request(&nine)), Ok(()));
    }

    #[test]
    fn what_the_endpoint_refuses() {
        let good = request(&object(&json!({ "type": "string" })));
        assert_eq!(check(&good), Ok(()));
        let mut warm = good.clone();
        warm["temperature"] = json!(0);
        assert_eq!(check(&warm), Ok(()));
        warm["model"] = json!("o4-mini");
        assert_eq!(check(&warm).unwrap_err().0, "unsupported_parameter");
        let changed = |pointer: &str, value: Value| {
            let mut body = good.clone();
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a slash");
            body.pointer_mut(parent).expect("the parent is there")[name] = value;
            body
        };
        for (pointer, value, code) in [
            ("/input", json!("a"), "unknown_parameter"),
            ("/temperature", json!(3), "invalid_request_error"),
            ("/max_tokens", json!(10), "unsupported_parameter"),
            ("/max_completion_tokens", json!(0), "invalid_request_error"),
            ("/model", json!(""), "invalid_request_error"),
            ("/messages", json!([]), "invalid_request_error"),
            ("/messages/0/role", json!("person"), "invalid_request_error"),
            ("/messages/0/content", json!(null), "invalid_request_error"),
            ("/messages/0/text", json!("a"), "unknown_parameter"),
            ("/n", json!(2), "invalid_request_error"),
            ("/stream", json!(true), "invalid_request_error"),
            ("/response_format/type", json!("xml"), "invalid_request_error"),
            ("/response_format/json_schema/name", json!("a plan"), "invalid_request_error"),
            ("/response_format/json_schema/strict", json!(false), "invalid_request_error"),
            ("/response_format/json_schema/more", json!(1), "unknown_parameter"),
        ] {
            assert_eq!(check(&changed(pointer, value)).unwrap_err().0, code, "{pointer}");
        }
        assert!(check(&json!("text")).is_err());
    }
}
