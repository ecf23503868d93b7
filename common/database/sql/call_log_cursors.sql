-- name: find
-- How far the call log was read.
SELECT credential, sync_token, polled_until FROM call_log_cursors WHERE account_id = $1;

-- name: move
-- Move the cursor; committed together with the rows that were read.
INSERT INTO call_log_cursors (account_id, credential, sync_token, polled_until, updated_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id) DO UPDATE
SET credential = excluded.credential, sync_token = excluded.sync_token, polled_until = excluded.polled_until,
    updated_at = excluded.updated_at;

-- name: drop_token
-- Forget a token that RingCentral refused; the next poll begins where the last one ended.
UPDATE call_log_cursors SET sync_token = NULL, updated_at = $2 WHERE account_id = $1;
