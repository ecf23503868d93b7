-- name: due
-- Recordings that nobody tries again, whose last upload may still be open: its abort failed, or never came. At random:
-- one that can never be aborted ends a sweep, and so not always before the same others.
SELECT domain, source_record_id
FROM recordings
WHERE account_id = $1 AND audio_state IN ('failed', 'unavailable', 'erased')
    AND audio_upload_id IS NOT NULL AND audio_object IS NOT NULL
    AND (audio_claimed_until IS NULL OR audio_claimed_until < clock_timestamp())
ORDER BY random();

-- name: lock
-- One of them, unless it is tried again after all; nobody can claim it before the end of the transaction.
SELECT audio_object, audio_upload_id
FROM recordings
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_state IN ('failed', 'unavailable', 'erased')
    AND audio_upload_id IS NOT NULL
    AND (audio_claimed_until IS NULL OR audio_claimed_until < clock_timestamp())
FOR UPDATE;

-- name: aborted
-- Nothing is open any more.
UPDATE recordings
SET audio_upload_id = NULL
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3;
