//! The fields of an action's params that hold words, as their schema says with `x-kind`, and those that may be looked up,
//! as it says with `x-lookup`.

use serde_json::{Value, json};

/// A field that holds words.
pub(crate) struct TextField {
    pub(crate) name: String,
    pub(crate) kind: TextKind,
    pub(crate) is_required: bool,
}

/// What kind of words a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// A line, such as a title.
    Line,
    /// Plain text.
    Text,
    /// HTML.
    Html,
}

/// The fields of a schema that hold words, in its order.
pub(crate) fn text_fields(schema: &Value) -> Vec<TextField> {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let fields = schema["properties"].as_object().into_iter().flatten().filter_map(|(name, field)| {
        let kind = match field["x-kind"].as_str()? {
            "line" => TextKind::Line,
            "text" => TextKind::Text,
            "html" => TextKind::Html,
            _ => return None,
        };
        Some(TextField { name: name.clone(), kind, is_required: required.contains(&json!(name)) })
    });
    fields.collect()
}

/// A field whose value a plan may look up.
pub(crate) struct Looked {
    pub(crate) name: String,
    pub(crate) holds: Holds,
}

/// What a field that may be looked up holds.
pub(crate) enum Holds {
    /// Addresses.
    Addresses,
    /// A wall time, in the time zone of the field that is named.
    Time { zone: Option<String> },
}

/// The fields of a schema whose values a plan may look up: `x-lookup` is `addresses`, or `time`, and then `x-time-zone` names
/// the field with its time zone.
pub(crate) fn looked_up_fields(schema: &Value) -> Vec<Looked> {
    let fields = schema["properties"].as_object().into_iter().flatten().filter_map(|(name, field)| {
        let holds = match field["x-lookup"].as_str()? {
            "addresses" => Holds::Addresses,
            "time" => Holds::Time { zone: field["x-time-zone"].as_str().map(str::to_owned) },
            _ => return None,
        };
        Some(Looked { name: name.clone(), holds })
    });
    fields.collect()
}

/// Whether one of a schema's fields holds a time that may be looked up.
pub(crate) fn looks_up_time(schema: &Value) -> bool {
    looked_up_fields(schema).iter().any(|field| matches!(field.holds, Holds::Time { .. }))
}
