-- name: begin
-- A subscription is about to be made.
INSERT INTO subscription_intents
    (intent_id, account_id, credential, address, verification_token_digest, already_there, begun_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: find
-- Makings whose end is not known.
SELECT intent_id, credential, address, verification_token_digest, already_there, begun_at
FROM subscription_intents WHERE account_id = $1
ORDER BY begun_at;

-- name: forget
-- What came of it is known.
DELETE FROM subscription_intents WHERE intent_id = $1;
