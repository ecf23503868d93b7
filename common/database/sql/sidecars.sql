-- name: due
-- Stored recordings whose row says more than the file beside their audio, those that wait longest first.
SELECT r.account_id, r.domain, r.source_record_id, r.first_seen_at, r.updated_at, r.call_log_facts, r.insights_facts,
    r.insights, r.insights_versions, r.audio_object, r.audio_bytes, r.audio_content_type, r.audio_sha256,
    r.audio_stored_at, r.audio_duration_ms, c.entry
FROM recordings r
LEFT JOIN calls c ON c.account_id = r.account_id AND c.call_log_id = r.call_log_id
WHERE r.audio_state = 'stored' AND r.audio_sidecar_of IS DISTINCT FROM r.updated_at
ORDER BY r.updated_at
LIMIT $1;

-- name: written
-- The file beside the audio says what the row said at its `updated_at`.
UPDATE recordings
SET audio_sidecar_of = $4
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3;

-- name: restore_audio
-- A file in storage whose length is as it should be: the row is `stored` again. A row that is stored or erased stays.
UPDATE recordings
SET audio_state = 'stored', audio_object = $4, audio_bytes = $5, audio_content_type = $6, audio_sha256 = $7,
    audio_stored_at = $8, audio_duration_ms = $9, audio_reason = NULL, audio_due_at = NULL, audio_announced_at = NULL,
    audio_claim = NULL, audio_claimed_until = NULL, audio_upload_id = NULL, updated_at = $10
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_state NOT IN ('stored', 'erased')
RETURNING source_record_id;
