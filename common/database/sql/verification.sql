-- name: count
-- How many stored objects a verification is about.
SELECT count(*) AS objects
FROM recordings
WHERE account_id = $1 AND audio_state = 'stored' AND greatest(audio_stored_at, audio_verified_at) < $2
    AND audio_stored_at >= $3;

-- name: next
-- Stored objects that nobody has looked at for longest, from a place in that order on.
SELECT domain, source_record_id, audio_object, audio_bytes, audio_sha256, audio_stored_at, audio_content_uri,
    coalesce(started_at, first_seen_at) AS began_at, greatest(audio_stored_at, audio_verified_at) AS looked_at
FROM recordings
WHERE account_id = $1 AND audio_state = 'stored' AND greatest(audio_stored_at, audio_verified_at) < $2
    AND audio_stored_at >= $3
    AND (greatest(audio_stored_at, audio_verified_at), domain, source_record_id) > ($4, $5::text, $6::text)
ORDER BY greatest(audio_stored_at, audio_verified_at), domain, source_record_id
LIMIT $7;

-- name: sample
-- Stored objects by chance.
SELECT domain, source_record_id, audio_object, audio_bytes, audio_sha256, audio_stored_at, audio_content_uri,
    coalesce(started_at, first_seen_at) AS began_at, greatest(audio_stored_at, audio_verified_at) AS looked_at
FROM recordings
WHERE account_id = $1 AND audio_state = 'stored' AND greatest(audio_stored_at, audio_verified_at) < $2
    AND audio_stored_at >= $3
ORDER BY random()
LIMIT $4;

-- name: is_intact
-- The object is what was stored, unless it was stored anew meanwhile.
UPDATE recordings
SET audio_verified_at = $5
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_stored_at = $4 AND audio_state = 'stored'
RETURNING source_record_id;

-- name: differs
-- stored → pending, quarantined or unavailable: the object is not what was stored; unless it was stored anew meanwhile.
UPDATE recordings
SET audio_state = $5, audio_reason = $6, audio_due_at = $7, audio_attempts = 0, audio_announced_at = NULL,
    audio_verified_at = NULL, updated_at = $8
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_stored_at = $4 AND audio_state = 'stored'
RETURNING source_record_id;
