-- name: write
-- Write call-log records; an older wording never replaces a newer one, whatever the order of arrival.
INSERT INTO calls AS c (
    account_id, call_log_id, session_id, telephony_session_id, extension_id, direction, started_at, duration_ms,
    has_recording, modified_at, deleted, entry, first_seen_at, updated_at
)
SELECT $1, n.call_log_id, n.session_id, n.telephony_session_id, n.extension_id, n.direction, n.started_at,
    n.duration_ms, n.has_recording, n.modified_at, n.deleted, n.entry, $3, $3
FROM jsonb_to_recordset($2) AS n (
    call_log_id text, session_id text, telephony_session_id text, extension_id text, direction text,
    started_at timestamptz, duration_ms bigint, has_recording boolean, modified_at timestamptz, deleted boolean,
    entry jsonb
)
ORDER BY n.call_log_id
ON CONFLICT (account_id, call_log_id) DO UPDATE
SET session_id = excluded.session_id, telephony_session_id = excluded.telephony_session_id,
    extension_id = excluded.extension_id, direction = excluded.direction, started_at = excluded.started_at,
    duration_ms = excluded.duration_ms, has_recording = excluded.has_recording, modified_at = excluded.modified_at,
    deleted = excluded.deleted, entry = excluded.entry, updated_at = excluded.updated_at
WHERE (coalesce(excluded.modified_at, '-infinity'), md5(excluded.entry::text))
    > (coalesce(c.modified_at, '-infinity'), md5(c.entry::text))
RETURNING call_log_id;
