//! Mixed load for a long time, at half of what the program can take.

use std::{
    cell::RefCell,
    mem,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use adapters::system::SystemClock;
use engine::ports::Clock;
use fakes::{Fakes, Holdings, Listener, Provider, Token};
use hyper::{Method, StatusCode, body::Bytes};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::{task::spawn_local, time::interval};

use crate::{
    client::Client,
    load::slow_google,
    program::Program,
    rate::{closed_loop, percentiles},
    requests,
    stage::{GMAIL_SEND, Stage},
};

/// So many people at once show what the program can take. Some of them wait for a time.
const PEOPLE: usize = 128;
/// For so long, or for a tenth of the time if that is less.
const PROBE: Duration = Duration::from_secs(20);
/// How often a line is printed.
const LINE: Duration = Duration::from_secs(10);
/// How far ahead a mail for later is.
const LATER: SignedDuration = SignedDuration::from_secs(1);
/// How long what a webhook refused may take to come again.
const HEARD_WITHIN: Duration = Duration::from_mins(2);

const CONTACTS: &str = "https://www.googleapis.com/auth/contacts.readonly";
const ANA: &str = r#"{"prompt": "Email Ana Example saying the report is ready"}"#;

/// What a session does.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Mails to an address.
    Plain,
    /// Mails a second later.
    Later,
    /// Mails to a person whose address is looked up.
    LookedUp,
    /// An agent asks for a mail by the Model Context Protocol, and a person approves it.
    Agent,
}

const KINDS: [Kind; 5] = [Kind::Plain, Kind::Later, Kind::Plain, Kind::LookedUp, Kind::Agent];

/// What has been seen since the last line.
#[derive(Default)]
struct Seen {
    sessions: u64,
    errors: u64,
    execute: Vec<Duration>,
    poll: Vec<Duration>,
    plan: Vec<Duration>,
    ended: Vec<Duration>,
    /// The jobs, and whether a person approved them.
    jobs: Vec<(String, bool)>,
}

/// A person and an agent, each with a connection.
struct Pair {
    person: Client,
    agent: Client,
}

impl Pair {
    async fn connect(stage: &Stage) -> Self {
        let connect = async |key: usize| Client::connect(&stage.server.url, Some(&stage.keys[key])).await;
        Self { person: connect(0).await, agent: connect(1).await }
    }
}

/// Runs the load, prints what it sees, and panics when a request failed, a mail went out twice or not at all, an event
/// was not told, or something is left over.
pub async fn run(program: &Path, time: Duration) {
    let fakes = google_with_contacts().await;
    let (listener, endpoint) = Listener::start().await;
    let people = fakes.people_url();
    let scopes = format!("{GMAIL_SEND} {CONTACTS}");
    let variables = [
        ("GMAIL_BASE_URL", fakes.base_url()),
        ("PEOPLE_BASE_URL", &people),
        ("GOOGLE_ACCESS_TOKEN", "t"),
        ("GOOGLE_ACCESS_TOKEN_SCOPES", &scopes),
        ("WEBHOOK_ALLOW_HOSTS", "127.0.0.1"),
    ];
    let all = "actions:preview,actions:execute,actions:approve,accounts:read,webhooks:write";
    let of_person = ["--scopes", all];
    let of_agent = ["--scopes", "actions:preview,actions:execute", "--agent"];
    let stage = Rc::new(Stage::start_with_keys(program, &variables, &[&of_person, &of_agent]));
    let server = &stage.server;
    let mut watcher = Client::connect(&server.url, Some(&stage.keys[0])).await;
    watcher.post_json("/webhooks", &json!({ "url": endpoint })).await;

    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut people = Vec::new();
    for turn in 0..PEOPLE {
        let (mut pair, seen) = (Pair::connect(&stage).await, Rc::clone(&seen));
        let mut kinds = KINDS.into_iter().cycle().skip(turn);
        people.push(async move || session(kinds.next().expect("it never ends"), &mut pair, &seen).await);
    }
    let most = closed_loop(people, PROBE.min(time / 10)).await.per_second;
    let mut total = mem::take(&mut *seen.borrow_mut());
    eprintln!("{most:.1} sessions a second at most; half of it for {} minutes", time.as_secs() / 60);

    println!(
        "s,sessions_per_s,execute_p50_ms,execute_p99_ms,poll_p50_ms,poll_p99_ms,plan2_p50_ms,end_p50_ms,end_p99_ms,resident_mib,open_jobs,errors"
    );
    let free: Rc<RefCell<Vec<Pair>>> = Rc::default();
    let (began, mut pairs) = (Instant::now(), 0);
    let mut starts = interval(Duration::from_secs_f64(2.0 / most));
    let mut kinds = KINDS.into_iter().cycle();
    let mut last = Instant::now();
    while began.elapsed() < time {
        starts.tick().await;
        let kept = free.borrow_mut().pop();
        let mut pair = if let Some(pair) = kept {
            pair
        } else {
            pairs += 1;
            Pair::connect(&stage).await
        };
        let (free, to_tell) = (Rc::clone(&free), Rc::clone(&seen));
        let kind = kinds.next().expect("it never ends");
        spawn_local(async move {
            session(kind, &mut pair, &to_tell).await;
            free.borrow_mut().push(pair);
        });
        if last.elapsed() >= LINE {
            let mut so_far = mem::take(&mut *seen.borrow_mut());
            total.take(&mut so_far);
            print(so_far, began.elapsed(), last.elapsed(), server, requests::open_jobs(&mut watcher).await);
            last = Instant::now();
        }
    }
    while requests::open_jobs(&mut watcher).await > 0 || free.borrow().len() < pairs {}
    total.take(&mut seen.borrow_mut());
    let (ended, mut unheard) = (Instant::now(), total.unheard(&listener));
    while unheard > 0 && ended.elapsed() < HEARD_WITHIN {
        tokio::time::sleep(Duration::from_secs(1)).await;
        unheard = total.unheard(&listener);
    }
    let Seen { sessions, errors, jobs, .. } = total;
    let (delivered, held) = (fakes.deliveries().len() as u64, jobs.iter().filter(|(_, held)| *held).count());
    eprintln!("{sessions} jobs, {held} of them approved; {delivered} mails, {unheard} events unheard, {errors} errors");
    assert!(errors == 0 && delivered == sessions && unheard == 0, "each mail once, each event told, no request failed");
}

