//! Prints the API's answers for a person at a terminal.

use std::{
    borrow::Cow,
    io::{Result, Write},
};

use serde_json::Value;

use super::table::{Cell, Reader};

/// The heads of a table of jobs.
const JOB_HEADS: [&str; 6] = ["JOB", "STATUS", "ACTION", "ACCEPTED", "WHAT", "NOTE"];

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
        for found in list(&action["recipients"]).iter().filter(|recipient| !recipient["lookup"].is_null()) {
            let outside = if found["external"] == true { ", outside" } else { "" };
            writeln!(out, "  found     {} ({}{outside})", text(&found["address"]), text(&found["source"]))?;
        }
        writeln!(out)?;
    }
    warnings(out, &plan["warnings"])?;
    if let Some(notes) = plan["notes"].as_str() {
        writeln!(out, "{}", safe(notes))?;
    }
    if !list(&plan["actions"]).is_empty() {
        writeln!(out, "plan {}, by {}", text(&plan["plan_id"]), text(&answer["meta"]["model"]))?;
        if list(&plan["questions"]).is_empty() {
            writeln!(out, "  orchestrator execute {}   # {}", text(&plan["plan_id"]), what_it_does(answer))?;
        }
    }
    let questions = list(&plan["clarifications"]);
    if and_questions && !questions.is_empty() {
        questions.iter().try_for_each(|question| how_to_answer(out, question))?;
        writeln!(out, "To answer, plan the same prompt again with every answer so far:")?;
        writeln!(out, "  orchestrator plan \"…\" --answer ID=VALUE --answer ID=VALUE")?;
    }
    Ok(())
}

fn warnings(out: &mut dyn Write, warnings: &Value) -> Result<()> {
    list(warnings)
        .iter()
        .try_for_each(|warning| writeln!(out, "! {} ({})", text(&warning["text"]), text(&warning["code"])))
}

/// Each action of a plan with the exact text that would go out.
pub fn previews(out: &mut dyn Write, previews: &[Value]) -> Result<()> {
    for shown in previews {
        let (action, preview) = (&shown["action"], &shown["preview"]);
        let from = preview["from"].as_str().map(|from| format!(" as {}", safe(from))).unwrap_or_default();
        writeln!(out, "{}{from}, sha256 {}", text(&action["action"]), text(&preview["sha256"]))?;
        warnings(out, &preview["warnings"])?;
        let body = preview["body"].as_str().unwrap_or_default().replace("\r\n", "\n");
        writeln!(out, "\n{}\n", safe(body.trim_end()))?;
    }
    Ok(())
}

/// What executing a plan does, through which accounts.
fn what_it_does(answer: &Value) -> String {
    let count = list(&answer["plan"]["actions"]).len();
    let drafts = if answer["plan"]["draft_only"] == true { ", which is left as a draft" } else { "" };
    let accounts = list(&answer["accounts"]).iter().map(|account| match account["mode"].as_str() {
        Some("live") => match account["address"].as_str() {
            Some(address) => format!("live as {}", safe(address)),
            None => format!("live as the account of {}", text(&account["provider"])),
        },
        Some("sandbox") => "into the sandbox's outbox".to_owned(),
        other => format!("{}: {}", text(&account["provider"]), safe(other.unwrap_or_default())),
    });
    let accounts = accounts.collect::<Vec<_>>().join(" and ");
    format!("{count} action{}{drafts}, {accounts}", if count == 1 { "" } else { "s" })
}

