-- Since when a record waits for a person.
ALTER TABLE records ADD COLUMN held_since INTEGER;
CREATE INDEX held ON records (held_since) WHERE held_since IS NOT NULL;
