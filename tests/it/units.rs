//! What an action costs in DynamoDB's write units. The real program plans, executes and works a mail; a proxy in front of
//! DynamoDB sizes each item and each entry of an index as AWS bills them.
//!
//! `scripts/costs` reads the table that this prints.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex},
};

use adapters::aws::{pack, unpack};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use contracts::{
    Ministack,
    proxies::{AwsProxy, Reaction},
    servers::RedisServer,
};
use fakes::{
    Fakes,
    model::{FakeModel, Reply},
};
use serde_json::{Map, Value, json};

use crate::support::{GMAIL_COMPOSE, GMAIL_SEND, Server, reply, run};

/// What a write was for, in the order of the table.
const STEPS: [&str; 6] = ["plan", "insert", "claim", "draft", "sending", "end"];
/// The most units that the steps may cost, without the draft: (characters of the mail, units).
const MOST: [(usize, u64); 2] = [(120, 30), (1200, 34)];
/// The length of a data key as KMS seals it, in base64. MiniStack's are shorter.
const SEALED_KEY: usize = 246;
/// From how many bytes on the ledger packs a body.
const PACKED_FROM: usize = 512;
/// A unit of DynamoDB.
const UNIT: usize = 1024;

const TEXT: &str = "Hello John, thank you for the good meeting this morning in Berlin. I will send you the signed offer \
    on Thursday, as agreed. Before that, my colleagues in the legal department want to read the second chapter once \
    more, since your changes of last week are not in their copy yet. Could you tell me which version your side looked \
    at? We also spoke about delivery: the first twelve pallets leave our warehouse in Hamburg on the ninth, the rest \
    follows a week later by rail. If the ramp at your site is still being rebuilt by then, please let Mrs. Keller know \
    early, so that she can book smaller trucks. Payment stays as in the old contract, thirty days after delivery, with \
    two per cent off for anything that arrives within ten. One more point that we left open is training. Two of our \
    engineers could come to you in the first week of March and show your people how the new scanners work; that would \
    cost nothing but their travel. Please say until Friday whether this suits you, otherwise the hotel will give the \
    rooms away. And thanks again for lunch, that was a lovely place by the river. I look forward to our next call. Best \
    wishes from all of us here, and enjoy the long weekend with your family up in the mountains!";

type Item = Map<String, Value>;

/// The table's items, and the units that were written, by step.
#[derive(Default)]
struct Bill {
    /// The keys of the indexes, which project keys only.
    indexes: Vec<[String; 2]>,
    items: HashMap<(String, String), Item>,
    units: BTreeMap<&'static str, u64>,
    log: Vec<String>,
}

impl Bill {
    /// Begins to count, from the items that are there.
    fn begin(&mut self) {
        (self.units, self.log) = Default::default();
    }