/// Whether executing a plan reaches a real account.
pub fn is_live(answer: &Value) -> bool {
    list(&answer["accounts"]).iter().any(|account| account["mode"] == "live")
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
pub fn accepted(out: &mut dyn Write, reader: Reader, accepted: &Value) -> Result<()> {
    let row = |job: &Value| {
        let again = if job["replayed"] == true { "(the same job as before)" } else { "" };
        vec![line(&job["job_id"]).into(), Cell::status(&line(&job["status"])), again.into(), waits(reader, job).into()]
    };
    reader.table(out, &["JOB", "STATUS"], &list(&accepted["jobs"]).iter().map(row).collect::<Vec<_>>())
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
fn waits(reader: Reader, job: &Value) -> String {
    let Some(what) = job["waiting_for"].as_str() else { return String::new() };
    let until = job["waiting_until"].as_str().map(|until| format!(" until {}", reader.time(&safe(until))));
    format!("waits for {}{}", safe(what), until.unwrap_or_default())
}

/// Jobs, a line each.
pub fn jobs(out: &mut dyn Write, reader: Reader, jobs: &[Value]) -> Result<()> {
    reader.table(out, &JOB_HEADS, &jobs.iter().map(|job| row(reader, job)).collect::<Vec<_>>())
}

/// A job in one line, without a head.
pub fn job_line(out: &mut dyn Write, reader: Reader, job: &Value) -> Result<()> {
    reader.table(out, &[], &[row(reader, job)])
}

fn row(reader: Reader, job: &Value) -> Vec<Cell> {
    let summary = &job["summary"];
    let mut note = waits(reader, job);
    if let Some(error) = job["error"].as_object() {
        let says = error.get("provider_says").and_then(Value::as_str);
        let says = says.map(|says| format!(" {} says: {}", line(&job["provider"]), line(&says.into())));
        note = format!("{}: {}{}", line(&error["code"]), line(&error["message"]), says.unwrap_or_default());
    }
    vec![
        line(&job["job_id"]).into(),
        Cell::status(&line(&job["status"])).at_least(9),
        line(&job["action"]).into(),
        reader.time(&line(&job["created_at"])).into(),
        what(reader, &summary["title"], list(&summary["recipients"]), summary["more"].as_u64().unwrap_or_default())
            .into(),
        note.into(),
    ]
}

/// "Thanks for the meeting to john@example.com and 2 more".
fn what(reader: Reader, title: &Value, recipients: &[Value], more: u64) -> String {
    let title = reader.short(&line(title));
    let recipients = recipients.iter().map(line).collect::<Vec<_>>().join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if recipients.is_empty() { title } else { format!("{title} to {recipients}{more}") }
}

/// What to type next about a job that needs somebody.
pub fn next(out: &mut dyn Write, job: &Value) -> Result<()> {
    let id = line(&job["job_id"]);
    let (error, waiting_for) = (&job["error"], job["waiting_for"].as_str());
    if let Some(remediation) = error["remediation"].as_str() {
        writeln!(out, "{}", safe(remediation))?;
    }
    match error["code"].as_str() {
        Some("outcome-unknown") => writeln!(out, "  orchestrator job resolve {id} --sent   # or --not-sent"),
        Some(_) if error["retriable"] == true => writeln!(out, "  orchestrator job retry {id}"),
        None if waiting_for == Some("approval") => writeln!(out, "  orchestrator approve {id}   # or reject"),
        None if waiting_for == Some("time") => writeln!(out, "  orchestrator job cancel {id}   # takes it back"),
        _ => Ok(()),
    }
}

/// A job with a line for each field.
pub fn job(out: &mut dyn Write, reader: Reader, job: &Value) -> Result<()> {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    for (name, value) in job.as_object().into_iter().flatten().filter(|(_, value)| !is_empty(value)) {
        match value.as_object() {
            Some(inner) => {
                writeln!(out, "{name}")?;
                inner.iter().try_for_each(|(name, value)| field(out, name, value))?;
            }
            None if name.ends_with("_at") => writeln!(out, "{name:<18} {}", reader.time(&text(value)))?,
            None => writeln!(out, "{name:<18} {}", text(value))?,
        }
    }
    Ok(())
}

/// The catalogue, a line for each action.
pub fn actions(out: &mut dyn Write, reader: Reader, actions: &Value) -> Result<()> {
    let row = |action: &Value| {
        let allowed = if action["allowed"] == true { "allowed" } else { "not allowed" };
        let texts = ["mode", "address", "title"].map(|name| line(&action[name]));
        let [mode, address, title] = texts;
        let id = line(&action["id"]);
        vec![id.into(), Cell::status(allowed), Cell::status(&mode), address.into(), title.into()]
    };
    let rows: Vec<Vec<Cell>> = list(&actions["data"]).iter().map(row).collect();
    reader.table(out, &["ACTION", "PERMISSION", "MODE", "ACCOUNT", "WHAT"], &rows)
}

/// The outbox, a line for each action.
pub fn outbox(out: &mut dyn Write, reader: Reader, outbox: &Value) -> Result<()> {
    let row = |entry: &Value| {
        let [id, at, action] = ["job_id", "written_at", "action"].map(|name| line(&entry[name]));
        let what = what(reader, &entry["title"], list(&entry["recipients"]), 0);
        vec![id.into(), action.into(), reader.time(&at).into(), what.into()]
    };
    let rows: Vec<Vec<Cell>> = list(&outbox["data"]).iter().map(row).collect();
    reader.table(out, &["JOB", "ACTION", "RECORDED", "WHAT"], &rows)
}

/// Whose key it is, at which server.
pub fn whoami(out: &mut dyn Write, url: &str, whoami: &Value) -> Result<()> {
    let joined = |value: &Value| list(value).iter().map(line).collect::<Vec<_>>().join(", ");
    let or = |value: &Value, none: &str| if value.is_null() { none.to_owned() } else { line(value) };
    let actions =
        if whoami["actions"].is_null() { "all of the workspace".to_owned() } else { joined(&whoami["actions"]) };
    let is_token = !whoami["actor_sha256"].is_null();
    let no_key = if is_token { "none: an access token of your issuer" } else { "none: this server has no keys" };
    for (name, value) in [
        ("server", url.to_owned()),
        ("workspace", line(&whoami["workspace_id"])),
        ("key", or(&whoami["key_id"], no_key)),
        ("scopes", joined(&whoami["scopes"])),
        ("actions", actions),
        ("actor", or(&whoami["actor_sha256"], "any")),
    ] {
        writeln!(out, "{name:<10} {value}")?;
    }
    if !whoami["key_id"].is_null() {
        writeln!(out, "{:<10} {}", "expires", or(&whoami["expires_at"], "never"))?;
    }
    for (name, meaning) in
        [("agent", "its jobs are held until a person approves them"), ("draft_only", "its sends end as drafts")]
    {
        if whoami[name] == true {
            writeln!(out, "{name:<10} {meaning}")?;
        }
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
pub fn new_webhook(out: &mut dyn Write, reader: Reader, new: &Value) -> Result<()> {
    webhooks(out, reader, std::slice::from_ref(new))?;
    writeln!(out, "secret  {}", text(&new["secret"]))?;
    writeln!(out, "Keep the secret now: it cannot be printed again.")
}

/// Webhook endpoints, one a line.
pub fn webhooks(out: &mut dyn Write, reader: Reader, endpoints: &[Value]) -> Result<()> {
    let row = |endpoint: &Value| {
        let events = list(&endpoint["events"]).iter().map(line).collect::<Vec<_>>();
        let events = if events.is_empty() { "all".to_owned() } else { events.join(",") };
        let why = endpoint["disabled_because"].as_str().map(|why| format!("({})", safe(why))).unwrap_or_default();
        let [id, url, status] = ["id", "url", "status"].map(|name| line(&endpoint[name]));
        vec![id.into(), Cell::status(&status), events.into(), url.into(), why.into()]
    };
    let rows: Vec<Vec<Cell>> = endpoints.iter().map(row).collect();
    reader.table(out, &["ENDPOINT", "STATUS", "EVENTS", "URL", "NOTE"], &rows)
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

/// The same in one line.
fn line(value: &Value) -> String {
    text(value).replace('\n', " ")
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
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    fn printed_line(job: &Value) -> String {
        printed(|out, job| job_line(out, Reader::PROGRAM, job), job)
    }

    #[test]
    fn a_plan_shows_every_field_of_every_action_and_how_to_answer_its_questions() {
        let params = json!({ "to": ["john@example.com", "ana@example.com"], "subject": "Hi", "text": "one\ntwo" });
        let options = json!([{ "value": "one", "label": "One mail" }, { "value": "each", "label": "One each" }]);
        let answer = json!({
            "plan": { "plan_id": "p1", "actions": [{ "action": "gmail.send", "params": params }], "notes": null,
                "warnings": [{ "code": "external", "field": null, "text": "John is external." }],
                "questions": ["Who else?", "Now?", "How?"],
                "clarifications": [
                    { "id": "q_1", "kind": "address", "text": "Who else?", "options": null },
                    { "id": "q_2", "kind": "confirm", "text": "Now?", "options": null },
                    { "id": "q_3", "kind": "choice", "text": "How?", "options": options },
                ] },
            "meta": { "model": "rules" }, "accounts": [{ "provider": "google", "mode": "sandbox", "address": null }],
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
    fn a_plan_ends_with_what_to_type_next_and_what_that_does() {
        let account = |mode: &str| json!({ "provider": "google", "mode": mode, "address": "ana@example.com" });
        let action = json!({ "action": "gmail.send", "params": {} });
        for (count, accounts, questions, draft_only, does) in [
            (1, vec![account("sandbox")], json!([]), false, Some("1 action, into the sandbox's outbox")),
            (1, vec![account("live")], json!([]), false, Some("1 action, live as ana@example.com")),
            (
                1,
                vec![account("live")],
                json!([]),
                true,
                Some("1 action, which is left as a draft, live as ana@example.com"),
            ),
            (
                2,
                vec![account("live"), account("sandbox")],
                json!([]),
                false,
                Some("2 actions, live as ana@example.com and into the sandbox's outbox"),
            ),
            (
                1,
                vec![json!({ "provider": "google", "mode": "live", "address": null })],
                json!([]),
                false,
                Some("1 action, live as the account of google"),
            ),
            (1, vec![account("needs_reauth")], json!([]), false, Some("1 action, google: needs_reauth")),
            (1, vec![account("live")], json!(["Who?"]), false, None),
            (0, vec![], json!([]), false, None),
        ] {
            let actions = vec![action.clone(); count];
            let plan_of =
                json!({ "plan_id": "p1", "actions": actions, "questions": questions, "draft_only": draft_only });
            let answer = json!({ "plan": plan_of, "meta": { "model": "rules" }, "accounts": accounts });
            let shown = printed(|out, value| plan(out, value, false), &answer);
            let last = does.map(|does| format!("  orchestrator execute p1   # {does}"));
            assert_eq!(shown.lines().find(|line| line.contains("execute")).map(str::to_owned), last, "{shown}");
            assert_eq!(is_live(&answer), accounts.iter().any(|account| account["mode"] == "live"));
        }
    }

    #[test]
    fn a_plan_says_where_an_address_was_found_and_a_preview_shows_the_exact_text() {
        let recipient = |address: &str, source: &str, lookup: Value, external: bool| json!({ "address": address, "source": source, "lookup": lookup, "external": external });
        let recipients = [
            recipient("john@example.com", "prompt", Value::Null, false),
            recipient("sam@example.com", "contact", json!("l1"), false),
            recipient("amy@contoso.com", "event", json!("l2"), true),
        ];
        let action = json!({ "action": "gmail.send", "params": {}, "recipients": recipients });
        let answer = json!({ "plan": { "plan_id": "p", "actions": [action] }, "meta": { "model": "m" } });
        let shown = printed(|out, value| plan(out, value, false), &answer);
        let found: Vec<&str> = shown.lines().filter(|line| line.contains("found")).collect();
        assert_eq!(found, ["  found     sam@example.com (contact)", "  found     amy@contoso.com (event, outside)"]);

        let preview = json!({ "body": "Subject: Hi\r\n\r\nHi\u{1b}[2J.\r\n", "sha256": "5ad9", "from": "ana@example.com",
            "warnings": [{ "code": "external", "text": "Outside." }] });
        let shown = json!([{ "action": { "action": "gmail.send" }, "preview": preview }]);
        let text =
            "gmail.send as ana@example.com, sha256 5ad9\n! Outside. (external)\n\nSubject: Hi\n\nHi\u{fffd}[2J.\n\n";
        assert_eq!(printed(|out, value| previews(out, list(value)), &shown), text);
    }

    #[test]
    fn a_job_that_needs_somebody_says_what_to_type() {
        for (job, wanted) in [
            (
                json!({ "error": { "code": "outcome-unknown", "retriable": false, "remediation": "Look." } }),
                "Look.\n  orchestrator job resolve j --sent   # or --not-sent\n",
            ),
            (
                json!({ "error": { "code": "gave-up", "retriable": true, "remediation": null } }),
                "  orchestrator job retry j\n",
            ),
            (
                json!({ "error": { "code": "provider-rejected", "retriable": false, "remediation": "Change it." } }),
                "Change it.\n",
            ),
            (json!({ "waiting_for": "approval" }), "  orchestrator approve j   # or reject\n"),
            (json!({ "waiting_for": "time" }), "  orchestrator job cancel j   # takes it back\n"),
            (json!({ "waiting_for": "rate-limit" }), ""),
            (json!({ "status": "completed", "error": null }), ""),
        ] {
            let mut job = job;
            job["job_id"] = json!("j");
            assert_eq!(printed(next, &job), wanted, "{job}");
        }
    }

    #[test]
    fn a_line_names_the_job_and_says_what_it_waits_for_or_what_went_wrong() {
        let job = json!({ "job_id": "j", "status": "pending", "action": "gmail.send", "created_at": "t", "error": null,
            "summary": { "title": "Hi", "recipients": ["a@example.com", "b@example.com"], "more": 2 },
            "waiting_for": "rate-limit", "waiting_until": "u" });
        let line = "j  pending    gmail.send  t  Hi to a@example.com, b@example.com and 2 more  waits for rate-limit until u\n";
        assert_eq!(printed_line(&job), line);
        let job = json!({ "job_id": "j", "status": "error", "action": "gmail.send", "created_at": "t", "provider": "google",
            "summary": { "title": "Hi", "recipients": [], "more": 0 }, "waiting_for": null,
            "error": { "code": "c", "message": "No.", "provider_says": "Invalid To" } });
        assert_eq!(printed_line(&job), "j  error      gmail.send  t  Hi  c: No. google says: Invalid To\n");
    }

    #[test]
    fn a_job_cannot_control_the_terminal() {
        let job_value = json!({ "job_id": "j", "status": "error", "action": "gmail.send", "created_at": "t",
            "error": { "code": "x", "message": "\u{1b}[2J\u{202e}gone" } });
        let line = printed_line(&job_value);
        assert!(line.contains("\u{fffd}[2J\u{fffd}gone"), "{line:?}");
    }
}
