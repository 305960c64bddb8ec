-- Since when a job waits for its first worker; null when one has claimed it, or it has ended.
ALTER TABLE jobs ADD COLUMN waits_since INTEGER;
UPDATE jobs SET waits_since = created_at WHERE status = 'pending' AND json_extract(body, '$.started_at') IS NULL;
CREATE INDEX jobs_waiting ON jobs (waits_since) WHERE waits_since IS NOT NULL;