async fn google_with_contacts() -> Fakes {
    let fakes = slow_google().await;
    fakes.add_token(Token::new(Provider::Google, "t", &[GMAIL_SEND, CONTACTS]));
    let ana = json!({ "resourceName": "people/1", "names": [{ "displayName": "Ana Example" }],
        "emailAddresses": [{ "value": "ana@example.com" }] });
    fakes.hold(Provider::Google, Holdings { contacts: vec![ana], ..Holdings::default() });
    fakes
}

impl Seen {
    /// Adds up what does not go into a line.
    fn take(&mut self, more: &mut Self) {
        self.sessions += more.sessions;
        self.errors += more.errors;
        self.jobs.append(&mut more.jobs);
    }

    /// How many events the webhook endpoint was not told of.
    fn unheard(&self, listener: &Listener) -> usize {
        let events = self.jobs.iter().flat_map(|(job, held)| {
            let held = held.then_some("job.held");
            held.into_iter().chain(["job.completed"]).map(move |event| (event, job))
        });
        events.filter(|(event, job)| !listener.has_heard(event, job)).count()
    }
}

/// Asks, notes what failed, and tells how long it took.
struct Asking<'s> {
    errors: u64,
    seen: &'s RefCell<Seen>,
}

impl Asking<'_> {
    async fn ask(&mut self, client: &mut Client, method: Method, path: &str, body: Bytes) -> (Value, Duration) {
        let before = Instant::now();
        let (status, body) = client.ask(method, path, body).await;
        if !matches!(status, StatusCode::OK | StatusCode::ACCEPTED) {
            self.errors += 1;
            eprintln!("{path}: {status} {}", String::from_utf8_lossy(&body));
        }
        (serde_json::from_slice::<Value>(&body).unwrap_or_default(), before.elapsed())
    }

    async fn get(&mut self, client: &mut Client, path: &str) -> (Value, Duration) {
        self.ask(client, Method::GET, path, Bytes::new()).await
    }

    /// Plans a prompt; gives back the plan.
    async fn plan(&mut self, client: &mut Client, body: &'static str) -> Value {
        let (answer, took) = self.ask(client, Method::POST, "/ai/plan2", Bytes::from_static(body.as_bytes())).await;
        self.seen.borrow_mut().plan.push(took);
        answer["plan"].clone()
    }

    /// Executes, and does the same again by mistake; gives back the job.
    async fn execute(&mut self, client: &mut Client, body: &Value) -> String {
        let body = Bytes::from(body.to_string());
        let (first, took) = self.ask(client, Method::POST, "/ai/execute", body.clone()).await;
        let (again, _) = self.ask(client, Method::POST, "/ai/execute", body).await;
        self.seen.borrow_mut().execute.push(took);
        self.same(&first, &again)
    }

    /// The job of two answers to the same request.
    fn same(&mut self, first: &Value, again: &Value) -> String {
        let same = first["job_ids"] == again["job_ids"] && again["jobs"][0]["replayed"] == true;
        self.errors += u64::from(!same);
        first["job_ids"][0].as_str().unwrap_or_default().to_owned()
    }

    /// Calls a tool of the Model Context Protocol; gives back its data.
    async fn tool(&mut self, client: &mut Client, name: &str, arguments: Value) -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let (answer, _) = self.ask(client, Method::POST, "/mcp", message.to_string().into()).await;
        self.errors += u64::from(answer["result"]["isError"] != false);
        answer["result"]["structuredContent"].clone()
    }
}

