-- name: ranks
-- When the recordings that RingCentral may still keep of a type began, by how many are newer: every so many-th, and the
-- last. What it keeps is no older than a time, and no more than so many; recordings of other domains are not among it.
WITH kept AS MATERIALIZED (
    SELECT started_at, row_number() OVER (ORDER BY started_at DESC) - 1 AS newer
    FROM recordings
    WHERE account_id = $1 AND retention_type = $2 AND started_at > $3 AND started_at <= $4
        AND audio_cell <> 'unavailable: no_audio_in_domain'
    ORDER BY started_at DESC
    LIMIT $5::bigint + 1
)
SELECT newer, started_at
FROM kept
WHERE newer % $6::bigint = 0 OR newer = (SELECT max(newer) FROM kept)
ORDER BY newer;

-- name: lately
-- Recordings of each type that began in the last day, and in the last seven.
SELECT retention_type, count(*) FILTER (WHERE started_at > $2::timestamptz - interval '1 day') AS in_a_day,
    count(*) AS in_a_week
FROM recordings
WHERE account_id = $1 AND started_at > $2 - interval '7 days' AND started_at <= $2
    AND audio_cell <> 'unavailable: no_audio_in_domain'
GROUP BY 1;

-- name: waiting
-- What is to be fetched, by type and the hour in which it began.
SELECT retention_type, date_trunc('hour', started_at) AS started_at, count(*) AS number
FROM recordings
WHERE account_id = $1 AND audio_state IN ('pending', 'quarantined') AND audio_due_at IS NOT NULL
    AND started_at IS NOT NULL
GROUP BY 1, 2;
