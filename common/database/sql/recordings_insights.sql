-- name: unplanned
-- Recordings of whose insights nobody has thought yet, and whether insights are expected of their extension.
SELECT r.domain, r.source_record_id, coalesce(r.started_at, r.first_seen_at) AS started_at,
    coalesce(r.duration_ms, 0) AS duration_ms, r.first_seen_at, r.insights_state,
    r.insights_state = 'partial' OR EXISTS (
        SELECT FROM recordings o
        WHERE o.account_id = r.account_id AND o.extension_id = r.extension_id
            AND o.insights_state IN ('present', 'partial')
            AND o.started_at > r.started_at - $2::interval AND o.started_at < r.started_at + $2::interval
    ) AS expected
FROM recordings r
WHERE r.account_id = $1 AND r.insights_state IN ('absent', 'partial') AND r.insights_due_at IS NULL
    AND r.insights_reason IS NULL AND r.audio_state <> 'erased'
ORDER BY r.first_seen_at
LIMIT $3;

-- name: unlooked
-- Recordings that have insights, and that nobody has looked at once more.
SELECT domain, source_record_id, started_at, coalesce(duration_ms, 0) AS duration_ms, insights_state
FROM recordings
WHERE account_id = $1 AND insights_state = 'present' AND insights_due_at IS NULL AND insights_looked_at IS NULL
    AND started_at > $2 AND audio_state <> 'erased'
ORDER BY started_at
LIMIT $3;

-- name: plan
-- When the insights of these are asked for, if they are still what they were when that was decided.
WITH planned AS MATERIALIZED (
    SELECT r.domain, r.source_record_id, n.due_at
    FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS n (domain, source_record_id, state, due_at)
    JOIN recordings r
        ON r.account_id = $1 AND r.domain = n.domain AND r.source_record_id = n.source_record_id
    WHERE r.insights_state = n.state AND r.insights_due_at IS NULL
    ORDER BY r.domain, r.source_record_id
    FOR UPDATE OF r
)
UPDATE recordings r
SET insights_due_at = planned.due_at
FROM planned
WHERE r.account_id = $1 AND r.domain = planned.domain AND r.source_record_id = planned.source_record_id;

-- name: due
-- What is asked for now: what fell due last goes first, so that live calls pass a backlog.
SELECT r.domain, r.source_record_id, coalesce(r.started_at, r.first_seen_at) AS started_at,
    coalesce(r.duration_ms, 0) AS duration_ms, r.first_seen_at, r.insights_state,
    r.insights_state <> 'absent' OR EXISTS (
        SELECT FROM recordings o
        WHERE o.account_id = r.account_id AND o.extension_id = r.extension_id
            AND o.insights_state IN ('present', 'partial')
            AND o.started_at > r.started_at - $3::interval AND o.started_at < r.started_at + $3::interval
    ) AS expected
FROM recordings r
WHERE r.account_id = $1 AND r.insights_state IN ('absent', 'partial', 'present') AND r.insights_due_at <= $2
    AND r.audio_state <> 'erased'
ORDER BY r.insights_due_at DESC
LIMIT $4;

-- name: state
-- How far the insights of one are here.
SELECT insights_state, insights FROM recordings WHERE account_id = $1 AND domain = $2 AND source_record_id = $3;

-- name: ask_later
-- They were not there, or not all of them: why, and when they are asked for next; never, when there is no next time.
-- What has no insights then is unavailable; call notes alone, and what is present, stay what they are.
UPDATE recordings
SET insights_due_at = $5, insights_attempts = insights_attempts + $6,
    insights_reason = CASE insights_state WHEN 'present' THEN insights_reason ELSE $4 END,
    insights_looked_at = CASE WHEN $5::timestamptz IS NULL AND insights_state = 'present' THEN $7
        ELSE insights_looked_at END,
    insights_state = CASE WHEN $5::timestamptz IS NULL AND insights_state = 'absent' THEN 'unavailable'
        ELSE insights_state END,
    updated_at = CASE WHEN $5::timestamptz IS NULL AND insights_state <> 'present' THEN $7 ELSE updated_at END
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND insights_state IN ('absent', 'partial', 'present')
RETURNING insights_state;

-- name: asked
-- They were there; the last look is taken, unless that was too early for one ($4 is null).
UPDATE recordings
SET insights_attempts = insights_attempts + 1, insights_due_at = NULL,
    insights_looked_at = coalesce($4, insights_looked_at)
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND insights_state <> 'erased';

-- name: explain
-- Why none of what is due is asked for.
WITH due AS MATERIALIZED (
    SELECT domain, source_record_id
    FROM recordings
    WHERE account_id = $1 AND insights_state IN ('absent', 'partial') AND insights_due_at <= $2
        AND insights_reason IS DISTINCT FROM $3
    LIMIT $4
), unexplained AS MATERIALIZED (
    SELECT r.domain, r.source_record_id
    FROM due JOIN recordings r
        ON r.account_id = $1 AND r.domain = due.domain AND r.source_record_id = due.source_record_id
    WHERE r.insights_state IN ('absent', 'partial') AND r.insights_due_at <= $2
    ORDER BY r.domain, r.source_record_id
    FOR UPDATE OF r
)
UPDATE recordings r
SET insights_reason = $3
FROM unexplained
WHERE r.account_id = $1 AND r.domain = unexplained.domain AND r.source_record_id = unexplained.source_record_id;

-- name: fall_due
-- So many recordings of a dark interval that lack insights are asked for at once, the first ones first: how many were found,
-- how many fell due, and when the last of them began.
WITH dark AS MATERIALIZED (
    SELECT domain, source_record_id, started_at
    FROM recordings
    WHERE account_id = $1 AND started_at >= $2 AND started_at <= $3 AND insights_state IN ('absent', 'partial')
        AND audio_state <> 'erased' AND insights_due_at IS DISTINCT FROM $4
    ORDER BY started_at
    LIMIT $5
), falling AS MATERIALIZED (
    SELECT r.domain, r.source_record_id
    FROM dark JOIN recordings r
        ON r.account_id = $1 AND r.domain = dark.domain AND r.source_record_id = dark.source_record_id
    WHERE r.insights_state IN ('absent', 'partial') AND r.audio_state <> 'erased'
    ORDER BY r.domain, r.source_record_id
    FOR UPDATE OF r
), fell AS (
    UPDATE recordings r
    SET insights_due_at = $4
    FROM falling
    WHERE r.account_id = $1 AND r.domain = falling.domain AND r.source_record_id = falling.source_record_id
    RETURNING r.source_record_id
)
SELECT count(*) AS found, (SELECT count(*) FROM fell) AS due, max(started_at) AS until FROM dark;
