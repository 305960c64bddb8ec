//! Answers of the API as text for a terminal.

use std::{
    borrow::Cow,
    io::{Result, Write},
};

use serde_json::Value;

/// A plan with its questions, and its id for execution.
pub fn plan(out: &mut dyn Write, answer: &Value) -> Result<()> {
    let plan = &answer["plan"];
    for action in list(&plan["actions"]) {
        writeln!(out, "{}", text(&action["action"]))?;
        for (name, value) in action["params"].as_object().into_iter().flatten() {
            field(out, name, value)?;
        }
        writeln!(out)?;
    }
    for question in list(&plan["questions"]) {
        writeln!(out, "? {}", text(question))?;
    }
    if let Some(notes) = plan["notes"].as_str() {
        writeln!(out, "{}", safe(notes))?;
    }
    if !list(&plan["actions"]).is_empty() {
        writeln!(out, "plan {}, by {}", text(&plan["plan_id"]), text(&answer["meta"]["model"]))?;
    }
    Ok(())
}

/// Jobs that were just accepted.
pub fn accepted(out: &mut dyn Write, accepted: &Value) -> Result<()> {
    for job in list(&accepted["jobs"]) {
        let again = if job["replayed"] == true { " (the same job as before)" } else { "" };
        writeln!(out, "{}  {}{again}", text(&job["job_id"]), text(&job["status"]))?;
    }
    Ok(())
}

/// Jobs, one a line.
pub fn jobs(out: &mut dyn Write, jobs: &Value) -> Result<()> {
    list(jobs).iter().try_for_each(|job| job_line(out, job))
}

/// A job in one line.
pub fn job_line(out: &mut dyn Write, job: &Value) -> Result<()> {
    let (id, status) = (text(&job["job_id"]), text(&job["status"]));
    write!(out, "{id}  {status:<9}  {}  {}", text(&job["action"]), text(&job["created_at"]))?;
    if let Some(error) = job["error"].as_object() {
        write!(out, "  {}: {}", text(&error["code"]), text(&error["message"]))?;
    }
    writeln!(out)
}

/// A job, one field a line.
pub fn job(out: &mut dyn Write, job: &Value) -> Result<()> {
    for (name, value) in job.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        match value.as_object() {
            Some(inner) => {
                writeln!(out, "{name}")?;
                inner.iter().try_for_each(|(name, value)| field(out, name, value))?;
            }
            None => writeln!(out, "{name:<18} {}", text(value))?,
        }
    }
    Ok(())
}

/// The catalogue, one action a line.
pub fn actions(out: &mut dyn Write, actions: &Value) -> Result<()> {
    for action in list(&actions["data"]) {
        let allowed = if action["allowed"] == true { "allowed" } else { "not allowed" };
        write!(out, "{:<14} {allowed:<12} {:<14}", text(&action["id"]), text(&action["mode"]))?;
        let address = text(&action["address"]);
        if address.is_empty() { writeln!(out)? } else { writeln!(out, " {address}")? }
    }
    Ok(())
}

/// A connection, in one line.
pub fn connection(out: &mut dyn Write, status: &Value) -> Result<()> {
    let address = status["address"].as_str().map(|address| format!(" as {}", safe(address))).unwrap_or_default();
    writeln!(out, "{}: {}{address}", text(&status["provider"]), text(&status["mode"]))
}

fn field(out: &mut dyn Write, name: &str, value: &Value) -> Result<()> {
    let text = match value.as_array() {
        Some(items) => items.iter().map(text).collect::<Vec<_>>().join(", ").into(),
        None => text(value),
    };
    let mut lines = text.lines();
    writeln!(out, "  {:<9} {}", safe(name), lines.next().unwrap_or_default())?;
    lines.try_for_each(|line| writeln!(out, "            {line}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => safe(text),
        Value::Null => "".into(),
        other => other.to_string().into(),
    }
}

/// Replaces characters that control a terminal: a subject may come from anyone.
fn safe(text: &str) -> Cow<'_, str> {
    let controls = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    if text.contains(controls) { text.replace(controls, "\u{fffd}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(print: fn(&mut dyn Write, &Value) -> Result<()>, value: &Value) -> String {
        let mut out = Vec::new();
        print(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plan_shows_every_field_of_every_action() {
        let params = json!({ "to": ["john@example.com", "ana@example.com"], "subject": "Hi", "text": "one\ntwo" });
        let answer = json!({
            "plan": { "plan_id": "p1", "actions": [{ "action": "gmail.send", "params": params }],
                "questions": ["Who else?"], "notes": null },
            "meta": { "model": "rules" },
        });
        let expected = "gmail.send\n  to        john@example.com, ana@example.com\n  subject   Hi\n  \
             text      one\n            two\n\n? Who else?\nplan p1, by rules\n";
        assert_eq!(printed(plan, &answer), expected);
    }

    #[test]
    fn a_job_cannot_control_the_terminal() {
        let job_value = json!({ "job_id": "j", "status": "error", "action": "gmail.send", "created_at": "t",
            "error": { "code": "x", "message": "\u{1b}[2J\u{202e}gone" } });
        let line = printed(job_line, &job_value);
        assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line:?}");
        assert!(line.contains("gone"));
    }
}
