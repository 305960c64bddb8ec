-- What was set for a workspace; `body` is all of it as JSON.
CREATE TABLE workspaces (
    workspace TEXT PRIMARY KEY,
    body      TEXT NOT NULL
) STRICT;

-- The audit; `body` is the whole entry as JSON. What is about the whole deployment has no workspace.
CREATE TABLE audit (
    entry_id   TEXT PRIMARY KEY,
    workspace  TEXT,
    at         INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX audit_listed ON audit (workspace, at DESC, entry_id DESC);
CREATE INDEX audit_expiring ON audit (expires_at);

-- Records of jobs and keys hold the hash of an actor from now on, and no address. Of those that are there already nobody
-- can tell the actor any more: their jobs are within every rollout, and their bound keys act for nobody.
UPDATE jobs SET body = json_set(
    json_remove(body, '$.actor_id', '$.result.from'),
    '$.actor', '0000000000000000000000000000000000000000000000000000000000000000'
) WHERE json_extract(body, '$.actor') IS NULL;
UPDATE keys SET body = json_set(
    body,
    '$.bound_actor', '0000000000000000000000000000000000000000000000000000000000000000'
) WHERE json_extract(body, '$.bound_actor') IS NOT NULL;
