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
