//! The fields of an action's params that hold words, as their schema says with `x-kind`.

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