    /// Takes a call that will succeed.
    fn take(&mut self, call: &str, body: &Value) {
        match call {
            "CreateTable" => {
                let indexes = body["GlobalSecondaryIndexes"].as_array().expect("the table has indexes").iter();
                let key = |index: &Value, part| text_of(&index["KeySchema"][part]["AttributeName"]);
                self.indexes = indexes.map(|index| [key(index, 0), key(index, 1)]).collect();
            }
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                self.write(step(&body["Item"]), call.trim_end_matches("Item"), body, 1);
            }
            "TransactWriteItems" => {
                let actions = body["TransactItems"].as_array().expect("a transaction has items").iter();
                let writes: Vec<_> = actions.filter_map(|action| action.as_object()?.iter().next()).collect();
                let step = writes.iter().find_map(|(_, write)| step(&write["Item"]));
                for (name, write) in writes {
                    self.write(step, name, write, 2);
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, step: Option<&'static str>, name: &str, write: &Value, times: u64) {
        let key = if name == "Put" { &write["Item"] } else { &write["Key"] };
        let key = (text(&key["pk"]), text(&key["sk"]));
        let before = self.items.get(&key).cloned();
        let after = match name {
            "Put" => write["Item"].as_object().map(as_on_aws),
            "Update" => before.clone().map(|item| updated(item, write)),
            _ => None,
        };
        let item_size = before.iter().chain(&after).map(size).max().unwrap_or(1);
        let entries: u64 = self.indexes.iter().map(|index| entry_units(index, before.as_ref(), after.as_ref())).sum();
        let units = times * units(item_size) + entries;
        self.log.push(format!(
            "{step:?} {name} {} {}: {item_size} bytes, {units} units, {entries} of them for indexes",
            key.0, key.1
        ));
        *self.units.entry(step.unwrap_or("rest")).or_default() += units;
        match after {
            Some(item) => self.items.insert(key, item),
            None => self.items.remove(&key),
        };
    }
}

/// What the version of a job, or a plan, is written for.
fn step(item: &Value) -> Option<&'static str> {
    match item["sk"]["S"].as_str()? {
        "PLAN" => Some("plan"),
        "JOB" => {
            let job: Value = serde_json::from_str(&body_of(item)?).ok()?;
            match job["state"].as_str()? {
                "queued" => Some("insert"),
                "claimed" => Some("claim"),
                "prepared" => Some("draft"),
                "sending" => Some("sending"),
                _ => Some("end"),
            }
        }
        _ => None,
    }
}

fn text(value: &Value) -> String {
    text_of(&value["S"])
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The body of an item, which the ledger packs if it is long.
fn body_of(item: &Value) -> Option<String> {
    match item["body"]["B"].as_str() {
        Some(packed) => unpack(&STANDARD.decode(packed).ok()?),
        None => Some(item["body"]["S"].as_str()?.to_owned()),
    }
}

/// As many letters of base64 as that, as good as random: an item cannot be deflated by repeating them.
fn letters(seed: &str, count: usize) -> String {
    let hashes =
        (0..count.div_ceil(43)).map(|n| URL_SAFE_NO_PAD.encode(domain::sha256(format!("{n} {seed}").as_bytes())));
    hashes.collect::<String>()[..count].to_owned()
}

/// An item with what is longer on AWS: each sealed data key, and the account's name, which a pasted token lacks.
fn as_on_aws(item: &Item) -> Item {
    let mut item = item.clone();
    let Some(body) = body_of(&json!(item)) else { return item };
    let mut longer = body.clone();
    for part in body.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))) {
        let mut parts = part.split('.');
        if parts.next().is_some_and(|version| version.len() == 2 && version.starts_with('k'))
            && let Some(data_key) = parts.nth(1)
        {
            longer = longer.replace(data_key, &letters(data_key, SEALED_KEY));
        }
    }
    if item["sk"]["S"] == "JOB" && !longer.contains("\"account\":\"") {
        longer = longer.replacen("\"state\"", &format!("\"account\":\"{}\",\"state\"", letters("account", 43)), 1);
    }
    let is_packed = longer.len() >= PACKED_FROM;
    let body = if is_packed { json!({ "B": STANDARD.encode(pack(&longer)) }) } else { json!({ "S": longer }) };
    item.insert("body".to_owned(), body);
    item
}

/// An item after an update, of the two kinds that the ledger uses.
fn updated(mut item: Item, write: &Value) -> Item {
    let change = write["UpdateExpression"].as_str().unwrap_or_default();
    if let Some(names) = change.strip_prefix("REMOVE ") {
        names.split(", ").for_each(|name| drop(item.remove(name)));
    }
    for part in change.strip_prefix("SET ").unwrap_or_default().split(", ").filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once(" = ").expect("a name and a value");
        item.insert(name.to_owned(), write["ExpressionAttributeValues"][value].clone());
    }
    item
}

/// The size of an item: names and values in UTF-8; a number has a byte for two digits, and one more.
fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of(value)).sum()
}

fn size_of(value: &Value) -> usize {
    match (value["S"].as_str(), value["N"].as_str(), value["B"].as_str()) {
        (Some(text), ..) => text.len(),
        (_, Some(number), _) => number.len().div_ceil(2) + 1,
        (.., Some(bytes)) => STANDARD.decode(bytes).expect("base64").len(),
        _ => panic!("an attribute of another type: {value}"),
    }
}

fn units(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(UNIT).max(1)).expect("it is small")
}

