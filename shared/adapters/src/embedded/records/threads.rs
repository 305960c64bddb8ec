//! The two threads that own the connections, so that no async task waits for the disk; and a connection for what is in
//! memory.

use std::{
    error::Error,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use engine::ports::{Cause, LedgerError};
use rusqlite::{Connection, Params, Row, TransactionBehavior};
use tokio::sync::oneshot;

use super::Heads;
use crate::ledger::Written;

/// Why an operation failed. It never contains a value.
#[derive(Debug, Clone)]
pub(super) struct Failure(pub Cause);

impl Failure {
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into().into())
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(error)
    }
}

impl From<Failure> for LedgerError {
    fn from(Failure(cause): Failure) -> Self {
        Self::new(cause)
    }
}

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A pending write. It runs again if its group is repeated. A refusal changes nothing, even if the write had begun.
struct Write {
    run: Box<Run>,
    /// Gets back what ran: memory is freed more cheaply where it was taken.
    caller: oneshot::Sender<(Answer, Box<Run>)>,
}

/// What a write does, with the heads of chains as its group has left them so far.
type Run = dyn Fn(&Connection, &mut Heads) -> Answer + Send;

type Answer = Result<Written, Failure>;

/// The most writes of one commit, which bounds how long the first one waits.
const GROUP: usize = 256;

/// Sends operations to the threads. When it is dropped, they finish their work and end.
pub(super) struct Threads {
    reads: Sender<Read>,
    writes: Sender<Write>,
    here: Mutex<Connection>,
}

impl Threads {
    pub fn start(mut for_writes: Connection, [for_reads, here]: [Connection; 2]) -> Result<Self, LedgerError> {
        let (reads, to_read) = mpsc::channel::<Read>();
        let (writes, to_write) = mpsc::channel::<Write>();
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let reading = named("ledger-read").spawn(move || to_read.iter().for_each(|read| read(&for_reads)));
        let writing = named("ledger-write").spawn(move || write_groups(&mut for_writes, &to_write));
        reading.and(writing).map_err(LedgerError::new)?;
        Ok(Self { reads, writes, here: Mutex::new(here) })
    }

    /// Runs a read of a few records that are in memory, on the caller's thread: to hand it to another one and to wait for it
    /// takes longer.
    pub fn read_here<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, LedgerError> {
        // A read that panicked has left nothing behind.
        Ok(read(&self.here.lock().unwrap_or_else(PoisonError::into_inner))?)
    }

    /// Runs a read on the newest committed state.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = oneshot::channel();
        // The caller may be gone.
        let read = Box::new(move |connection: &Connection| drop(answer.send(read(connection))));
        self.reads.send(read).map_err(|_| stopped())?;
        Ok(answered.await.map_err(|_| stopped())??)
    }

    /// Reads every row of a query.
    pub async fn all<T: Send + 'static>(
        &self,
        query: impl AsRef<str> + Send + 'static,
        params: impl Params + Send + 'static,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Vec<T>, LedgerError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(query.as_ref())?;
            Ok(query.query_map(params, row)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Runs a write and returns when it is durable. An error undoes it. It may run more than once.
    pub async fn write(
        &self,
        run: impl Fn(&Connection, &mut Heads) -> Answer + Send + 'static,
    ) -> Result<Written, LedgerError> {
        let (caller, answer) = oneshot::channel();
        self.writes.send(Write { run: Box::new(run), caller }).map_err(|_| stopped())?;
        let (answer, _) = answer.await.map_err(|_| stopped())?;
        Ok(answer?)
    }
}

fn stopped() -> LedgerError {
    LedgerError::new("the operation was abandoned")
}

/// Commits all waiting writes together: a commit costs the same for many writes as for one, and
/// the next ones gather meanwhile.
fn write_groups(connection: &mut Connection, waiting: &Receiver<Write>) {
    while let Ok(first) = waiting.recv() {
        let group = std::iter::once(first).chain(waiting.try_iter().take(GROUP - 1));
        let mut done = Vec::new();
        let durable = commit_together(connection, group, &mut done);
        for (Write { run, caller }, answer) in done {
            // The caller may be gone.
            drop(caller.send((durable.clone().and(answer), run)));
        }
    }
}

/// No savepoints on the fast path, as failures are rare. If a write fails, or is refused after it has begun, the group is
/// rolled back and repeated with one savepoint per write.
fn commit_together(
    connection: &mut Connection,
    group: impl Iterator<Item = Write>,
    done: &mut Vec<(Write, Answer)>,
) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut heads = Heads::default();
    for write in group {
        let changes = transaction.total_changes();
        let answer = (write.run)(&transaction, &mut heads);
        let keep = match &answer {
            Ok(Written::Done) => true,
            Ok(Written::Refused(_)) => transaction.total_changes() == changes,
            Err(_) => false,
        };
        done.push((write, answer));
        if transaction.is_autocommit() {
            return Err(Failure::new("the transaction was lost"));
        }
        if !keep {
            transaction.rollback()?;
            return commit_each_or_not(connection, done);
        }
    }
    heads.write(&transaction)?;
    Ok(transaction.commit()?)
}

