-- name: oldest_unarchived
-- The account and the day (UTC) of the oldest event that came before this time and is in no piece yet.
SELECT account_id, (received_at AT TIME ZONE 'UTC')::date AS day
FROM insight_events
WHERE archived_at IS NULL AND received_at < $1
ORDER BY received_at
LIMIT 1;

-- name: last_number
-- How many pieces a day has.
SELECT coalesce(max(number), 0) FROM journal_archives WHERE account_id = $1 AND day = $2;

-- name: page
-- The next events of a day that are in no piece yet, in the order of arrival.
SELECT digest, raw, received_at
FROM insight_events
WHERE account_id = $1 AND received_at >= $2 AND received_at < $3 AND archived_at IS NULL
    AND (received_at, digest) > ($4, $5)
ORDER BY received_at, digest
LIMIT $6;

-- name: add
-- Note a piece that storage holds, unless the day has one of this number.
INSERT INTO journal_archives (account_id, day, number, object, events, bytes, sha256, archived_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
RETURNING number;

-- name: mark
-- These events of a day are in a piece.
WITH written AS MATERIALIZED (
    SELECT received_at, digest
    FROM insight_events
    WHERE account_id = $1 AND received_at >= $2 AND received_at < $3 AND digest = ANY($4::bytea[])
        AND archived_at IS NULL
    ORDER BY received_at, digest
    FOR UPDATE
)
UPDATE insight_events e
SET archived_at = $5
FROM written
WHERE e.received_at = written.received_at AND e.digest = written.digest
    AND e.received_at >= $2 AND e.received_at < $3;

-- name: forgettable_day
-- The oldest day before this one that still has events in Postgres which are in a piece, and could be asked for again:
-- only `pbx` and `rcv` calls can be listed (facts 1.2), all others are kept for ever.
SELECT account_id, (received_at AT TIME ZONE 'UTC')::date AS day
FROM insight_events
WHERE received_at < $1 AND archived_at IS NOT NULL AND domain IN ('pbx', 'rcv')
ORDER BY received_at
LIMIT 1;

-- name: pieces
-- The pieces of a day.
SELECT object, bytes FROM journal_archives WHERE account_id = $1 AND day = $2 ORDER BY number;

-- name: forget
-- Delete a day's events of those domains that are in a piece. Their digests stay, so that a late copy is known.
WITH forgotten AS MATERIALIZED (
    SELECT received_at, digest
    FROM insight_events
    WHERE account_id = $1 AND received_at >= $2 AND received_at < $3 AND archived_at IS NOT NULL
        AND domain IN ('pbx', 'rcv')
    ORDER BY received_at, digest
    FOR UPDATE
)
DELETE FROM insight_events e
USING forgotten
WHERE e.received_at = forgotten.received_at AND e.digest = forgotten.digest
    AND e.received_at >= $2 AND e.received_at < $3;
