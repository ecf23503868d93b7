-- name: secondary_indexes
-- What is made anew after filling, which is quicker than keeping it meanwhile.
SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid IN ('recordings'::regclass, 'calls'::regclass) AND NOT i.indisprimary;

-- name: unlog
-- What is filled need not survive a crash of the server.
ALTER TABLE recordings SET UNLOGGED;

-- name: fill_calls
-- Calls from one number to another, spread over the year that ends now, in the order in which they came, whatever their
-- number: 500 extensions, some deleted.
INSERT INTO calls (account_id, call_log_id, session_id, telephony_session_id, extension_id, direction, started_at,
    duration_ms, has_recording, modified_at, deleted, entry, first_seen_at, updated_at)
SELECT '42', 'c' || n, (1000000000 + n)::text, 's-' || md5(n::text), (7000 + n % 500)::text, 'Inbound', s.started_at,
    60000 + n % 600000, true, s.started_at + interval '10 min', n % 500 = 7,
    jsonb_build_object('type', 'Voice', 'padding', repeat('x', 150)),
    s.started_at + interval '11 min', s.started_at + interval '11 min'
FROM generate_series($1::bigint, $2::bigint) AS n
CROSS JOIN LATERAL (
    SELECT $3::timestamptz - interval '365 days' * (($2 - n)::float8 / ($2 - $1 + 1)) AS started_at
) s;

-- name: fill_recordings
-- A recording for each call. Most are stored, half of these verified; one in fifty waits, live or for a backfill; the rest
-- is in all other states. Four extensions of five have insights; some of the others' are to be asked for. One in twenty
-- was recorded on demand. What the call log has not shown for days is given up.
INSERT INTO recordings (account_id, domain, source_record_id, telephony_session_id, call_log_id, title, direction,
    started_at, duration_ms, from_number, from_name, to_number, to_name, extension_id, recording_type, call_log_facts,
    audio_content_uri, audio_state, audio_object, audio_bytes, audio_content_type, audio_sha256, audio_stored_at,
    audio_verified_at, audio_reason, audio_due_at, audio_priority, insights, insights_versions, insights_state,
    insights_reason, insights_due_at, first_seen_at, updated_at, audio_sidecar_of)
SELECT '42', 'pbx', (100000000000 + n)::text, 's-' || md5(n::text), 'c' || n, 'Call ' || n, 'Inbound', s.started_at,
    60000 + n % 600000, '+1555' || n, 'Somebody', '+1666' || n % 500, 'Somebody else', (7000 + n % 500)::text,
    CASE WHEN n % 20 = 3 THEN 'OnDemand' ELSE 'Automatic' END,
    jsonb_build_object('padding', repeat('x', 150)),
    'https://media.example/' || n, s.state, 'recordings/' || n || '.mp3', 500000, 'audio/mpeg', repeat('0', 64),
    s.started_at + interval '1 hour', CASE WHEN n % 2 = 0 THEN s.started_at + interval '1 day' END,
    CASE
        WHEN s.state = 'unknown' AND s.started_at < $3 - interval '3 days' THEN 'the call log did not show its call'
        WHEN s.state NOT IN ('stored', 'pending', 'unknown') THEN 'RingCentral has nothing there'
    END,
    CASE WHEN s.state = 'pending' THEN $3::timestamptz - interval '1 second' * (n % 86400) END,
    CASE WHEN n % 3 = 0 THEN 1 ELSE 3 END,
    CASE WHEN n % 5 > 0 THEN jsonb_build_object('Summary', jsonb_build_array(repeat('x', 200))) ELSE '{}' END,
    CASE WHEN n % 5 > 0 THEN '{"Summary": ["2026", "digest"]}'::jsonb ELSE '{}' END,
    CASE WHEN n % 5 > 0 THEN 'present' WHEN n % 7 = 0 THEN 'absent' ELSE 'unavailable' END,
    CASE
        WHEN n % 5 = 0 AND n % 7 > 0 THEN 'the extension has no licence'
        WHEN n % 70 = 0 THEN 'RingCentral has none yet'
    END,
    CASE WHEN n % 70 = 0 THEN $3::timestamptz - interval '1 second' * (n % 86400) END,
    s.started_at + interval '11 min', s.started_at + interval '1 hour', s.started_at + interval '1 hour'
