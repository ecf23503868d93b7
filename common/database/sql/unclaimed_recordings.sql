-- name: count_failure
-- An attempt failed before it had a claim: why, and when it is due again, by the seconds of the step that it has come to;
-- with all steps used up it has failed for good. The living claim of somebody else is left alone, one of ours ($5) ends.
WITH failing AS (
    SELECT f.before,
        CASE WHEN r.audio_ahead THEN greatest(f.times, 1) ELSE f.times + 1 END AS now
    FROM recordings r
    CROSS JOIN LATERAL (
        SELECT CASE r.audio_attempts WHEN 0 THEN '{}' ELSE r.audio_failures END AS before,
            CASE r.audio_attempts WHEN 0 THEN 0 ELSE coalesce((r.audio_failures ->> 'source_failed')::integer, 0) END AS times
    ) f
    WHERE r.account_id = $1 AND r.domain = $2 AND r.source_record_id = $3
    FOR UPDATE OF r
)
UPDATE recordings
SET audio_state = CASE
        WHEN failing.now <= cardinality($6::double precision[]) OR audio_state = 'quarantined' THEN audio_state
        ELSE 'failed'
    END,
    audio_reason = CASE audio_state WHEN 'quarantined' THEN audio_reason ELSE $4 END,
    audio_attempts = audio_attempts + 1, audio_ahead = false,
    audio_failures = failing.before || jsonb_build_object('source_failed', failing.now),
    audio_due_at = $7::timestamptz + make_interval(secs => ($6::double precision[])[failing.now]),
    audio_announced_at = NULL, audio_claim = NULL, audio_claimed_until = NULL, updated_at = $7
FROM failing
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3
    AND audio_state IN ('pending', 'quarantined') AND audio_due_at <= $7
    AND (audio_claimed_until IS NULL OR audio_claimed_until < clock_timestamp() OR audio_claim = $5)
RETURNING failing.now AS failures, audio_attempts AS attempts;
