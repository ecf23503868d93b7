-- name: find
-- The shared token of a credential, and whether RingCentral refused it lately, so that it still holds for so long.
SELECT ciphertext, owner_id, generation, renew_at, expires_at,
    coalesce(refused_until > clock_timestamp() + make_interval(secs => $2::double precision), false) AS refused,
    refused_code
FROM access_tokens
WHERE fingerprint = $1;

-- name: become_minter
-- Let one process mint for a short while: the first to ask, or the first after a minter that has gone silent; whoever
-- mints already may prolong it. A refusal prevents it only while it still holds for so long.
INSERT INTO access_tokens (fingerprint, minter, minting_until)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3::double precision))
ON CONFLICT (fingerprint) DO UPDATE
SET minter = excluded.minter, minting_until = excluded.minting_until
WHERE (access_tokens.minter = $2 OR access_tokens.minting_until IS NULL
        OR access_tokens.minting_until < clock_timestamp())
    AND (access_tokens.refused_until IS NULL
        OR access_tokens.refused_until <= clock_timestamp() + make_interval(secs => $5::double precision))
    AND access_tokens.generation = $4
RETURNING generation;

-- name: share
-- Share what was minted.
UPDATE access_tokens
SET ciphertext = $3, owner_id = $4, renew_at = $5, expires_at = $6, generation = generation + 1,
    minter = NULL, minting_until = NULL, refused_until = NULL, refused_code = NULL
WHERE fingerprint = $1 AND minter = $2
RETURNING generation;

-- name: refuse
-- Note that the credential is refused, so that the other processes need not ask; a token that still lives stays.
UPDATE access_tokens
SET refused_until = clock_timestamp() + make_interval(secs => $3::double precision), refused_code = $4
WHERE fingerprint = $1 AND minter = $2;

-- name: stop_minting
-- Let others try.
UPDATE access_tokens SET minter = NULL, minting_until = NULL WHERE fingerprint = $1 AND minter = $2;

-- name: drop
-- Forget a token that was refused, unless a newer one is there already.
UPDATE access_tokens SET ciphertext = NULL, renew_at = NULL, expires_at = NULL
WHERE fingerprint = $1 AND generation = $2;
