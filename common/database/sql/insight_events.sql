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
    (digest, account_id, raw, body, uuid, domain, source_record_id, received_at, applied_at, error)
SELECT digest, account_id, raw, body::jsonb, uuid, domain, source_record_id, received_at, applied_at, error
FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
    $9::timestamptz[], $10::text[])
    AS n (digest, account_id, raw, body, uuid, domain, source_record_id, received_at, applied_at, error);
