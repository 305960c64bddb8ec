//! Prints the API's answers for a person at a terminal.

use std::{
    borrow::Cow,
    io::{Result, Write},
};

use serde_json::Value;

/// A plan, and with `and_questions` its open questions and how to answer them.
pub fn plan(out: &mut dyn Write, answer: &Value, and_questions: bool) -> Result<()> {
    let plan = &answer["plan"];
    for action in list(&plan["actions"]) {
        writeln!(out, "{}", text(&action["action"]))?;
        for (name, value) in action["params"].as_object().into_iter().flatten() {
            field(out, name, value)?;
        }
        if !action["send_at"].is_null() {
            field(out, "send at", &action["send_at"])?;
        }
        writeln!(out)?;
    }
    for warning in list(&plan["warnings"]) {
        writeln!(out, "! {} ({})", text(&warning["text"]), text(&warning["code"]))?;
    }
    if let Some(notes) = plan["notes"].as_str() {
        writeln!(out, "{}", safe(notes))?;
    }
    if !list(&plan["actions"]).is_empty() {
        writeln!(out, "plan {}, by {}", text(&plan["plan_id"]), text(&answer["meta"]["model"]))?;
    }
    let questions = list(&plan["clarifications"]);
    if and_questions && !questions.is_empty() {
        questions.iter().try_for_each(|question| how_to_answer(out, question))?;
        writeln!(out, "To answer, plan the same prompt again with every answer so far:")?;
        writeln!(out, "  orchestrator plan \"…\" --answer ID=VALUE --answer ID=VALUE")?;
    }
    Ok(())
}

fn how_to_answer(out: &mut dyn Write, question: &Value) -> Result<()> {
    let (id, kind) = (text(&question["id"]), text(&question["kind"]));
    writeln!(out, "? {}", text(&question["text"]))?;
    match &*kind {
        "choice" => {
            writeln!(out, "  {id} ({kind}), one of:")?;
            for option in list(&question["options"]) {
                writeln!(out, "    --answer {id}={}  {}", text(&option["value"]), text(&option["label"]))?;
            }
            Ok(())
        }
        "confirm" => writeln!(out, "  {id} ({kind}): --answer {id}=true or --answer {id}=false"),
        _ => writeln!(out, "  {id} ({kind}): --answer {id}={}", kind.to_uppercase()),
    }
}

/// A question that is answered at the terminal.
pub fn question(out: &mut dyn Write, question: &Value) -> Result<()> {
    let hint = if question["kind"] == "confirm" { " (yes or no)" } else { "" };
    writeln!(out, "{}{hint}", text(&question["text"]))?;
    for (place, option) in list(&question["options"]).iter().enumerate() {
        writeln!(out, "  {}  {}", place + 1, text(&option["label"]))?;
    }
    Ok(())
}

/// Jobs that were just accepted.
pub fn accepted(out: &mut dyn Write, accepted: &Value) -> Result<()> {
    for job in list(&accepted["jobs"]) {
        let again = if job["replayed"] == true { " (the same job as before)" } else { "" };
        write!(out, "{}  {}{again}", text(&job["job_id"]), text(&job["status"]))?;
        waits(out, job)?;
        writeln!(out)?;
    }
    Ok(())
}

/// Everything that a held job sends if it is approved, and why it is held.
pub fn held(out: &mut dyn Write, job: &Value, content: &Value) -> Result<()> {
    const NOT_SENT: [&str; 5] = ["job_id", "content_type", "raw", "content_sha256", "contents_erased_at"];
    writeln!(out, "{} {}", text(&job["provider"]), text(&job["action"]))?;
    let fields = content.as_object().into_iter().flatten();
    let sent = fields.filter(|(name, value)| !NOT_SENT.contains(&name.as_str()) && !value.is_null());
    for (name, value) in sent.filter(|(_, value)| value.as_array().is_none_or(|items| !items.is_empty())) {
        field(out, name, value)?;
    }
    if !job["send_at"].is_null() {
        field(out, "send at", &job["send_at"])?;
    }
    let because = list(&job["because"]).iter().map(text).collect::<Vec<_>>().join(", ");
    writeln!(out, "held because: {because}; expires {}", text(&job["waiting_until"]))
}

/// What a job waits for, if it does.
fn waits(out: &mut dyn Write, job: &Value) -> Result<()> {
    let Some(what) = job["waiting_for"].as_str() else { return Ok(()) };
    write!(out, "  waits for {}", safe(what))?;
    match job["waiting_until"].as_str() {
        Some(until) => write!(out, " until {}", safe(until)),
        None => Ok(()),
    }
}

/// Jobs, a line each.
pub fn jobs(out: &mut dyn Write, jobs: &[Value]) -> Result<()> {
    jobs.iter().try_for_each(|job| job_line(out, job))
}

/// A job in one line.
pub fn job_line(out: &mut dyn Write, job: &Value) -> Result<()> {
    let (id, status) = (text(&job["job_id"]), text(&job["status"]));
    write!(out, "{id}  {status:<9}  {}  {}", text(&job["action"]), text(&job["created_at"]))?;
    if let Some(summary) = job["summary"].as_object() {
        write!(out, "  {}", text(&summary["title"]))?;
        let recipients = list(&summary["recipients"]).iter().map(text).collect::<Vec<_>>().join(", ");
        let more = summary["more"].as_u64().filter(|more| *more > 0).map(|more| format!(" and {more} more"));
        if !recipients.is_empty() {
            write!(out, " to {recipients}{}", more.unwrap_or_default())?;
        }
    }
    waits(out, job)?;
    if let Some(error) = job["error"].as_object() {
        write!(out, "  {}: {}", text(&error["code"]), text(&error["message"]))?;
        if let Some(says) = job["error"]["provider_says"].as_str() {
            write!(out, " {} says: {}", text(&job["provider"]), safe(says))?;
        }
    }
    writeln!(out)
}

