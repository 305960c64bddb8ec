-- Pending and running jobs are listed together: a claim changes no index.
UPDATE records SET status = 'open' WHERE status IN ('pending', 'running');
