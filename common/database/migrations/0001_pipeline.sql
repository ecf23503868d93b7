-- The pipeline: calls, recordings, the journal of insight events, and what processes share.

CREATE TABLE calls (
    account_id text NOT NULL,
    call_log_id text NOT NULL,
    session_id text,
    telephony_session_id text,
    extension_id text,
    direction text,
    started_at timestamptz,
    duration_ms bigint,
    has_recording boolean NOT NULL,
    modified_at timestamptz,
    deleted boolean NOT NULL DEFAULT false,
    -- The call-log record as last seen; U+0000 and lone surrogates, which jsonb cannot hold, as U+FFFD.
    entry jsonb NOT NULL,
    first_seen_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, call_log_id)
);

CREATE INDEX calls_by_session ON calls (account_id, telephony_session_id);
CREATE INDEX calls_by_start ON calls (account_id, started_at);

CREATE TABLE recordings (
    account_id text NOT NULL,
    domain text NOT NULL,
    source_record_id text NOT NULL,
    telephony_session_id text,
    call_log_id text,
    title text,
    direction text,
    started_at timestamptz,
    duration_ms bigint,
    from_number text,
    from_name text,
    to_number text,
    to_name text,
    extension_id text,
    recording_type text,
    -- What each source says, with its version; the columns above are made of both, call log over insights.
    call_log_facts jsonb NOT NULL DEFAULT '{}',
    insights_facts jsonb NOT NULL DEFAULT '{}',

    audio_content_uri text,
    -- unknown: no call-log entry yet · pending: to be fetched · stored: proven · quarantined: arrived whole, not plausible
    -- unavailable: never to be had · failed: the schedule is used up · erased: a tombstone that nothing leaves
    audio_state text NOT NULL DEFAULT 'unknown'
        CHECK (audio_state IN ('unknown', 'pending', 'stored', 'quarantined', 'unavailable', 'failed', 'erased')),
    audio_object text,
    audio_bytes bigint CHECK (audio_bytes >= 0),
    audio_content_type text,
    audio_sha256 text CHECK (audio_sha256 ~ '^[0-9a-f]{64}$'),
    audio_stored_at timestamptz,
    audio_attempts integer NOT NULL DEFAULT 0 CHECK (audio_attempts >= 0),
    audio_reason text,
    audio_due_at timestamptz,
    audio_announced_at timestamptz,
    audio_claim uuid,
    audio_claimed_until timestamptz,
    audio_upload_id text,

    insights jsonb NOT NULL DEFAULT '{}',
    insights_versions jsonb NOT NULL DEFAULT '{}',
    -- absent: none yet · partial: call notes alone · present · unavailable: never to be had · erased: a tombstone
    insights_state text NOT NULL DEFAULT 'absent'
        CHECK (insights_state IN ('absent', 'partial', 'present', 'unavailable', 'erased')),
    insights_reason text,
    speakers jsonb,

    first_seen_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, domain, source_record_id),

    CHECK (audio_state <> 'stored' OR (audio_object IS NOT NULL AND audio_bytes IS NOT NULL
        AND audio_sha256 IS NOT NULL AND audio_stored_at IS NOT NULL)),
    CHECK (audio_state <> 'pending' OR (audio_content_uri IS NOT NULL AND audio_due_at IS NOT NULL)),
    CHECK (audio_state NOT IN ('unavailable', 'failed', 'quarantined') OR audio_reason IS NOT NULL),
    CHECK ((audio_claim IS NULL) = (audio_claimed_until IS NULL))
);

CREATE INDEX recordings_by_session ON recordings (account_id, telephony_session_id);
CREATE INDEX recordings_by_start ON recordings (account_id, started_at);
CREATE INDEX recordings_due ON recordings (account_id, audio_due_at) WHERE audio_state IN ('pending', 'quarantined');

-- The journal: every accepted event, byte for byte. One partition a month of `received_at`.
CREATE TABLE insight_events (
    digest bytea NOT NULL,
    account_id text NOT NULL,
    raw bytea NOT NULL,
    body jsonb,
    uuid text,
    domain text,
    source_record_id text,
    received_at timestamptz NOT NULL,
    applied_at timestamptz,
    error text,
    PRIMARY KEY (digest, received_at)
) PARTITION BY RANGE (received_at);

