-- name: find
-- The shared token of a credential.
SELECT ciphertext, owner_id, generation, expires_at FROM access_tokens WHERE fingerprint = $1;

-- name: become_minter
-- Let one process mint: the first to ask, or the first after a minter that has gone silent.
INSERT INTO access_tokens (fingerprint, minter, minting_until)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3::double precision))
ON CONFLICT (fingerprint) DO UPDATE
SET minter = excluded.minter, minting_until = excluded.minting_until
WHERE (access_tokens.minting_until IS NULL OR access_tokens.minting_until < clock_timestamp())
    AND access_tokens.generation = $4
RETURNING generation;

-- name: share
-- Share what was minted.
UPDATE access_tokens
SET ciphertext = $3, owner_id = $4, expires_at = $5, generation = generation + 1, minter = NULL, minting_until = NULL
WHERE fingerprint = $1 AND minter = $2
RETURNING generation;

-- name: stop_minting
-- Let others try.
UPDATE access_tokens SET minter = NULL, minting_until = NULL WHERE fingerprint = $1 AND minter = $2;

-- name: drop
-- Forget a token that was refused, unless a newer one is there already.
UPDATE access_tokens SET ciphertext = NULL, expires_at = NULL WHERE fingerprint = $1 AND generation = $2;
