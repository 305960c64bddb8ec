-- Times are microseconds since 1970. A record that has expired counts as absent until it is erased.
--
-- `number` only grows, so that new records go to the last page of the table instead of a random one.
CREATE TABLE records (
    number      INTEGER PRIMARY KEY,
    partition   TEXT NOT NULL,
    kind        TEXT NOT NULL,
    body        TEXT NOT NULL,
    version     TEXT,
    expires_at  INTEGER,
    list        TEXT,
    status      TEXT,
    place       TEXT,
    due_at      INTEGER,
    waits_since INTEGER
) STRICT;
CREATE UNIQUE INDEX by_key ON records (partition, kind);
CREATE INDEX listed ON records (list, place) WHERE list IS NOT NULL;
CREATE INDEX listed_by_status ON records (list, status, place) WHERE status IS NOT NULL;
CREATE INDEX due ON records (due_at, partition) WHERE due_at IS NOT NULL;
CREATE INDEX waiting ON records (waits_since) WHERE waits_since IS NOT NULL;
CREATE INDEX expiring ON records (expires_at) WHERE expires_at IS NOT NULL;
