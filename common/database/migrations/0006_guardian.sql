-- The guardian and the insights that no event brought.

-- `seen_live_at`: when it was last seen Active with all its filters. `silent_since`: it is said to be Active, but has
-- brought nothing since then that RingCentral had.
ALTER TABLE subscriptions
    ADD COLUMN seen_live_at timestamptz,
    ADD COLUMN silent_since timestamptz;

-- A subscription that is being made, written before RingCentral is asked: what a crash leaves between the making and the
-- recording is found by it, as the one at our address that was not among `already_there`.
CREATE TABLE subscription_intents (
    intent_id uuid PRIMARY KEY,
    account_id text NOT NULL,
    credential text NOT NULL,
    address text NOT NULL,
    verification_token_digest text,
    already_there text[] NOT NULL,
    begun_at timestamptz NOT NULL
);

-- When no event could reach us. `began_at` is the last moment at which one could for certain; an outage without an end
-- goes on.
CREATE TABLE subscription_outages (
    outage_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL,
    began_at timestamptz NOT NULL,
    noticed_at timestamptz NOT NULL,
    ended_at timestamptz,
    -- gone: deleted or expired · blacklisted · inactive: any other status · silent: brought nothing that there was
    -- filters_disabled: a permission is missing
    reason text NOT NULL CHECK (reason IN ('gone', 'blacklisted', 'inactive', 'silent', 'filters_disabled')),
    subscription_id text,
    -- Recordings of the dark interval without insights, which were asked for when it ended.
    recordings_due integer
);

CREATE UNIQUE INDEX subscription_outages_open ON subscription_outages (account_id) WHERE ended_at IS NULL;

-- Insights that were asked for are journaled in the shape of an event, so that rows can be rebuilt; `made_at` is when
-- RingCentral had them.
ALTER TABLE insight_events
    ADD COLUMN source text NOT NULL DEFAULT 'event',
    ADD COLUMN made_at timestamptz,
    ADD CONSTRAINT insight_events_source CHECK (source IN ('event', 'fetched')) NOT VALID;

CREATE INDEX insight_events_fetched ON insight_events (account_id, received_at) WHERE source = 'fetched';

-- When the insights are asked for next, and how often they were.
ALTER TABLE recordings
    ADD COLUMN insights_due_at timestamptz,
    ADD COLUMN insights_attempts integer NOT NULL DEFAULT 0;

CREATE INDEX recordings_insights_due ON recordings (account_id, insights_due_at)
    WHERE insights_state IN ('absent', 'partial') AND insights_due_at IS NOT NULL;
CREATE INDEX recordings_insights_unplanned ON recordings (account_id, first_seen_at)
    WHERE insights_state IN ('absent', 'partial') AND insights_due_at IS NULL AND insights_reason IS NULL;
CREATE INDEX IF NOT EXISTS recordings_with_insights ON recordings (account_id, extension_id, started_at)
    WHERE insights_state IN ('present', 'partial');
-- Recordings that the call log has not shown.
CREATE INDEX recordings_unknown ON recordings (account_id, first_seen_at) WHERE audio_state = 'unknown';

ALTER TABLE subscription_intents ENABLE ROW LEVEL SECURITY;
ALTER TABLE subscription_outages ENABLE ROW LEVEL SECURITY;
