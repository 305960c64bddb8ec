//! What the model is told: the rules, the catalogue, the date, and the person's message in its fence. Nothing else.

use domain::sha256_hex;
use jiff::Zoned;
use serde_json::{Value, json};

use crate::ports::{About, Action, Example};

/// The text with its placeholders `{actions}`, `{rules}`, `{examples}`, `{today}` and `{timezone}`.
const TEMPLATE: &str = include_str!("instructions.txt");

/// The instructions for a model that may plan these actions today.
pub(super) fn instructions(actions: &[&dyn Action], today: &Zoned) -> String {
    let abouts = || actions.iter().map(|action| action.about());
    let list = abouts().map(|about| format!("- {} (provider {}): {}", about.id, about.provider, about.description));

    let mut rules: Vec<String> = Vec::new();
    let choices: Vec<String> = abouts()
        .filter(|about| !about.guide.choose.is_empty())
        .map(|about| format!("{} {}.", about.id, about.guide.choose))
        .collect();
    // Where there is one action, there is nothing to choose.
    if actions.len() > 1 && !choices.is_empty() {
        rules.push(format!("- {}", choices.join(" ")));
    }
    for rule in abouts().flat_map(|about| about.guide.rules) {
        let rule = format!("- {rule}");
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let examples = abouts().flat_map(|about| {
        let plan = |example: &Example| format!("Message: {}\n{}", example.request, planned(about, example));
        about.guide.examples.iter().map(plan)
    });
    let lines = |lines: Vec<String>| lines.join("\n");
    TEMPLATE
        .trim_end()
        .replace("{today}", &today.strftime("%A, %-d %B %Y").to_string())
        .replace("{timezone}", today.time_zone().iana_name().unwrap_or("UTC"))
        .replace("{rules}", &lines(rules))
        .replace("{actions}", &lines(list.collect()))
        .replace("{examples}", &lines(examples.collect()))
}

/// The answer to an example, as the schema wants it.
fn planned(about: &About, example: &Example) -> Value {
    let actions: Vec<Value> = example
        .params
        .iter()
        .map(|params| {
            let params: Value = serde_json::from_str(params).expect("a test reads every example of the catalogue");
            json!({ "provider": about.provider, "action": about.id, "params": params })
        })
        .collect();
    json!({ "intent": example.intent, "notes": null, "actions": actions, "questions": [], "confidence": 0.9 })
}

/// A prompt between two marks that it does not hold: a text cannot close its own fence. They are made of its hash, so
/// that the same prompt is the same message.
pub(super) fn fenced(prompt: &str) -> String {
    let mut hash = sha256_hex(prompt.as_bytes());
    loop {
        let mark = format!("[{}]", &hash[..12]);
        if !prompt.contains(&mark) {
            return format!("{mark}\n{prompt}\n{mark}");
        }
        hash = sha256_hex(hash.as_bytes());
    }
}
