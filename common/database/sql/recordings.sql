-- Whoever writes several rows locks them in the order of their keys, so that no two wait for each other: the order in
-- which an UPDATE comes upon its rows is that of its plan.

-- name: ensure
-- Make sure that rows exist for these keys, so that they can be locked.
INSERT INTO recordings (account_id, domain, source_record_id, first_seen_at, updated_at)
SELECT $1, domain, source_record_id, $4, $4
FROM unnest($2::text[], $3::text[]) AS n (domain, source_record_id)
ORDER BY domain, source_record_id
ON CONFLICT DO NOTHING;

-- name: lock
-- Lock rows, always in the same order, and read what merging needs.
SELECT domain, source_record_id, call_log_facts, insights_facts, insights, insights_versions,
    audio_state, insights_state
FROM recordings
WHERE account_id = $1
    AND (domain, source_record_id) IN (SELECT * FROM unnest($2::text[], $3::text[]))
ORDER BY domain, source_record_id
FOR UPDATE;

-- name: write
-- Write what merging has found. A tombstone stays as it is; audio and insights that were erased stay erased.
UPDATE recordings r
SET telephony_session_id = n.telephony_session_id, call_log_id = n.call_log_id, title = n.title,
    direction = n.direction, started_at = n.started_at, duration_ms = n.duration_ms, from_number = n.from_number,
    from_name = n.from_name, to_number = n.to_number, to_name = n.to_name, extension_id = n.extension_id,
    recording_type = n.recording_type, speakers = n.speakers,
    call_log_facts = n.call_log_facts, insights_facts = n.insights_facts,
    insights = n.insights, insights_versions = n.insights_versions,
    insights_state = CASE WHEN n.insights_state = 'absent' THEN r.insights_state ELSE n.insights_state END,
    insights_reason = CASE WHEN n.insights_versions = r.insights_versions THEN r.insights_reason END,
    insights_due_at = CASE WHEN n.insights_state = 'present' THEN NULL ELSE r.insights_due_at END,
    audio_content_uri = n.audio_content_uri,
    audio_state = CASE WHEN r.audio_state = 'unknown' THEN n.audio_state ELSE r.audio_state END,
    audio_reason = CASE WHEN r.audio_state = 'unknown' THEN n.audio_reason ELSE r.audio_reason END,
    audio_due_at = CASE WHEN r.audio_state = 'unknown' AND n.audio_state = 'pending' THEN $3 ELSE r.audio_due_at END,
    audio_priority = CASE WHEN r.audio_state = 'unknown' THEN $4 ELSE r.audio_priority END,
    updated_at = $3
FROM jsonb_to_recordset($2) AS n (
    domain text, source_record_id text, telephony_session_id text, call_log_id text, title text, direction text,
    started_at timestamptz, duration_ms bigint, from_number text, from_name text, to_number text, to_name text,
    extension_id text, recording_type text, speakers jsonb, call_log_facts jsonb, insights_facts jsonb,
    insights jsonb, insights_versions jsonb, insights_state text, audio_content_uri text, audio_state text,
    audio_reason text
)
WHERE r.account_id = $1 AND r.domain = n.domain AND r.source_record_id = n.source_record_id
    AND r.audio_state <> 'erased' AND r.insights_state <> 'erased';

