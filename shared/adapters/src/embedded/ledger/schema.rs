//! Opens the file and brings it up to the newest schema.

use std::{path::Path, time::Duration};

use engine::ports::LedgerError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::Failure;
use crate::embedded::folder::{make_folder, open_private};

/// What takes the schema from each version to the next, oldest first; only ever added to.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("connections.sql"),
    include_str!("waiting.sql"),
    include_str!("permissions.sql"),
    include_str!("clustered.sql"),
];

/// Two connections to the ledger in a folder: one to write, one to read.
pub(super) fn open(folder: &Path) -> Result<(Connection, Connection), LedgerError> {
    let unusable =
        |error: &dyn std::fmt::Display| LedgerError::new(format!("{} cannot be opened: {error}", folder.display()));
    make_folder(folder).map_err(|error| unusable(&error))?;
    let path = folder.join("ledger.db");
    open_private(&path).map_err(|error| unusable(&error))?;
    // One process at a time: the change to WAL does not wait for others by itself.
    let turn = open_private(&folder.join("ledger.lock")).map_err(|error| unusable(&error))?;
    turn.lock().map_err(|error| unusable(&error))?;
    let opened = connect(&path).and_then(|mut writer| {
        migrate(&mut writer, MIGRATIONS)?;
        let reader = connect(&path)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok((writer, reader))
    });
    opened.map_err(|Failure(error)| unusable(&error))
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    // Each connection stays on its own thread, so SQLite need not lock it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // A group of writes touches hundreds of pages, at random places of the indexes: they stay at hand (16 MiB), and
    // go from the log into the file only once in 32 MiB of it, the many versions of a busy page as one.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
    // What undoes one write of a group is kept in memory, not in a file that is written beside every write.
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), Failure> {
    let known = i64::try_from(migrations.len()).expect("migrations are few");
    let version = version(connection)?;
    if version > known {
        let says =
            format!("it is of schema {version}, written by a later version of this program, which knows {known}");
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
        step.commit()?;
    }
    Ok(())
}

fn version(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gets_every_step_and_an_older_one_the_missing_ones() {
        let steps = ["CREATE TABLE a (x TEXT)", "CREATE TABLE b (x TEXT); INSERT INTO a VALUES ('kept')"];
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &steps[..1]).unwrap();
        connection.execute("INSERT INTO a VALUES ('old')", []).unwrap();
        migrate(&mut connection, &steps).unwrap();
        migrate(&mut connection, &steps).unwrap();
        let rows: i64 = connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!((version(&connection).unwrap(), rows), (2, 2));
    }

    #[test]
    fn what_was_written_before_a_step_is_found_after_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..4]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO jobs VALUES
                     ('b', 'acme', 1, 'pending', 1, 2, 3, NULL, '{\"b\":1}', 4), ('a', 'acme', 5, 'error', 0, 6, 7, 8, '{}', NULL);
                 INSERT INTO contents VALUES ('a', 'sealed a', 9), ('b', 'sealed b', NULL);
                 INSERT INTO audit VALUES ('1', NULL, 1, 10, '{}'), ('2', 'acme', 2, 11, '{\"x\":1}');",
            )
            .unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        let told = |columns: &str, of: &str| -> Vec<String> {
            let mut query = connection.prepare(&format!("SELECT json_array({columns}) FROM {of}")).unwrap();
            query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let columns =
            "job_id, workspace, created_at, status, open, due_at, waits_since, revision, jobs.expires_at, body, sealed,
            contents.expires_at";
        let jobs = [
            r#"["b","acme",1,"pending",1,2,4,3,null,"{\"b\":1}","sealed b",null]"#,
            r#"["a","acme",5,"error",0,6,null,7,8,"{}","sealed a",9]"#,
        ];
        assert_eq!(told(columns, "jobs JOIN contents ON job = number ORDER BY number"), jobs);
        let audit = [r#"["",1,"1",10,"{}"]"#, r#"["acme",2,"2",11,"{\"x\":1}"]"#];
        assert_eq!(told("workspace, at, entry_id, expires_at, body", "audit"), audit);
    }

    #[test]
    fn a_step_that_fails_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &["CREATE TABLE a (x TEXT)", "no such command"]).unwrap_err();
        assert_eq!(version(&connection).unwrap(), 0);
        migrate(&mut connection, &["CREATE TABLE a (x TEXT)"]).unwrap();
    }

    #[test]
    fn a_later_schema_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 7).unwrap();
        let Failure(refusal) = migrate(&mut connection, MIGRATIONS).unwrap_err();
        let refusal = refusal.to_string();
        assert!(refusal.contains("schema 7") && refusal.contains("later version"), "{refusal}");
        assert_eq!(version(&connection).unwrap(), 7);
    }
}