CREATE INDEX insight_events_by_recording ON insight_events (account_id, domain, source_record_id);

-- A unique key of a partitioned table must hold its partition key: this table makes the digest alone unique.
CREATE TABLE insight_event_digests (
    digest bytea PRIMARY KEY,
    received_at timestamptz NOT NULL
);

CREATE FUNCTION ensure_insight_events_partition(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamptz := date_trunc('month', at, 'UTC');
    following timestamptz := date_trunc('month', month + interval '40 days', 'UTC');
    partition text := 'insight_events_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext(partition));
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF insight_events FOR VALUES FROM (%L) TO (%L)',
        partition, month, following);
    -- A partition is a table of its own: the parent's protection does not reach it.
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', partition);
END
$$;

-- Who leads: a row with a deadline, and a number that grows with every change of holder.
CREATE TABLE leases (
    name text PRIMARY KEY,
    holder uuid NOT NULL,
    fencing bigint NOT NULL,
    until timestamptz NOT NULL
);

-- How far the call log was read, with which token; the token belongs to the credential that got it.
CREATE TABLE call_log_cursors (
    account_id text PRIMARY KEY,
    credential text,
    sync_token text,
    polled_until timestamptz NOT NULL,
    -- Until then the call log is read by windows, because the account has no sync endpoint.
    windows_until timestamptz,
    updated_at timestamptz NOT NULL
);

-- Subscriptions that we made; those of others on the same app are not ours to touch.
CREATE TABLE subscriptions (
    subscription_id text PRIMARY KEY,
    account_id text NOT NULL,
    credential text NOT NULL,
    address text NOT NULL,
    verification_token_digest text,
    expires_at timestamptz NOT NULL,
    renewed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);

-- The access token of each credential, encrypted; `fingerprint` covers client id, client secret and JWT.
CREATE TABLE access_tokens (
    fingerprint text PRIMARY KEY,
    ciphertext bytea,
    owner_id text,
    generation bigint NOT NULL DEFAULT 0,
    renew_at timestamptz,
    expires_at timestamptz,
    minter uuid,
    minting_until timestamptz,
    refused_until timestamptz,
    refused_code text
);

-- The rate-limit budget: one row a group, and as many slots as the limit allows requests in a window.
CREATE TABLE rate_groups (
    owner_id text NOT NULL,
    app text NOT NULL,
    rate_group text NOT NULL,
    slots integer NOT NULL,
    window_seconds double precision NOT NULL,
    closed_until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (owner_id, app, rate_group)
);

CREATE TABLE rate_slots (
    owner_id text NOT NULL,
    app text NOT NULL,
    rate_group text NOT NULL,
    slot integer NOT NULL,
    -- The request that is under way, and when the last one was counted at the latest.
    grant_id uuid,
    used_at timestamptz,
    free_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (owner_id, app, rate_group, slot),
    FOREIGN KEY (owner_id, app, rate_group) REFERENCES rate_groups ON DELETE CASCADE
);

-- Who waits for a slot, so that what matters more goes first; a row whose time is over is of a process that is gone.
CREATE TABLE rate_waiters (
    waiter uuid NOT NULL,
    owner_id text NOT NULL,
    app text NOT NULL,
    rate_group text NOT NULL,
    priority smallint NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (waiter, owner_id)
);

CREATE INDEX rate_waiters_by_group ON rate_waiters (owner_id, app, rate_group, priority);

-- On hosted Postgres, roles of the public may reach every table of this schema: nobody but the owner (and roles that
-- bypass row security) sees a row until a policy says so.
ALTER TABLE calls ENABLE ROW LEVEL SECURITY;
ALTER TABLE recordings ENABLE ROW LEVEL SECURITY;
ALTER TABLE insight_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE insight_event_digests ENABLE ROW LEVEL SECURITY;
ALTER TABLE leases ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_log_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE subscriptions ENABLE ROW LEVEL SECURITY;
ALTER TABLE access_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE rate_groups ENABLE ROW LEVEL SECURITY;
ALTER TABLE rate_slots ENABLE ROW LEVEL SECURITY;
ALTER TABLE rate_waiters ENABLE ROW LEVEL SECURITY;
ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY;
