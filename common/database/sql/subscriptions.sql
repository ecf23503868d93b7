-- name: find
-- Our subscriptions for an account.
SELECT subscription_id, credential, address, verification_token_digest, expires_at, renewed_at, seen_live_at,
    silent_since
FROM subscriptions WHERE account_id = $1
ORDER BY created_at, subscription_id;

-- name: record
-- Record a subscription as ours, or its new end.
INSERT INTO subscriptions
    (subscription_id, account_id, credential, address, verification_token_digest, expires_at, renewed_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (subscription_id) DO UPDATE
SET credential = excluded.credential, expires_at = excluded.expires_at, renewed_at = excluded.renewed_at;

-- name: seen_live
-- A subscription delivers, by what RingCentral says.
UPDATE subscriptions SET seen_live_at = $2 WHERE subscription_id = $1;

-- name: fall_silent
-- RingCentral had insights of two recordings for so long, as answers have told, or of one for a day, and no event has come
-- since, of whatever recording: the subscription counts as dead, from the last event on. Insights that were there before
-- the subscription say nothing, and neither do answers that came before the last event. Only the leader comes here.
WITH last_event AS MATERIALIZED (
    SELECT coalesce(max(received_at), '-infinity') AS at
    FROM (
        SELECT received_at FROM insight_events
        WHERE account_id = $1 AND source = 'event'
        ORDER BY received_at DESC
        LIMIT 1
    ) e
), silent AS (
    SELECT s.subscription_id, greatest(s.created_at, l.at) AS heard_at
    FROM last_event l
    JOIN subscriptions s ON s.account_id = $1 AND s.silent_since IS NULL
    JOIN insight_events f ON f.account_id = $1 AND f.source = 'fetched' AND f.domain = ANY($2::text[])
        AND f.received_at > greatest($4, l.at)
        AND f.made_at > greatest(s.created_at, l.at) AND f.made_at <= $3
    GROUP BY s.subscription_id, s.created_at, l.at
    HAVING count(DISTINCT (f.domain, f.source_record_id)) > 1 OR min(f.made_at) <= $5
)
UPDATE subscriptions s
SET silent_since = silent.heard_at
FROM silent
WHERE s.subscription_id = silent.subscription_id
RETURNING s.subscription_id, s.silent_since;

-- name: last_event
-- When the last event came since a subscription was made, or when it was made.
SELECT coalesce((
    SELECT max(e.received_at) FROM insight_events e
    WHERE e.account_id = s.account_id AND e.source = 'event' AND e.received_at > s.created_at
), s.created_at)
FROM subscriptions s WHERE s.subscription_id = $1;

-- name: forget
-- A subscription of ours is gone.
DELETE FROM subscriptions WHERE subscription_id = $1;