/// What an index is written: an entry that comes, goes, or has other keys, which is both.
fn entry_units([hash, range]: &[String; 2], before: Option<&Item>, after: Option<&Item>) -> u64 {
    let entry = |item: Option<&Item>| {
        let item = item?;
        let names = ["pk", "sk", hash, range];
        names.iter().map(|name| Some(((*name).to_owned(), item.get(*name)?.clone()))).collect::<Option<Item>>()
    };
    let (before, after) = (entry(before), entry(after));
    if before == after { 0 } else { before.iter().chain(&after).map(|entry| units(size(entry))).sum() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_costs_no_more_write_units_than_before() {
    let (redis, aws, folder) = (RedisServer::start(false), Ministack::shared(), tempfile::tempdir().unwrap());
    let bill = Arc::new(Mutex::new(Bill::default()));
    let proxy = AwsProxy::start(aws.address(), {
        let bill = Arc::clone(&bill);
        move |call, body| {
            bill.lock().unwrap().take(call, body);
            Reaction::Forward
        }
    });
    let made = adapters::http::client(adapters::http::ClientOptions::PROVIDER).post(aws.url());
    let made = made.header("x-amz-target", "TrentService.CreateKey").header("x-amz-date", "20270101T000000Z");
    let made = reply(made.header("content-type", "application/x-amz-json-1.1").body("{}")).await;
    let kms_key = made.body["KeyMetadata"]["KeyId"].as_str().unwrap_or_else(|| panic!("no key: {made:?}")).to_owned();
    let (fakes, model) = (Fakes::start().await.unwrap(), FakeModel::new("sk-test"));
    let (model_url, redis_url, aws_url) = (model.serve().await, redis.url(), proxy.url());
    let variables = [
        ("REDIS_URL", redis_url.as_str()),
        ("QUEUE_URL", "redis"),
        ("LEDGER_TABLE", "units"),
        ("KMS_KEY_ID", kms_key.as_str()),
        ("AWS_ENDPOINT_URL", aws_url.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("OPENAI_BASE_URL", model_url.as_str()),
        ("OPENAI_API_KEY", "sk-test"),
        ("AI_MAX_TOKENS_PER_MIN", "1000000"),
        ("LIMIT_REQUESTS_PER_KEY", "10000"),
        ("LIMIT_REQUESTS_PER_WORKSPACE", "10000"),
    ];
    run(folder.path(), &variables, &["create-table"]);
    let scopes = "actions:preview,actions:execute";
    let key = run(folder.path(), &variables, &["keys", "create", "--workspace", "local", "--scopes", scopes]);
    let mut sums = Vec::new();
    for (scope, by) in [(GMAIL_SEND, "directly"), (GMAIL_COMPOSE, "by draft")] {
        let server = start(folder.path(), &fakes, scope, &variables, &key);
        // The first writes of a workspace and of a chain are no action's usual ones.
        for _ in 0..24 {
            act(&server, &model, "Hello").await;
        }
        for (length, most) in MOST {
            bill.lock().unwrap().begin();
            act(&server, &model, &TEXT[..length]).await;
            let bill = bill.lock().unwrap();
            println!("{}", bill.log.join("\n"));
            let steps = STEPS.map(|step| format!("{step} {}", bill.units.get(step).copied().unwrap_or(0))).join(", ");
            let sum: u64 = STEPS.iter().filter_map(|step| bill.units.get(step)).sum();
            println!("units: a mail of {length} characters, sent {by}: {steps}: {sum}");
            let draft = bill.units.get("draft").copied().unwrap_or(0);
            sums.push((length, by, sum - draft, most));
        }
    }
    assert!(sums.iter().all(|(_, _, sum, most)| sum <= most), "{sums:?}");
}

fn start(folder: &Path, fakes: &Fakes, scope: &str, variables: &[(&str, &str)], key: &str) -> Server {
    fakes.reset();
    let mut server = Server::start_live(folder, fakes, scope, variables);
    server.use_key(key);
    server
}

/// Plans a mail, executes the plan and waits for its end.
async fn act(server: &Server, model: &FakeModel, text: &str) {
    let params = json!({
        "to": ["john@example.com"], "subject": "Our meeting", "text": text,
        "html": null, "cc": null, "bcc": null, "reply_to": null,
    });
    let actions = json!([{ "provider": "google", "action": "gmail.send", "params": params }]);
    let plan = json!({ "intent": "send_email", "confidence": 0.9, "actions": actions, "questions": [], "notes": null });
    model.script(Reply::Plan(plan));
    let prompt = format!("Send email to john@example.com with the subject Our meeting and this text: {text}");
    let planned = server.post("/ai/plan2", &json!({ "prompt": prompt })).await;
    assert_eq!(planned.status, 200, "{}", planned.body);
    let executed = server.post("/ai/execute", &json!({ "plan_id": planned.body["plan"]["plan_id"] })).await;
    assert_eq!(executed.status, 202, "{}", executed.body);
    let job = server.ended(executed.body["job_ids"][0].as_str().expect("a job id")).await;
    assert_eq!(job["status"], "completed", "{job}");
}
