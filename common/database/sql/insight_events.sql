-- name: ensure_partition
-- Make sure of the partition of the month.
SELECT ensure_insight_events_partition($1);

-- name: remember
-- Which of these digests are new; a digest is journaled once.
INSERT INTO insight_event_digests (digest, received_at)
SELECT digest, received_at FROM unnest($1::bytea[], $2::timestamptz[]) AS n (digest, received_at)
ORDER BY digest
ON CONFLICT DO NOTHING
RETURNING digest;

-- name: journal
-- Keep events as they arrived.
INSERT INTO insight_events
    (digest, account_id, raw, body, uuid, domain, source_record_id, received_at, applied_at, error, source, made_at)
SELECT digest, account_id, raw, body::jsonb, uuid, domain, source_record_id, received_at, applied_at, error, source,
    made_at
FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
    $9::timestamptz[], $10::text[], $11::text[], $12::timestamptz[])
    AS n (digest, account_id, raw, body, uuid, domain, source_record_id, received_at, applied_at, error, source, made_at);

-- name: page
-- The next events that arrived from one time until another, in the order of arrival.
SELECT digest, account_id, raw, received_at, error
FROM insight_events
WHERE received_at >= $1 AND received_at < $2 AND (received_at, digest) > ($3, $4)
    AND (domain = $5 OR domain IS NULL OR $5 IS NULL)
ORDER BY received_at, digest
LIMIT $6;

-- name: count
-- How many arrived from one time until another.
SELECT count(*)
FROM insight_events
WHERE received_at >= $1 AND received_at < $2 AND (domain = $3 OR domain IS NULL OR $3 IS NULL);

-- name: understand
-- Events that could not be understood, or not be applied, when they came, and are now. What was archived stays archived.
WITH understood AS MATERIALIZED (
    SELECT n.*
    FROM unnest(
        $1::bytea[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[]
    ) AS n (digest, received_at, body, uuid, domain, source_record_id, applied_at, error)
    JOIN insight_events e ON e.digest = n.digest AND e.received_at = n.received_at
    WHERE (e.domain, e.source_record_id, e.error) IS DISTINCT FROM (n.domain, n.source_record_id, n.error)
    ORDER BY e.received_at, e.digest
    FOR UPDATE OF e
)
UPDATE insight_events e
SET body = n.body::jsonb, uuid = n.uuid, domain = n.domain, source_record_id = n.source_record_id,
    applied_at = n.applied_at, error = n.error
FROM understood n
WHERE e.digest = n.digest AND e.received_at = n.received_at;
