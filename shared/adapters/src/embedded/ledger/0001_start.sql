-- Times are microseconds since 1970. A row that has expired counts as absent until it is erased.

-- `body` is the whole job as JSON; the other columns are for queries. An open job does not expire. `waits_since` is
-- set until a worker claims the job or it ends. `number` only grows, so that a new job's contents go to the last page
-- of their table instead of a random one.
CREATE TABLE jobs (
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
CREATE UNIQUE INDEX jobs_by_id ON jobs (job_id);
CREATE INDEX jobs_listed ON jobs (workspace, created_at DESC, job_id DESC);
CREATE INDEX jobs_listed_by_status ON jobs (workspace, status, created_at DESC, job_id DESC);
CREATE INDEX jobs_open ON jobs (due_at, job_id) WHERE open = 1;
CREATE INDEX jobs_waiting ON jobs (waits_since) WHERE waits_since IS NOT NULL;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL;

-- The sealed params of jobs, by the job's number. Those of an open job do not expire.
CREATE TABLE contents (
    job        INTEGER PRIMARY KEY,
    sealed     TEXT NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE INDEX contents_expiring ON contents (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE plans (
    plan_id    TEXT PRIMARY KEY,
    workspace  TEXT NOT NULL,
    sealed     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX plans_expiring ON plans (expires_at);

-- What sandbox mode wrote instead of sending it.
CREATE TABLE outbox (
    job_id     TEXT PRIMARY KEY,
    workspace  TEXT NOT NULL,
    written_at INTEGER NOT NULL,
    sealed     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_listed ON outbox (workspace, written_at DESC, job_id DESC);
CREATE INDEX outbox_expiring ON outbox (expires_at);

CREATE TABLE rollout (
    provider TEXT PRIMARY KEY,
    percent  INTEGER NOT NULL CHECK (percent BETWEEN 0 AND 100)
) STRICT;

-- API keys; `body` is the whole record as JSON, with the key's hash.
CREATE TABLE keys (
    key_id     TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;

-- Connected accounts; `body` is the whole record as JSON, its tokens and address sealed.
CREATE TABLE connections (
    workspace TEXT NOT NULL,
    provider  TEXT NOT NULL,
    version   TEXT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (workspace, provider)
) STRICT;

-- Settings of workspaces; `body` is all of them as JSON.
CREATE TABLE workspaces (
    workspace TEXT PRIMARY KEY,
    body      TEXT NOT NULL
) STRICT;

-- The audit, stored in the order in which it is listed; `body` is the whole entry as JSON. Entries about the whole
-- deployment have an empty workspace.
CREATE TABLE audit (
    workspace  TEXT NOT NULL,
    at         INTEGER NOT NULL,
    entry_id   TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (workspace, at, entry_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_expiring ON audit (expires_at);
