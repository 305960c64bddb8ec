-- What belongs together lies together, so that a new job touches one random page of an index instead of three.

-- Contents are found by their job's number, which only grows, and the audit lies in the order in which it is listed.
CREATE TABLE numbered (
    number      INTEGER PRIMARY KEY,
    job_id      TEXT NOT NULL,
    workspace   TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    status      TEXT NOT NULL,
    open        INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    waits_since INTEGER,
    revision    INTEGER NOT NULL,
    expires_at  INTEGER,
    body        TEXT NOT NULL
) STRICT;
INSERT INTO numbered (job_id, workspace, created_at, status, open, due_at, waits_since, revision, expires_at, body)
SELECT job_id, workspace, created_at, status, open, due_at, waits_since, revision, expires_at, body
FROM jobs ORDER BY rowid;
DROP TABLE jobs;
ALTER TABLE numbered RENAME TO jobs;
CREATE UNIQUE INDEX jobs_by_id ON jobs (job_id);
CREATE INDEX jobs_listed ON jobs (workspace, created_at DESC, job_id DESC);
CREATE INDEX jobs_listed_by_status ON jobs (workspace, status, created_at DESC, job_id DESC);
CREATE INDEX jobs_open ON jobs (due_at, job_id) WHERE open = 1;
CREATE INDEX jobs_waiting ON jobs (waits_since) WHERE waits_since IS NOT NULL;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE of_number (
    job        INTEGER PRIMARY KEY,
    sealed     TEXT NOT NULL,
    expires_at INTEGER
) STRICT;
INSERT INTO of_number SELECT number, sealed, contents.expires_at FROM contents JOIN jobs USING (job_id);
DROP TABLE contents;
ALTER TABLE of_number RENAME TO contents;
CREATE INDEX contents_expiring ON contents (expires_at) WHERE expires_at IS NOT NULL;

-- What is about the whole deployment has no name of a workspace.
CREATE TABLE listed (
    workspace  TEXT NOT NULL,
    at         INTEGER NOT NULL,
    entry_id   TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (workspace, at, entry_id)
) STRICT, WITHOUT ROWID;
INSERT INTO listed SELECT coalesce(workspace, ''), at, entry_id, expires_at, body FROM audit;
DROP TABLE audit;
ALTER TABLE listed RENAME TO audit;
CREATE INDEX audit_expiring ON audit (expires_at);
