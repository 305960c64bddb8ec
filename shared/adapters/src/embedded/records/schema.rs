//! Opens the ledger's file, and creates or migrates its schema.

use std::{path::Path, time::Duration};

use engine::ports::LedgerError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::Failure;
use crate::embedded::folder::{LEDGER, make_folder, open_private};

/// The migrations, oldest first; only ever appended to. The file's `user_version` is the number of those applied.
const MIGRATIONS: &[&str] = &[
    include_str!("0001_start.sql"),
    include_str!("0002_open.sql"),
    include_str!("0003_held.sql"),
    include_str!("0004_named.sql"),
];

/// SQLite's `application_id` of a ledger, `orcl` in ASCII. Files of 0.1.0 lack it.
const APPLICATION_ID: i64 = 0x6f72_636c;

/// Connections to the ledger in a folder: one to write, two to read.
pub(super) fn open(folder: &Path) -> Result<(Connection, [Connection; 2]), LedgerError> {
    let unusable =
        |error: &dyn std::fmt::Display| LedgerError::new(format!("{} cannot be opened: {error}", folder.display()));
    make_folder(folder).map_err(|error| unusable(&error))?;
    let path = folder.join(LEDGER);
    open_private(&path).map_err(|error| unusable(&error))?;
    // One process at a time: SQLite does not wait for others when it changes to WAL.
    let turn = open_private(&folder.join("ledger.lock")).map_err(|error| unusable(&error))?;
    turn.lock().map_err(|error| unusable(&error))?;
    let opened = connect(&path).and_then(|mut writer| {
        migrate(&mut writer, MIGRATIONS)?;
        let readers = [connect(&path)?, connect(&path)?];
        readers.iter().try_for_each(|reader| reader.pragma_update(None, "query_only", true))?;
        Ok((writer, readers))
    });
    opened.map_err(|Failure(error)| unusable(&error))
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    // One thread at a time uses each connection, so SQLite need not lock it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // A group of writes touches hundreds of random index pages: a 16 MiB cache holds them, and a checkpoint every
    // 32 MiB of log writes the many versions of a busy page only once.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
    // What is deleted or replaced is overwritten with zeros.
    connection.pragma_update(None, "secure_delete", true)?;
    // Savepoints keep their undo data in memory, not in a temporary file.
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), Failure> {
    let known = i64::try_from(migrations.len()).expect("there are few migrations");
    let version = pragma(connection, "user_version")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && pragma(connection, "application_id")? != APPLICATION_ID {
        let says = "ledger.db is not a ledger of this version: it is of version 0.1.0, or of another \
            program; move it away, or set ORCHESTRATOR_DATA to another folder";
        return Err(Failure::new(says));
    }
    if version > known {
        let says = format!("ledger.db has schema {version} of a later version of this program, which knows {known}");
        return Err(Failure::new(says));
    }
    // With WAL, readers do not wait for writers; FULL makes every commit durable before it returns.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    if version < known {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for migration in migrations.iter().skip(usize::try_from(version).unwrap_or(0)) {
            step.execute_batch(migration)?;
        }
        step.pragma_update(None, "user_version", known)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.commit()?;
    }
    Ok(())
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, Failure> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i64 {
        pragma(connection, "user_version").unwrap()
    }

    #[test]
    fn an_empty_file_gets_every_migration_and_an_older_one_the_missing_ones() {
        let steps = ["CREATE TABLE a (x TEXT)", "CREATE TABLE b (x TEXT); INSERT INTO a VALUES ('kept')"];
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &steps[..1]).unwrap();
        connection.execute("INSERT INTO a VALUES ('old')", []).unwrap();
        migrate(&mut connection, &steps).unwrap();
        migrate(&mut connection, &steps).unwrap();
        let rows: i64 = connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!((version(&connection), rows), (2, 2));
    }

    #[test]
    fn open_jobs_of_an_earlier_version_are_listed_as_open() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..1]).unwrap();
        for (partition, status) in [("a", Some("pending")), ("b", Some("running")), ("c", Some("error")), ("d", None)] {
            let insert = "INSERT INTO records (partition, kind, body, list, place, status) VALUES (?1, 'JOB', '{}', 'W#w', ?1, ?2)";
            connection.execute(insert, (partition, status)).unwrap();
        }
        migrate(&mut connection, MIGRATIONS).unwrap();
        let mut query = connection.prepare("SELECT status FROM records ORDER BY partition").unwrap();
        let statuses: Vec<Option<String>> =
            query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(statuses, [Some("open"), Some("open"), Some("error"), None].map(|status| status.map(str::to_owned)));
    }

    #[test]
    fn what_waits_for_people_and_what_went_out_before_keeps_its_name() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..3]).unwrap();
        let insert = "INSERT INTO records (partition, kind, body, status, held_since, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        for row in [
            ("JOB#1", "JOB", "{}", Some("open"), Some(7), None),
            ("JOB#2", "JOB", "{}", Some("completed"), None, Some(30)),
            ("JOB#2", "CONTENTS", "sealed", None, None, None),
            ("JOB#3", "JOB", "{}", Some("error"), None, Some(30)),
            (
                "SENT#w#00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                "SENT",
                "\"2\"",
                None,
                None,
                Some(86_400_000_009_i64),
            ),
        ] {
            connection.execute(insert, row).unwrap();
        }
        migrate(&mut connection, MIGRATIONS).unwrap();
        let mut query =
            connection.prepare("SELECT partition, name, named_at, status FROM records ORDER BY number").unwrap();
        let mut rows = query.query([]).unwrap();
        let text = |text: &str| Some(text.to_owned());
        for expected in [
            ("JOB#1".to_owned(), text("HELD"), Some(7), text("open")),
            ("JOB#2".to_owned(), text("SENT#w#00112233445566778899aabbccddeeff"), Some(9), None),
            ("JOB#2".to_owned(), None, None, None),
            ("JOB#3".to_owned(), None, None, text("error")),
        ] {
            let row = rows.next().unwrap().unwrap();
            let found = (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap(), row.get(3).unwrap());
            assert_eq!(found, expected);
        }
        assert!(rows.next().unwrap().is_none());
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &["CREATE TABLE a (x TEXT)", "no such command"]).unwrap_err();
        assert_eq!(version(&connection), 0);
        migrate(&mut connection, &["CREATE TABLE a (x TEXT)"]).unwrap();
    }

    #[test]
    fn a_schema_of_a_later_version_is_refused_and_not_changed() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        connection.pragma_update(None, "user_version", 7).unwrap();
        let Failure(refusal) = migrate(&mut connection, MIGRATIONS).unwrap_err();
        let refusal = refusal.to_string();
        assert!(refusal.contains("schema 7") && refusal.contains("later version"), "{refusal}");
        assert_eq!(version(&connection), 7);
    }

    #[test]
    fn a_file_of_0_1_0_is_refused_and_not_changed() {
        for before in [1, 5, 7] {
            let mut connection = Connection::open_in_memory().unwrap();
            connection.execute_batch("CREATE TABLE jobs (job_id TEXT PRIMARY KEY)").unwrap();
            connection.pragma_update(None, "user_version", before).unwrap();
            let Failure(refusal) = migrate(&mut connection, MIGRATIONS).unwrap_err();
            let refusal = refusal.to_string();
            assert!(refusal.contains("0.1.0") && refusal.contains("move it away"), "{refusal}");
            let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
            assert_eq!((version(&connection), tables), (before, 2), "the table and its index");
        }
    }
}