FROM generate_series($1::bigint, $2::bigint) AS n
CROSS JOIN LATERAL (
    SELECT $3::timestamptz - interval '365 days' * (($2 - n)::float8 / ($2 - $1 + 1)) AS started_at,
        CASE
            WHEN n % 50 = 1 THEN 'pending' WHEN n % 25 = 2 THEN 'unavailable' WHEN n % 200 = 4 THEN 'failed'
            WHEN n % 500 = 6 THEN 'quarantined' WHEN n % 500 = 8 THEN 'unknown' ELSE 'stored'
        END AS state
) s;

-- name: fill_insight_events
-- The journal of the last months, one event for ten recordings, into the partitions that `at` ones have. Of ten, one
-- was asked for. What is older than a day is archived.
WITH filled AS (
    INSERT INTO insight_events (digest, account_id, raw, body, uuid, domain, source_record_id, received_at, applied_at,
        archived_at, source, made_at)
    SELECT sha256(n::text::bytea), '42', repeat(md5(n::text), 4)::bytea, '{}', n::text, 'pbx',
        (100000000000 + n)::text, a.at, $3,
        CASE WHEN a.at < $3::timestamptz - interval '1 day' THEN a.at + interval '1 day' END,
        CASE WHEN n / 10 % 10 = 0 THEN 'fetched' ELSE 'event' END,
        CASE WHEN n / 10 % 10 = 0 THEN a.at - interval '1 hour' END
    FROM generate_series($1::bigint, $2::bigint, 10) AS n
    CROSS JOIN LATERAL (
        SELECT $3::timestamptz - interval '60 days' * ((n * 7919 % 1000003) / 1000003.0) AS at
    ) a
    RETURNING digest, received_at
)
INSERT INTO insight_event_digests SELECT digest, received_at FROM filled;

-- name: small_tables
-- Tables with fewer rows than that.
SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples < $1;

-- name: two_pending
-- Two due recordings, for the statements about one.
SELECT source_record_id FROM recordings
WHERE account_id = '42' AND audio_state = 'pending' AND audio_claim IS NULL
LIMIT 2;

-- name: subscribe
-- A subscription of ours that delivers.
INSERT INTO subscriptions (subscription_id, account_id, credential, address, expires_at, renewed_at, created_at)
VALUES ('1', '42', 'first', 'https://calls.example', $1::timestamptz + interval '30 days', $1,
    $1::timestamptz - interval '90 days');

-- name: list_latest
-- The latest recordings, as a portal lists them.
SELECT source_record_id, title, started_at, audio_state FROM recordings
WHERE account_id = $1 AND started_at < $2
ORDER BY started_at DESC
LIMIT 50;

-- name: list_of_an_extension
-- The same of one extension.
SELECT source_record_id, title, started_at, audio_state FROM recordings
WHERE account_id = $1 AND extension_id = $3 AND started_at < $2
ORDER BY started_at DESC
LIMIT 50;

-- name: list_not_stored
-- The same of what has failed.
SELECT source_record_id, title, started_at, audio_reason FROM recordings
WHERE account_id = $1 AND audio_state = $3 AND started_at < $2
ORDER BY started_at DESC
LIMIT 50;

-- name: list_of_a_day
-- The first recordings of a day.
SELECT source_record_id, title, started_at FROM recordings
WHERE account_id = $1 AND started_at >= $2
ORDER BY started_at
LIMIT 50;

-- name: list_of_a_session
-- All recordings of a conversation.
SELECT source_record_id, title, started_at FROM recordings WHERE account_id = $1 AND telephony_session_id = $2;
