-- name: known_calls
-- Which of these calls are known, and whether with a recording.
SELECT call_log_id, has_recording FROM calls WHERE account_id = $1 AND call_log_id = ANY($2::text[]);

-- name: known_recordings
-- Which of these recordings have a row, and the cell of the ledger that their audio is in.
SELECT source_record_id, audio_cell
FROM recordings
WHERE account_id = $1 AND domain = $2 AND source_record_id = ANY($3::text[]);

-- name: try_again
-- failed or unavailable → pending: RingCentral still lists it, so the schedule begins anew. The caller has locked these
-- rows, as it has merged what was listed.
UPDATE recordings
SET audio_state = 'pending', audio_attempts = 0, audio_due_at = $4, audio_announced_at = NULL, audio_priority = $5,
    updated_at = $4
WHERE account_id = $1 AND domain = $2 AND source_record_id = ANY($3::text[]) AND audio_cell = ANY($6::text[])
    AND audio_content_uri IS NOT NULL;

-- name: find
-- The reading of a kind and span that is not finished; of a kind alone, the one that was begun last.
SELECT reading_id, begins, ends, read_until, started_at, finished_at, calls, recordings, new_calls, healed
FROM call_log_readings
WHERE account_id = $1 AND kind = $2 AND (begins = $3 OR $3 IS NULL) AND (ends = $4 OR $4 IS NULL)
ORDER BY reading_id DESC
LIMIT 1;

-- name: begin
-- Begin a reading of a span.
INSERT INTO call_log_readings (account_id, kind, begins, ends, read_until, started_at)
VALUES ($1, $2, $3, $4, $3, $5)
RETURNING reading_id, begins, ends, read_until, started_at, finished_at, calls, recordings, new_calls, healed;

-- name: note_first_poll
-- A reading that was done by a poll.
INSERT INTO call_log_readings (account_id, kind, begins, ends, read_until, started_at, finished_at)
VALUES ($1, $2, $3, $4, $4, $4, $4);

-- name: note
-- A window was read to its end: the next begins there. With the last one the reading is finished.
UPDATE call_log_readings
SET read_until = $2, finished_at = CASE WHEN $2 >= ends THEN $3::timestamptz END,
    calls = calls + $4, recordings = recordings + $5, new_calls = new_calls + $6,
    healed = (
        SELECT coalesce(jsonb_object_agg(why, number), '{}')
        FROM (
            SELECT why, sum(number::bigint) AS number
            FROM (SELECT * FROM jsonb_each_text(healed) UNION ALL SELECT * FROM jsonb_each_text($7)) AS n (why, number)
            GROUP BY why
        ) sums
    )
WHERE reading_id = $1 AND read_until < $2;

-- name: waiting
-- Of the recordings that began in a span: how many there are, how many are to be fetched, how many are stored, and of how
-- many nobody asks for audio or insights any more.
SELECT count(*) AS recordings,
    count(*) FILTER (WHERE audio_state IN ('pending', 'quarantined') AND audio_due_at IS NOT NULL) AS waiting,
    count(*) FILTER (WHERE audio_state = 'stored') AS stored,
    count(*) FILTER (WHERE audio_state IN ('stored', 'unavailable', 'erased')) AS audio_done,
    count(*) FILTER (WHERE insights_state IN ('present', 'unavailable', 'erased')) AS insights_done
FROM recordings
WHERE account_id = $1 AND started_at >= $2 AND started_at < $3 AND domain = 'pbx';

-- name: bytes_per_second
-- How many bytes a second of audio had lately, by the length of calls, which is an upper bound of that of recordings.
SELECT (sum(audio_bytes) / nullif(sum(duration_ms), 0) * 1000)::double precision
FROM (
    SELECT audio_bytes, duration_ms
    FROM recordings
    WHERE account_id = $1 AND audio_state = 'stored' AND duration_ms > 0
    ORDER BY started_at DESC
    LIMIT 1000
) lately;