/// What a person's product does: plan, execute, the same again by mistake, look, list, and wait for the end.
async fn session(kind: Kind, Pair { person, agent }: &mut Pair, seen: &RefCell<Seen>) {
    let mut asking = Asking { errors: 0, seen };
    let began = Instant::now();
    let id = match kind {
        Kind::Plain => {
            asking.plan(person, requests::PROMPT).await;
            asking.execute(person, &requests::execute(1)).await
        }
        Kind::Later => {
            let mut body = requests::execute(1);
            body["actions"][0]["send_at"] = (SystemClock.now() + LATER).to_string().into();
            asking.execute(person, &body).await
        }
        Kind::LookedUp => {
            let plan = asking.plan(person, ANA).await;
            let resolve = format!("/ai/plans/{}/resolve", plan["plan_id"].as_str().unwrap_or_default());
            let (resolved, _) = asking.ask(person, Method::POST, &resolve, Bytes::from_static(b"{}")).await;
            asking.execute(person, &json!({ "plan_id": resolved["plan"]["plan_id"] })).await
        }
        Kind::Agent => {
            let prompt = json!({ "prompt": "Send email to john@example.com saying thanks for the meeting" });
            let plan = asking.tool(agent, "plan", prompt).await;
            let arguments = json!({ "plan_id": plan["plan"]["plan_id"] });
            let first = asking.tool(agent, "execute_plan", arguments.clone()).await;
            let again = asking.tool(agent, "execute_plan", arguments).await;
            let id = asking.same(&first, &again);
            let (held, _) = asking.get(person, &format!("/ai/jobs/{id}")).await;
            let decision = json!({ "payload_sha256": held["payload_sha256"] });
            let approve = format!("/ai/jobs/{id}/approve");
            asking.ask(person, Method::POST, &approve, decision.to_string().into()).await;
            id
        }
    };
    let job = format!("/ai/jobs/{id}");
    for _ in 0..5 {
        let (_, took) = asking.get(person, &job).await;
        seen.borrow_mut().poll.push(took);
    }
    asking.get(person, "/ai/jobs?limit=20").await;
    let wait = format!("{job}?wait=20");
    let ended = loop {
        let (job, _) = asking.get(person, &wait).await;
        match job["status"].as_str() {
            Some("pending" | "running") => {}
            status => break status == Some("completed"),
        }
    };
    let mut seen = seen.borrow_mut();
    seen.sessions += 1;
    seen.errors += asking.errors + u64::from(!ended);
    seen.jobs.push((id, matches!(kind, Kind::Agent)));
    // The others wait for a time or a person.
    if matches!(kind, Kind::Plain) {
        seen.ended.push(began.elapsed());
    }
}

fn print(mut seen: Seen, at: Duration, lasted: Duration, server: &Program, open: usize) {
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let [execute, execute_99] = percentiles(&mut seen.execute, [50, 99]).map(ms);
    let [poll, poll_99] = percentiles(&mut seen.poll, [50, 99]).map(ms);
    let [plan] = percentiles(&mut seen.plan, [50]).map(ms);
    let [ended, ended_99] = percentiles(&mut seen.ended, [50, 99]).map(ms);
    println!(
        "{},{:.1},{execute:.2},{execute_99:.2},{poll:.2},{poll_99:.2},{plan:.2},{ended:.1},{ended_99:.1},{:.1},{open},{}",
        at.as_secs(),
        seen.sessions as f64 / lasted.as_secs_f64(),
        server.resident_kib() as f64 / 1024.0,
        seen.errors,
    );
}
