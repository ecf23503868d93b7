-- name: find
-- How far the call log was read.
SELECT credential, sync_token, polled_until, windows_since, windows_until, windows_deep_until
FROM call_log_cursors
WHERE account_id = $1;

-- name: move
-- Move the cursor; committed together with the rows that were read.
INSERT INTO call_log_cursors (
    account_id, credential, sync_token, polled_until, windows_since, windows_until, windows_deep_until, updated_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (account_id) DO UPDATE
SET credential = excluded.credential, sync_token = excluded.sync_token, polled_until = excluded.polled_until,
    windows_since = excluded.windows_since, windows_until = excluded.windows_until,
    windows_deep_until = excluded.windows_deep_until, updated_at = excluded.updated_at;
