-- name: find
-- Our subscriptions for an account.
SELECT subscription_id, credential, address, verification_token_digest, expires_at, renewed_at
FROM subscriptions WHERE account_id = $1
ORDER BY created_at, subscription_id;

-- name: record
-- Record a subscription as ours, or its new end.
INSERT INTO subscriptions
    (subscription_id, account_id, credential, address, verification_token_digest, expires_at, renewed_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (subscription_id) DO UPDATE SET expires_at = excluded.expires_at, renewed_at = excluded.renewed_at;

-- name: forget
-- A subscription of ours is gone.
DELETE FROM subscriptions WHERE subscription_id = $1;