/// Undoes failed and refused writes one by one. A savepoint costs a copy of every page that a write changes.
fn commit_each_or_not(connection: &mut Connection, writes: &mut [(Write, Answer)]) -> Result<(), Failure> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut heads = Heads::default();
    for (write, answer) in writes {
        let savepoint = transaction.savepoint()?;
        let before = heads.clone();
        *answer = (write.run)(&savepoint, &mut heads);
        // If even this fails, the whole group does.
        if let Ok(Written::Done) = answer {
            savepoint.commit()?;
        } else {
            heads = before;
            savepoint.finish()?;
        }
    }
    heads.write(&transaction)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answered = oneshot::Receiver<(Answer, Box<Run>)>;

    fn asked(run: impl Fn(&Connection, &mut Heads) -> Answer + Send + 'static) -> (Write, Answered) {
        let (caller, answer) = oneshot::channel();
        (Write { run: Box::new(run), caller }, answer)
    }

    /// A write of `row`, which then fails on demand, and its answer.
    fn write(row: &'static str, fails: bool) -> (Write, Answered) {
        asked(move |connection, _| {
            connection.execute("INSERT INTO rows VALUES (?1)", [row]).unwrap();
            if fails { Err(Failure::new("no")) } else { Ok(Written::Done) }
        })
    }

    fn file() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("rows.db")).unwrap();
        connection.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE rows (name TEXT)").unwrap();
        (folder, connection)
    }

    fn rows(connection: &Connection) -> Vec<String> {
        let mut query = connection.prepare("SELECT name FROM rows").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_failed_write_is_undone_and_the_rest_of_its_group_is_kept() {
        let (_folder, mut connection) = file();
        let (writes, answers): (Vec<_>, Vec<_>) =
            [("a", false), ("b", true), ("c", false)].map(|(row, fails)| write(row, fails)).into_iter().unzip();
        let (send, waiting) = mpsc::channel();
        for write in writes {
            send.send(write).unwrap();
        }
        drop(send);
        write_groups(&mut connection, &waiting);
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.blocking_recv().unwrap().0.is_ok()).collect();
        assert_eq!((answers, rows(&connection)), (vec![true, false, true], vec!["a".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn a_refused_write_leaves_nothing_and_the_rest_of_its_group_is_kept() {
        for begins in [false, true] {
            let (_folder, mut connection) = file();
            let (refused, answer) = asked(move |connection, _| {
                if begins {
                    connection.execute("INSERT INTO rows VALUES ('b')", []).unwrap();
                }
                Ok(Written::Refused(None))
            });
            let ((first, _before), (last, _after)) = (write("a", false), write("c", false));
            let (send, waiting) = mpsc::channel();
            for write in [first, refused, last] {
                send.send(write).unwrap();
            }
            drop(send);
            write_groups(&mut connection, &waiting);
            assert!(matches!(answer.blocking_recv().unwrap().0, Ok(Written::Refused(None))));
            assert_eq!(rows(&connection), ["a", "c"]);
        }
    }

    #[test]
    fn no_caller_is_answered_before_the_commit_and_all_are_if_it_fails() {
        let (folder, mut connection) = file();
        let (first, mut answer) = write("a", false);
        let mut done = Vec::new();
        commit_together(&mut connection, [first].into_iter(), &mut done).unwrap();
        assert!(answer.try_recv().is_err(), "answered before the commit was known");
        drop(done);

        // Another connection locks the file: the group cannot begin.
        connection.busy_timeout(std::time::Duration::ZERO).unwrap();
        let other = Connection::open(folder.path().join("rows.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (send, waiting) = mpsc::channel();
        let (second, answer) = write("b", false);
        send.send(second).unwrap();
        drop(send);
        write_groups(&mut connection, &waiting);
        assert!(answer.blocking_recv().is_err(), "the caller gets an error");
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(rows(&connection), ["a"]);
    }

    #[test]
    fn a_group_that_loses_its_transaction_fails_as_a_whole() {
        let (_folder, mut connection) = file();
        let (breaks, answer) = asked(|connection, _| {
            connection.execute_batch("ROLLBACK").unwrap();
            Ok(Written::Done)
        });
        let (send, waiting) = mpsc::channel();
        let (first, first_answer) = write("a", false);
        let (last, last_answer) = write("c", false);
        for write in [first, breaks, last] {
            send.send(write).unwrap();
        }
        drop(send);
        write_groups(&mut connection, &waiting);
        assert!(first_answer.blocking_recv().unwrap().0.is_err() && answer.blocking_recv().unwrap().0.is_err());
        assert!(last_answer.blocking_recv().unwrap().0.is_ok(), "in the next group");
        assert_eq!(rows(&connection), ["c"]);
    }
}
