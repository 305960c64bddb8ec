//! The yardsticks: what Redis and SQLite do by themselves, for the commands and writes of a request and no more.

use std::{
    path::Path,
    rc::Rc,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use adapters::{
    embedded::SqliteLedger,
    system::{SystemClock, SystemIds},
};
use engine::ports::Ids;
use redis::{Script, aio::MultiplexedConnection, cmd};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

/// The rows that an accepted job is, as long as a real job's.
const BODY: usize = 900;
const SEALED: usize = 330;
const AUDIT: usize = 420;

/// The ledger's file, written with plain SQL. Writes that wait at the same time share a synced commit, as the product's do.
#[derive(Clone)]
pub struct BareLedger(Sender<(String, oneshot::Sender<()>)>);

impl BareLedger {
    /// A new file with the product's schema.
    pub fn open(folder: &Path) -> Self {
        drop(SqliteLedger::open(folder, Arc::new(SystemClock)).expect("a ledger"));
        let mut connection = Connection::open(folder.join("ledger.db")).expect("the file");
        connection.pragma_update(None, "synchronous", "full").expect("a pragma");
        let (send, waiting) = mpsc::channel();
        thread::spawn(move || write_all(&mut connection, &waiting));
        Self(send)
    }

    /// Writes what an accepted job is; returns when it is durable.
    pub async fn insert(&self, id: String) {
        let (done, written) = oneshot::channel();
        self.0.send((id, done)).expect("the writer runs");
        written.await.expect("it was written");
    }
}

fn write_all(connection: &mut Connection, waiting: &Receiver<(String, oneshot::Sender<()>)>) {
    let text = |length| "x".repeat(length);
    let (body, sealed, audit) = (text(BODY), text(SEALED), text(AUDIT));
    let mut at = 1_800_000_000_000_000_i64;
    while let Ok(first) = waiting.recv() {
        let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
        let all = connection.transaction().expect("a transaction");
        for (id, _) in &group {
            at += 1;
            let rows = [
                (
                    "INSERT INTO records (partition, kind, body, version, list, status, place, due_at, waits_since)
                  VALUES ('JOB#' || ?1, 'JOB', ?3, '1', 'W#local', 'pending', ?2 || '#' || ?1, ?2, ?2)",
                    &body,
                ),
                (
                    "INSERT INTO records (partition, kind, body) SELECT 'JOB#' || ?1, 'CONTENTS', ?3 WHERE ?2 > 0",
                    &sealed,
                ),
                (
                    "INSERT INTO records (partition, kind, body, expires_at)
                  VALUES ('AUDIT#local#' || ?2 || '#' || ?1, 'AUDIT', ?3, ?2)",
                    &audit,
                ),
            ];
            for (insert, body) in rows {
                all.prepare_cached(insert).and_then(|mut insert| insert.execute(params![id, at, body])).expect("a row");
            }
        }
        all.commit().expect("a commit");
        for (_, done) in group {
            // Who asked may have ended with the run.
            let _ = done.send(());
        }
    }
}

/// A connection that all clients of a run share, as the product's requests do, and the product's scripts.
#[derive(Clone)]
pub struct BareRedis {
    connection: MultiplexedConnection,
    put_job: Rc<Script>,
    send: Rc<Script>,
}

impl BareRedis {
    /// Connects.
    pub async fn connect(url: &str) -> Self {
        let client = redis::Client::open(url).expect("a URL");
        Self {
            connection: client.get_multiplexed_async_connection().await.expect("Redis answers"),
            put_job: Rc::new(Script::new(include_str!("../../../shared/adapters/src/redis/lua/put_job.lua"))),
            send: Rc::new(Script::new(include_str!("../../../shared/adapters/src/redis/lua/send.lua"))),
        }
    }

    /// Everything that accepting a job asks of Redis and the ledger, and nothing else: claim, write, then cache and enqueue.
    pub async fn execute(&mut self, ledger: &BareLedger) {
        let id = SystemIds.uuid().to_string();
        let text = "x".repeat(BODY);
        let mut claim = cmd("SET");
        claim.arg(format!("bare:{{{id}}}:claim")).arg(&text[..64]).arg("NX").arg("GET").arg("EX").arg(900);
        let _: Option<String> = claim.query_async(&mut self.connection).await.expect("Redis answers");
        ledger.insert(id.clone()).await;
        let mut put = self.put_job.key(format!("bare:{{{id}}}:job"));
        put.arg(1).arg("pending").arg(&text).arg(30);
        let mut send = self.send.key("bare:{queue}:ready");
        for part in ["delayed", "flight", "messages", "receives"] {
            send.key(format!("bare:{{queue}}:{part}"));
        }
        send.arg(id).arg(&text[..200]).arg(0);
        let (mut to_put, mut to_send) = (self.connection.clone(), self.connection.clone());
        tokio::try_join!(put.invoke_async::<u8>(&mut to_put), send.invoke_async::<()>(&mut to_send))
            .expect("Redis answers");
    }

    /// What a poll of a cached job asks of Redis.
    pub async fn poll(&mut self, key: &str) {
        let _: Option<String> =
            cmd("HGET").arg(key).arg("body").query_async(&mut self.connection).await.expect("Redis answers");
    }
}
