//! Mixed load for a long time, at half of what the program can take.

use std::{
    cell::RefCell,
    mem,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use hyper::{Method, StatusCode, body::Bytes};
use serde_json::Value;
use tokio::{task::spawn_local, time::interval};

use crate::{
    client::Client,
    load::slow_google,
    program::Program,
    rate::{closed_loop, percentiles},
    requests,
    stage::{Stage, google},
};

/// So many people at once show what the program can take.
const PEOPLE: usize = 32;
/// For so long, or for a tenth of the time if that is less.
const PROBE: Duration = Duration::from_secs(20);
/// How often a line is printed.
const LINE: Duration = Duration::from_secs(10);

/// What has been seen since the last line.
#[derive(Default)]
struct Seen {
    sessions: u64,
    errors: u64,
    execute: Vec<Duration>,
    poll: Vec<Duration>,
    plan: Vec<Duration>,
    ended: Vec<Duration>,
}

/// Runs the load, prints what it sees, and panics when a request failed, or a mail went out twice or not at all.
pub async fn run(program: &Path, time: Duration) {
    let fakes = slow_google().await;
    let stage = Stage::start(program, &google(fakes.base_url()));
    let server = &stage.server;

    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        let (mut client, seen) = (Client::connect(&server.url, None).await, Rc::clone(&seen));
        people.push(async move || session(&mut client, &seen).await);
    }
    let most = closed_loop(people, PROBE.min(time / 10)).await.per_second;
    let probed = mem::take(&mut *seen.borrow_mut());
    let (mut jobs, mut errors) = (probed.sessions, probed.errors);
    eprintln!("{most:.1} sessions a second at most; half of it for {} minutes", time.as_secs() / 60);

    println!(
        "s,sessions_per_s,execute_p50_ms,execute_p99_ms,poll_p50_ms,poll_p99_ms,plan2_p50_ms,end_p50_ms,end_p99_ms,resident_mib,open_jobs,errors"
    );
    let free: Rc<RefCell<Vec<Client>>> = Rc::default();
    let (began, mut clients) = (Instant::now(), 0);
    let mut watcher = Client::connect(&server.url, None).await;
    let mut starts = interval(Duration::from_secs_f64(2.0 / most));
    let mut last = Instant::now();
    while began.elapsed() < time {
        starts.tick().await;
        let kept = free.borrow_mut().pop();
        let mut client = if let Some(client) = kept {
            client
        } else {
            clients += 1;
            Client::connect(&server.url, None).await
        };
        let (free, to_tell) = (Rc::clone(&free), Rc::clone(&seen));
        spawn_local(async move {
            session(&mut client, &to_tell).await;
            free.borrow_mut().push(client);
        });
        if last.elapsed() >= LINE {
            let so_far = mem::take(&mut *seen.borrow_mut());
            jobs += so_far.sessions;
            errors += so_far.errors;
            print(so_far, began.elapsed(), last.elapsed(), server, requests::open_jobs(&mut watcher).await);
            last = Instant::now();
        }
    }
    while requests::open_jobs(&mut watcher).await > 0 || free.borrow().len() < clients {}
    let rest = mem::take(&mut *seen.borrow_mut());
    (jobs, errors) = (jobs + rest.sessions, errors + rest.errors);
    let delivered = fakes.deliveries().len();
    eprintln!("{jobs} jobs, {delivered} mails, {errors} errors");
    assert!(errors == 0 && delivered as u64 == jobs, "each mail once, and no request failed");
}

/// What a person's product does: plan, execute, the same again by mistake, look, list, and wait for the end.
async fn session(client: &mut Client, seen: &RefCell<Seen>) {
    let mut errors = 0;
    let mut ask = async |method: Method, path: &str, body: Bytes| {
        let before = Instant::now();
        let (status, body) = client.ask(method, path, body).await;
        if !matches!(status, StatusCode::OK | StatusCode::ACCEPTED) {
            errors += 1;
            eprintln!("{path}: {status} {}", String::from_utf8_lossy(&body));
        }
        (serde_json::from_slice::<Value>(&body).unwrap_or_default(), before.elapsed())
    };
    let none = Bytes::new();
    let (_, plan) = ask(Method::POST, "/ai/plan2", Bytes::from_static(requests::PROMPT.as_bytes())).await;
    let body = Bytes::from(requests::execute(1).to_string());
    let began = Instant::now();
    let (first, execute) = ask(Method::POST, "/ai/execute", body.clone()).await;
    let (again, _) = ask(Method::POST, "/ai/execute", body).await;
    let same = first["job_ids"] == again["job_ids"] && again["jobs"][0]["replayed"] == true;
    let job = format!("/ai/jobs/{}", first["job_ids"][0].as_str().unwrap_or_default());
    let mut polls = Vec::new();
    for _ in 0..5 {
        polls.push(ask(Method::GET, &job, none.clone()).await.1);
    }
    ask(Method::GET, "/ai/jobs?limit=20", none.clone()).await;
    let wait = format!("{job}?wait=20");
    let ended = loop {
        let (job, _) = ask(Method::GET, &wait, none.clone()).await;
        match job["status"].as_str() {
            Some("pending" | "running") => {}
            status => break status == Some("completed"),
        }
    };
    let mut seen = seen.borrow_mut();
    seen.sessions += 1;
    seen.errors += errors + u64::from(!same) + u64::from(!ended);
    seen.plan.push(plan);
    seen.execute.push(execute);
    seen.poll.extend(polls);
    seen.ended.push(began.elapsed());
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
