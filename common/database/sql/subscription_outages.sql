-- name: begin
-- No event can reach us; nothing when that is known already.
INSERT INTO subscription_outages (account_id, began_at, noticed_at, reason, subscription_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id) WHERE ended_at IS NULL DO NOTHING
RETURNING outage_id;

-- name: find_open
-- The outage that goes on.
SELECT outage_id, began_at, reason FROM subscription_outages WHERE account_id = $1 AND ended_at IS NULL;

-- name: end
-- Events reach us again.
UPDATE subscription_outages SET ended_at = $2, recordings_due = $3 WHERE outage_id = $1 AND ended_at IS NULL;

-- name: list
-- Outages, the last ones first. Of recordings that began in one, or so long ($2) before it: those that are still to be asked
-- for, and those that were healed, whose insights are here because they were asked for since it began.
SELECT o.began_at, o.noticed_at, o.ended_at, o.reason, n.recordings_due, n.recordings_healed
FROM subscription_outages o
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE r.insights_state IN ('absent', 'partial') AND r.insights_due_at IS NOT NULL)
            AS recordings_due,
        count(*) FILTER (WHERE r.insights_state IN ('present', 'partial') AND EXISTS (
            SELECT FROM insight_events e
            WHERE e.account_id = r.account_id AND e.domain = r.domain AND e.source_record_id = r.source_record_id
                AND e.source = 'fetched' AND e.received_at >= o.began_at
        )) AS recordings_healed
    FROM recordings r
    WHERE r.account_id = o.account_id AND r.started_at >= o.began_at - $2::interval
        AND r.started_at <= coalesce(o.ended_at, $3)
) n
WHERE o.account_id = $1
ORDER BY o.began_at DESC;