-- name: announce
-- Mark the most urgent due rows as announced; an announcement that is old counts as none. First what is lost soon, the
-- earliest first, which is live work from then on; then live, reconciliation, and backfill, where what is lost earliest
-- goes first; last what was lost already, as far as one can tell. $5 to $7 are spans of start times, one a type: what
-- began before the first is lost, before the second lost soon. Each way is a few steps on its own index.
WITH candidates AS MATERIALIZED (
    SELECT DISTINCT ON (domain, source_record_id) domain, source_record_id, rank, place
    FROM (
        SELECT f.domain, f.source_record_id, 0 AS rank, extract(epoch FROM f.started_at - s.urgent_before) AS place
        FROM unnest($5::text[], $6::timestamptz[], $7::timestamptz[])
            AS s (retention_type, lost_before, urgent_before)
        CROSS JOIN LATERAL (
            SELECT domain, source_record_id, started_at
            FROM recordings
            WHERE account_id = $1 AND audio_state IN ('pending', 'quarantined')
                AND retention_type = s.retention_type AND started_at >= s.lost_before AND started_at < s.urgent_before
                AND audio_due_at <= $2 AND (audio_announced_at IS NULL OR audio_announced_at < $3)
                AND (audio_claimed_until IS NULL OR audio_claimed_until < clock_timestamp())
            ORDER BY started_at
            LIMIT $4
        ) f
        UNION ALL
        SELECT f.domain, f.source_record_id, CASE p.priority WHEN 3 THEN 4 ELSE p.priority END,
            extract(epoch FROM f.audio_due_at)
        FROM generate_series(1, 3) AS p (priority)
        CROSS JOIN LATERAL (
            SELECT domain, source_record_id, audio_due_at
            FROM recordings
            WHERE account_id = $1 AND audio_state IN ('pending', 'quarantined')
                AND audio_priority = p.priority
                AND audio_due_at <= $2 AND (audio_announced_at IS NULL OR audio_announced_at < $3)
                AND (audio_claimed_until IS NULL OR audio_claimed_until < clock_timestamp())
            ORDER BY audio_due_at
            LIMIT $4
        ) f
        UNION ALL
        SELECT f.domain, f.source_record_id, 3, extract(epoch FROM f.started_at - s.urgent_before)
        FROM unnest($5, $6, $7) AS s (retention_type, lost_before, urgent_before)
        CROSS JOIN LATERAL (
            SELECT domain, source_record_id, started_at
            FROM recordings
            WHERE account_id = $1 AND audio_state IN ('pending', 'quarantined')
                AND retention_type = s.retention_type AND started_at >= s.urgent_before
                AND audio_due_at <= $2 AND (audio_announced_at IS NULL OR audio_announced_at < $3)
                AND (audio_claimed_until IS NULL OR audio_claimed_until < clock_timestamp())
            ORDER BY started_at
            LIMIT $4
        ) f
    ) every_way
    ORDER BY domain, source_record_id, rank, place
), due AS MATERIALIZED ( -- what somebody else has in hand at this moment is left to him
    SELECT r.domain, r.source_record_id, c.rank, c.place
    FROM (SELECT * FROM candidates ORDER BY rank, place LIMIT $4) c
    JOIN recordings r
        ON r.account_id = $1 AND r.domain = c.domain AND r.source_record_id = c.source_record_id
    WHERE r.audio_state IN ('pending', 'quarantined') AND r.audio_due_at <= $2
        AND (r.audio_announced_at IS NULL OR r.audio_announced_at < $3)
        AND (r.audio_claimed_until IS NULL OR r.audio_claimed_until < clock_timestamp())
    FOR UPDATE OF r SKIP LOCKED
)
UPDATE recordings r
SET audio_announced_at = $2, audio_priority = CASE due.rank WHEN 0 THEN 1 ELSE r.audio_priority END
FROM due
WHERE r.account_id = $1 AND r.domain = due.domain AND r.source_record_id = due.source_record_id
RETURNING r.domain, r.source_record_id, due.rank, due.place;

-- name: bring_forward
-- Insights came: RingCentral has the audio as well, so what waits to be tried again is due now, unless it is in hand.
-- The caller has locked these rows, as it has merged those insights.
UPDATE recordings
SET audio_due_at = $4, audio_ahead = true
WHERE account_id = $1 AND (domain, source_record_id) IN (SELECT * FROM unnest($2::text[], $3::text[]))
    AND audio_state = 'pending' AND audio_due_at > $4
    AND (audio_claimed_until IS NULL OR audio_claimed_until < clock_timestamp());

-- name: withdraw
-- Take back announcements that the broker did not confirm.
WITH announced AS MATERIALIZED (
    SELECT domain, source_record_id
    FROM recordings
    WHERE account_id = $1 AND (domain, source_record_id) IN (SELECT * FROM unnest($2::text[], $3::text[]))
        AND audio_state IN ('pending', 'quarantined')
    ORDER BY domain, source_record_id
    FOR UPDATE
)
UPDATE recordings r
SET audio_announced_at = NULL
FROM announced
WHERE r.account_id = $1 AND r.domain = announced.domain AND r.source_record_id = announced.source_record_id;

-- name: count_announced
-- Rows whose announcement is young and whose job was not tried since.
SELECT count(*)
FROM recordings
WHERE account_id = $1 AND audio_state IN ('pending', 'quarantined') AND audio_announced_at >= $2
    AND audio_due_at <= $3;

-- name: claim
-- Take a due recording in hand, unless a living claim holds it.
UPDATE recordings
SET audio_claim = $4, audio_claimed_until = clock_timestamp() + make_interval(secs => $5::double precision)
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3
    AND audio_state IN ('pending', 'quarantined') AND audio_due_at <= $6
    AND (audio_claimed_until IS NULL OR audio_claimed_until < clock_timestamp())