/// A job with a line for each field.
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

/// The catalogue, a line for each action.
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

/// A new webhook endpoint, with its secret.
pub fn new_webhook(out: &mut dyn Write, new: &Value) -> Result<()> {
    webhooks(out, std::slice::from_ref(new))?;
    writeln!(out, "secret  {}", text(&new["secret"]))?;
    writeln!(out, "Keep the secret now: it cannot be printed again.")
}

/// Webhook endpoints, one a line.
pub fn webhooks(out: &mut dyn Write, endpoints: &[Value]) -> Result<()> {
    for endpoint in endpoints {
        let events: Vec<_> = list(&endpoint["events"]).iter().map(text).collect();
        let events = if events.is_empty() { "all".to_owned() } else { events.join(",") };
        let why = endpoint["disabled_because"].as_str().map(|why| format!(" ({})", safe(why))).unwrap_or_default();
        let [id, url, status] = ["id", "url", "status"].map(|name| text(&endpoint[name]));
        writeln!(out, "{id}  {status}{why}  {events}  {url}")?;
    }
    Ok(())
}

/// How a delivery went.
pub fn delivery(out: &mut dyn Write, delivery: &Value) -> Result<()> {
    let [id, status] = ["webhook_id", "status"].map(|name| text(&delivery[name]));
    let code = delivery["last_code"].as_u64().map(|code| format!(", the answer was {code}")).unwrap_or_default();
    let error = delivery["last_error"].as_str().map(|error| format!(", {}", safe(error))).unwrap_or_default();
    let next = delivery["next_attempt_at"].as_str().filter(|_| !error.is_empty());
    let next = next.map(|next| format!("; it is tried again at {}", safe(next))).unwrap_or_default();
    writeln!(out, "{id}  {status}{code}{error}{next}")
}

/// The items of a list; none for anything else.
pub fn list(value: &Value) -> &[Value] {
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
    let obeyed = |c: char| (c.is_control() && c != '\n') || domain::reorders(c);
    if text.contains(obeyed) { text.replace(obeyed, "\u{fffd}").into() } else { text.into() }
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
    fn a_plan_shows_every_field_of_every_action_and_how_to_answer_its_questions() {
        let params = json!({ "to": ["john@example.com", "ana@example.com"], "subject": "Hi", "text": "one\ntwo" });
        let options = json!([{ "value": "one", "label": "One mail" }, { "value": "each", "label": "One each" }]);
        let answer = json!({
            "plan": { "plan_id": "p1", "actions": [{ "action": "gmail.send", "params": params }], "notes": null,
                "warnings": [{ "code": "external", "field": null, "text": "John is external." }],
                "clarifications": [
                    { "id": "q_1", "kind": "address", "text": "Who else?", "options": null },
                    { "id": "q_2", "kind": "confirm", "text": "Now?", "options": null },
                    { "id": "q_3", "kind": "choice", "text": "How?", "options": options },
                ] },
            "meta": { "model": "rules" },
        });
        let shown = "gmail.send\n  to        john@example.com, ana@example.com\n  subject   Hi\n  \
             text      one\n            two\n\n! John is external. (external)\nplan p1, by rules\n";
        let questions = "? Who else?\n  q_1 (address): --answer q_1=ADDRESS\n\
             ? Now?\n  q_2 (confirm): --answer q_2=true or --answer q_2=false\n\
             ? How?\n  q_3 (choice), one of:\n    --answer q_3=one  One mail\n    --answer q_3=each  One each\n\
             To answer, plan the same prompt again with every answer so far:\n  \
             orchestrator plan \"…\" --answer ID=VALUE --answer ID=VALUE\n";
        assert_eq!(printed(|out, value| plan(out, value, true), &answer), format!("{shown}{questions}"));
        assert_eq!(printed(|out, value| plan(out, value, false), &answer), shown);
    }

    #[test]
    fn a_line_names_the_job_and_says_what_it_waits_for_or_what_went_wrong() {
        let job = json!({ "job_id": "j", "status": "pending", "action": "gmail.send", "created_at": "t", "error": null,
            "summary": { "title": "Hi", "recipients": ["a@example.com", "b@example.com"], "more": 2 },
            "waiting_for": "rate-limit", "waiting_until": "u" });
        let line = "j  pending    gmail.send  t  Hi to a@example.com, b@example.com and 2 more  waits for rate-limit until u\n";
        assert_eq!(printed(job_line, &job), line);
        let job = json!({ "job_id": "j", "status": "error", "action": "gmail.send", "created_at": "t", "provider": "google",
            "summary": { "title": "Hi", "recipients": [], "more": 0 }, "waiting_for": null,
            "error": { "code": "c", "message": "No.", "provider_says": "Invalid To" } });
        assert_eq!(printed(job_line, &job), "j  error      gmail.send  t  Hi  c: No. google says: Invalid To\n");
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
