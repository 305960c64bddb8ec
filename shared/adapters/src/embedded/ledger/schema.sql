-- Times are microseconds since 1970. A row whose time to expire has come does not count as being there.

-- `body` is the whole job as JSON; the other columns are what is searched by. An open job does not expire.
CREATE TABLE jobs (
    job_id     TEXT PRIMARY KEY,
    workspace  TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    status     TEXT NOT NULL,
    open       INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    expires_at INTEGER,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_listed ON jobs (workspace, created_at DESC, job_id DESC);
CREATE INDEX jobs_listed_by_status ON jobs (workspace, status, created_at DESC, job_id DESC);
CREATE INDEX jobs_open ON jobs (due_at, job_id) WHERE open = 1;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL;

-- The sealed params of jobs. Those of an open job do not expire.
CREATE TABLE contents (
    job_id     TEXT PRIMARY KEY,
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

-- What sandbox mode would have sent.
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

-- What is kept of API keys; `body` is the whole record as JSON.
CREATE TABLE keys (
    key_id     TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
