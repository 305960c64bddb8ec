//! The table: each figure beside what it is compared with, measured in turns within each run.

use std::{
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use adapters::system::SystemIds;
use clap::ValueEnum;
use engine::ports::Ids;
use fakes::{Fakes, Fault, Provider, RandomFaults, Token, model::FakeModel};
use hyper::{Method, body::Bytes};
use tokio::net::TcpListener;

use crate::{
    bare::{BareLedger, BareRedis},
    client::Client,
    rate::{Rate, closed_loop},
    requests,
    stage::{GMAIL_SEND, Stage, google},
    table::Table,
};

/// The worker's limit.
const SIDE_BY_SIDE: usize = 10;
/// What a model takes to answer; a provider, too.
const SLOW: Duration = Duration::from_millis(50);
const HELLO: &str = "`/healthz` of the same server";

/// A part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Execute and poll.
    Accept,
    /// The same with an API key.
    Key,
    /// Jobs.
    Work,
    /// Plans.
    Plan,
}

impl Part {
    const ALL: [Self; 4] = [Self::Accept, Self::Key, Self::Work, Self::Plan];
}

/// What every run needs.
pub struct Bench {
    /// The program.
    pub program: PathBuf,
    /// How long each closed loop lasts.
    pub time: Duration,
    /// So many ask at once.
    pub clients: usize,
    /// This part alone.
    pub only: Option<Part>,
}

impl Bench {
    /// Runs it all so often, and prints the table.
    pub async fn run(&self, runs: usize) {
        let mut table = Table::default();
        for run in 1..=runs {
            eprintln!("run {run} of {runs}");
            for part in Part::ALL.into_iter().filter(|part| self.only.is_none_or(|only| only == *part)) {
                match part {
                    Part::Accept => self.accept_and_poll(&mut table).await,
                    Part::Key => self.with_a_key(&mut table).await,
                    Part::Work => self.work(&mut table).await,
                    Part::Plan => self.plan(&mut table).await,
                }
            }
        }
        table.print();
    }

    /// Execute and poll beside what they need of Redis and the ledger. The provider never answers, so that the workers
    /// wait and take no part in it.
    async fn accept_and_poll(&self, table: &mut Table) {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let gmail = format!("http://{}", silent.local_addr().expect("an address"));
        let Stage { server, redis, .. } = &Stage::start(&self.program, &google(&gmail));
        let (hello, cpu_of_hello) = server.cpu_of(self.hello(&server.url)).await;
        let (execute, cpu_of_execute) = server.cpu_of(self.execute(&server.url, None)).await;
        let (poll, cpu_of_poll) = server.cpu_of(self.poll(&server.url, None)).await;
        let each = |cpu: Duration, of: Rate| cpu.as_secs_f64() * 1e6 / of.done as f64;
        let cpu_of_hello = each(cpu_of_hello, hello);

        let data = tempfile::tempdir().expect("a folder");
        let ledger = BareLedger::open(data.path());
        let connection = BareRedis::connect(&redis.url()).await;
        let workers = (0..self.clients).map(|_| (connection.clone(), ledger.clone()));
        let work = |(mut redis, ledger): (BareRedis, _)| async move || redis.execute(&ledger).await;
        let alone = closed_loop(workers.map(work).collect(), self.time).await;
        redis.command("HSET bare:{job}:job body x");
        let workers = (0..self.clients).map(|_| connection.clone());
        let work = |mut redis: BareRedis| async move || redis.poll("bare:{job}:job").await;
        let look = closed_loop(workers.map(work).collect(), self.time).await;

        table.add("execute", "/s", execute.per_second, "its Redis commands and ledger writes alone", alone.per_second);
        table.add("execute", "/s", execute.per_second, HELLO, hello.per_second);
        table.add("execute, CPU of the server", "µs", each(cpu_of_execute, execute), HELLO, cpu_of_hello);
        table.add("execute, p50", "ms", ms(execute.p50), "the same alone", ms(alone.p50));
        table.add("execute, p99", "ms", ms(execute.p99), "the same alone", ms(alone.p99));
        table.add("poll", "/s", poll.per_second, HELLO, hello.per_second);
        table.add("poll", "/s", poll.per_second, "HGET alone", look.per_second);
        table.add("poll, CPU of the server", "µs", each(cpu_of_poll, poll), HELLO, cpu_of_hello);
        table.add("poll, p99", "ms", ms(poll.p99), HELLO, ms(hello.p99));
    }

    /// The same with an API key, which is found, and counted against its limits.
    async fn with_a_key(&self, table: &mut Table) {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let gmail = format!("http://{}", silent.local_addr().expect("an address"));
        let scopes = ["--scopes", "actions:preview,actions:execute"];
        let Stage { server, keys, .. } = &Stage::start_with_keys(&self.program, &google(&gmail), &[&scopes]);
        let key = keys.first().map(String::as_str);
        let hello = self.hello(&server.url).await;
        let execute = self.execute(&server.url, key).await;
        let poll = self.poll(&server.url, key).await;
        table.add("execute with an API key", "/s", execute.per_second, HELLO, hello.per_second);
        table.add("poll with an API key", "/s", poll.per_second, HELLO, hello.per_second);
    }