RETURNING audio_content_uri, audio_object, audio_upload_id, audio_attempts, audio_reason, audio_state, started_at,
    first_seen_at, audio_priority, audio_ahead,
    CASE audio_attempts WHEN 0 THEN '{}' ELSE audio_failures END AS audio_failures,
    -- How long the insights say that the recording is, and the call log that the call took.
    (insights_facts #>> '{duration_ms,1}')::double precision AS recording_ms,
    (call_log_facts #>> '{duration_ms,1}')::double precision AS call_ms;

-- name: postpone
-- A job came too early, uncounted. A living claim holds the recording: it is due when that would end. Or it is not due
-- by the clock of this process, which may go behind the poller's: it is announced again, or the job would be lost.
UPDATE recordings
SET audio_due_at = greatest(audio_due_at, $4::timestamptz + (audio_claimed_until - clock_timestamp())),
    audio_announced_at = NULL
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3
    AND audio_state IN ('pending', 'quarantined')
    AND (audio_due_at > $4 OR audio_claimed_until >= clock_timestamp())
RETURNING source_record_id;

-- name: renew_claim
-- Hold a claim for longer; no row when it was lost.
UPDATE recordings
SET audio_claimed_until = clock_timestamp() + make_interval(secs => $5::double precision)
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_claim = $4
    AND audio_state IN ('pending', 'quarantined')
    AND audio_claimed_until >= clock_timestamp()
RETURNING source_record_id;

-- name: fix_object
-- Fix the object's name at the first accepted answer; it is never computed again.
UPDATE recordings
SET audio_object = coalesce(audio_object, $5)
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_claim = $4
    AND audio_state IN ('pending', 'quarantined')
RETURNING audio_object;

-- name: note_upload
-- Note the multipart upload that a crash would leave open.
UPDATE recordings
SET audio_upload_id = $5
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_claim = $4
    AND audio_state IN ('pending', 'quarantined')
RETURNING source_record_id;

-- name: store
-- pending or quarantined → stored: the object is whole and proven; $10 says that it was read back as well.
UPDATE recordings
SET audio_state = 'stored', audio_bytes = $5, audio_content_type = $6, audio_sha256 = $7, audio_stored_at = $8,
    audio_duration_ms = $9, audio_verified_at = CASE WHEN $10 THEN $8::timestamptz END,
    audio_attempts = audio_attempts + 1, audio_ahead = false, audio_reason = NULL, audio_due_at = NULL,
    audio_announced_at = NULL, audio_claim = NULL, audio_claimed_until = NULL, audio_upload_id = NULL, updated_at = $8
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_claim = $4
    AND audio_state IN ('pending', 'quarantined')
RETURNING source_record_id;

-- name: quarantine
-- pending or quarantined → quarantined: whole, kept under its name, and not plausible; due again unless all was tried.
UPDATE recordings
SET audio_state = 'quarantined', audio_bytes = $5, audio_content_type = $6, audio_sha256 = $7, audio_stored_at = $8,
    audio_duration_ms = $9, audio_attempts = audio_attempts + 1, audio_reason = $10, audio_due_at = $11,
    audio_failures = $12, audio_ahead = false,
    audio_announced_at = NULL, audio_claim = NULL, audio_claimed_until = NULL, audio_upload_id = NULL, updated_at = $8
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_claim = $4
    AND audio_state IN ('pending', 'quarantined')
RETURNING source_record_id;

-- name: retry_later
-- An attempt failed: why, and when it is due again. What is quarantined keeps its own reason. The upload's id stays, here
-- and below: when the storage was away, so that even the abort failed, the next attempt or a sweep still knows which one
-- to abort.
UPDATE recordings
SET audio_attempts = audio_attempts + 1, audio_failures = $8, audio_ahead = false,
    audio_due_at = $6, audio_announced_at = NULL,
    audio_reason = CASE audio_state WHEN 'quarantined' THEN audio_reason ELSE $5 END,
    audio_claim = NULL, audio_claimed_until = NULL, updated_at = $7
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_claim = $4
    AND audio_state IN ('pending', 'quarantined')
RETURNING source_record_id;

-- name: give_up
-- pending → failed or unavailable, with the reason. What is quarantined stays so, as its file does: nothing better came.
UPDATE recordings
SET audio_state = CASE audio_state WHEN 'quarantined' THEN audio_state ELSE $6 END,
    audio_reason = CASE audio_state WHEN 'quarantined' THEN audio_reason ELSE $5 END,
    audio_attempts = audio_attempts + 1, audio_failures = $8, audio_ahead = false, audio_due_at = NULL,
    audio_announced_at = NULL, audio_claim = NULL, audio_claimed_until = NULL, updated_at = $7
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_claim = $4
    AND audio_state IN ('pending', 'quarantined')
RETURNING source_record_id;

-- name: hand_back
-- An attempt did not take place (no budget, refused, or stopping): due again, uncounted. What is quarantined keeps its own reason.
-- One that is put off for a reason is not ahead of its time any more.
UPDATE recordings
SET audio_due_at = $5, audio_announced_at = NULL, audio_claim = NULL, audio_claimed_until = NULL,
    audio_ahead = audio_ahead AND $6::text IS NULL,
    audio_reason = CASE audio_state WHEN 'quarantined' THEN audio_reason ELSE coalesce($6, audio_reason) END
WHERE account_id = $1 AND domain = $2 AND source_record_id = $3 AND audio_claim = $4
    AND audio_state IN ('pending', 'quarantined')
RETURNING source_record_id;

-- name: make_due
-- Rows that wait for one of these reasons, which is mended now: due at once.
WITH mended AS MATERIALIZED (
    SELECT domain, source_record_id
    FROM recordings
    WHERE account_id = $1 AND audio_state IN ('pending', 'quarantined') AND audio_due_at > $3
        AND audio_reason = ANY($2::text[])
    ORDER BY domain, source_record_id
    FOR UPDATE
)
UPDATE recordings r
SET audio_due_at = $3, audio_announced_at = NULL
FROM mended
WHERE r.account_id = $1 AND r.domain = mended.domain AND r.source_record_id = mended.source_record_id
RETURNING r.source_record_id;
