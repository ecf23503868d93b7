-- name: waits
-- Whether a recording that came with its insights, since then, waits for its call-log entry.
SELECT EXISTS (
    SELECT FROM recordings WHERE account_id = $1 AND audio_state = 'unknown' AND first_seen_at > $2
);

-- name: missed
-- Recordings that were there before the poll before last, and whose call-log entry is to be asked for now.
SELECT domain, source_record_id, telephony_session_id, coalesce(started_at, first_seen_at) AS started_at, first_seen_at
FROM recordings
WHERE account_id = $1 AND audio_state = 'unknown' AND first_seen_at < $2 AND telephony_session_id IS NOT NULL
    AND (audio_due_at <= $3 OR (audio_due_at IS NULL AND audio_reason IS NULL))
ORDER BY first_seen_at DESC
LIMIT $4;

-- name: look_later
-- The call log does not show it: when it is asked next; never, when there is no next time.
UPDATE recordings
SET audio_due_at = $5, audio_reason = $4, updated_at = $6
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_state = 'unknown'
RETURNING source_record_id;
