-- name: count_failure
-- An attempt failed before it had a claim: why, and when it is due again, by the seconds of the step that it has come to;
-- with all steps used up it has failed for good. The living claim of somebody else is left alone, one of ours ($5) ends.
UPDATE recordings
SET audio_state = CASE
        WHEN audio_attempts < cardinality($6::double precision[]) OR audio_state = 'quarantined' THEN audio_state
        ELSE 'failed'
    END,
    audio_reason = CASE audio_state WHEN 'quarantined' THEN audio_reason ELSE $4 END,
    audio_attempts = audio_attempts + 1,
    audio_due_at = $7::timestamptz + make_interval(secs => ($6::double precision[])[audio_attempts + 1]),
    audio_announced_at = NULL, audio_claim = NULL, audio_claimed_until = NULL, updated_at = $7
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3
    AND audio_state IN ('pending', 'quarantined') AND audio_due_at <= $7
    AND (audio_claimed_until IS NULL OR audio_claimed_until < clock_timestamp() OR audio_claim = $5)
RETURNING audio_attempts;
