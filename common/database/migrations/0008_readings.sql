-- Readings of the call log that are independent of the cursor: reconciliation and backfill. Which span, how far, and what
-- was missing, by why.
CREATE TABLE call_log_readings (
    reading_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL,
    -- recent: the last days, each day · all: all of retention, each month · asked: by a person · backfill
    kind text NOT NULL CHECK (kind IN ('recent', 'all', 'asked', 'backfill')),
    begins timestamptz NOT NULL,
    ends timestamptz NOT NULL,
    read_until timestamptz NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    calls bigint NOT NULL DEFAULT 0,
    recordings bigint NOT NULL DEFAULT 0,
    new_calls bigint NOT NULL DEFAULT 0,
    healed jsonb NOT NULL DEFAULT '{}',
    CHECK (begins < ends)
);

CREATE INDEX call_log_readings_by_kind ON call_log_readings (account_id, kind, started_at);

ALTER TABLE call_log_readings ENABLE ROW LEVEL SECURITY;
