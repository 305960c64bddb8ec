-- A name that a record may share with others, and its time among them. That it waits for a person is such a name, and so is
-- what went out, which had a record of its own.
ALTER TABLE records ADD COLUMN name TEXT;
ALTER TABLE records ADD COLUMN named_at INTEGER;
UPDATE records SET name = 'HELD', named_at = held_since WHERE held_since IS NOT NULL;
UPDATE records SET name = substr(sent.partition, 1, length(sent.partition) - 32), named_at = sent.expires_at - 86400000000
    FROM (SELECT partition, trim(body, '"') AS job, expires_at FROM records WHERE kind = 'SENT') AS sent
    WHERE records.partition = 'JOB#' || sent.job AND records.kind = 'JOB';
DELETE FROM records WHERE kind = 'SENT';
DROP INDEX held;
ALTER TABLE records DROP COLUMN held_since;
CREATE INDEX named ON records (name, named_at) WHERE name IS NOT NULL;
-- Completed jobs have no list of their own.
UPDATE records SET status = NULL WHERE status = 'completed';