    /// Jobs from their acceptance to their end: against a provider that takes its time, and into the outbox.
    async fn work(&self, table: &mut Table) {
        let fakes = slow_google().await;
        let stage = Stage::start(&self.program, &google(fakes.base_url()));
        let worked = worked(&stage.server.url, 600).await;
        assert_eq!(fakes.deliveries().len(), 600, "each once");
        drop(stage);
        // One that is refused, after the same wait.
        let send = async |client: &mut Client| {
            drop(client.ask(Method::POST, "/gmail/v1/users/me/messages/send", Bytes::from_static(b"{}")).await);
        };
        let workers = clients(fakes.base_url(), None, SIDE_BY_SIDE).await;
        let workers = workers.into_iter().map(|mut client| async move || send(&mut client).await).collect();
        let alone = closed_loop(workers, self.time).await;
        let yardstick = "its requests alone, ten side by side";
        table.add("jobs to a provider that takes 50 ms", "/s", worked, yardstick, alone.per_second);

        let stage = Stage::start(&self.program, &[]);
        let worked = self::worked(&stage.server.url, 3000).await;
        drop(stage);
        let data = tempfile::tempdir().expect("a folder");
        let ledger = BareLedger::open(data.path());
        let commits = async |ledger: &BareLedger| {
            for _ in 0..4 {
                ledger.insert(SystemIds.uuid().to_string()).await;
            }
        };
        let workers = (0..SIDE_BY_SIDE).map(|_| ledger.clone());
        let workers = workers.map(|ledger| async move || commits(&ledger).await).collect();
        let alone = closed_loop(workers, self.time).await;
        table.add("jobs into the outbox", "/s", worked, "four commits in a row, ten side by side", alone.per_second);
    }

    /// plan2 beside its model, which takes 50 ms, and beside one that answers at once.
    async fn plan(&self, table: &mut Table) {
        let model = FakeModel::new("k");
        model.take(SLOW);
        let model_url = model.serve().await;
        let base = model_url.strip_suffix("/v1").expect("a base URL").to_owned();
        let tokens = ("AI_MAX_TOKENS_PER_MIN", "1000000000");
        let variables = [("OPENAI_BASE_URL", model_url.as_str()), ("OPENAI_API_KEY", "k"), tokens];
        let Stage { server, .. } = &Stage::start(&self.program, &variables);
        let body = Bytes::from_static(requests::PROMPT.as_bytes());
        let plan = self.posts(&server.url, None, "/ai/plan2", &body, 1).await;
        let asked = Bytes::from(model.requests().pop().expect("it was asked").text);
        let alone = self.posts(&base, Some("k"), "/v1/chat/completions", &asked, 1).await;
        table.add("plan2, p50", "ms", ms(plan.p50), "its model alone, 50 ms", ms(alone.p50));
        model.take(Duration::ZERO);
        let plan = self.posts(&server.url, None, "/ai/plan2", &body, self.clients).await;
        let alone = self.posts(&base, Some("k"), "/v1/chat/completions", &asked, self.clients).await;
        table.add("plan2", "/s", plan.per_second, "its model alone, at once", alone.per_second);
    }

    async fn hello(&self, url: &str) -> Rate {
        let workers = clients(url, None, self.clients).await;
        let work = |mut client: Client| async move || drop(client.get("/healthz").await);
        closed_loop(workers.into_iter().map(work).collect(), self.time).await
    }

    async fn execute(&self, url: &str, key: Option<&str>) -> Rate {
        let workers = clients(url, key, self.clients).await;
        let work = |mut client: Client| async move || drop(requests::execute_one(&mut client).await);
        closed_loop(workers.into_iter().map(work).collect(), self.time).await
    }

    async fn poll(&self, url: &str, key: Option<&str>) -> Rate {
        let job = requests::execute_one(&mut Client::connect(url, key).await).await;
        let path: Rc<str> = format!("/ai/jobs/{job}").into();
        let workers = clients(url, key, self.clients).await;
        let work = |mut client: Client| {
            let path = Rc::clone(&path);
            async move || drop(client.get(&path).await)
        };
        closed_loop(workers.into_iter().map(work).collect(), self.time).await
    }

    async fn posts(&self, url: &str, key: Option<&str>, path: &'static str, body: &Bytes, side: usize) -> Rate {
        let workers = clients(url, key, side).await;
        let work = |mut client: Client| {
            let body = body.clone();
            async move || drop(client.post(path, body.clone()).await)
        };
        closed_loop(workers.into_iter().map(work).collect(), self.time).await
    }
}

/// How many jobs end in a second, ten a request, from the first request to the last end.
async fn worked(url: &str, jobs: usize) -> f64 {
    let mut client = Client::connect(url, None).await;
    let began = Instant::now();
    let mut last = String::new();
    for _ in 0..jobs / 10 {
        last = requests::execute_ten(&mut client).await;
    }
    requests::until_ended(&mut client, &last).await;
    // The queue keeps no order for certain.
    while requests::open_jobs(&mut client).await > 0 {}
    jobs as f64 / began.elapsed().as_secs_f64()
}

/// Gmail and its token, with a time to answer as in life.
pub async fn slow_google() -> Fakes {
    let fakes = Fakes::start().await.expect("the fakes start");
    fakes.add_token(Token::new(Provider::Google, "t", &[GMAIL_SEND]));
    let slow = Fault::Slow { ms: 50 };
    fakes.randomly(Some(RandomFaults { seed: 1, percent: 100, faults: vec![slow.into()] }));
    fakes
}

async fn clients(url: &str, key: Option<&str>, count: usize) -> Vec<Client> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(Client::connect(url, key).await);
    }
    clients
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
