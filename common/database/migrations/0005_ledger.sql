-- The ledger: what there is of every recording, by day and extension. And the order in which audio is fetched.

-- The kinds of reasons that the ledger counts by: few, whatever the sentences say. Read from left to right, the first
-- that fits. A migration that changes this must rewrite the columns that are generated with it.
CREATE FUNCTION reason_kind(reason text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN reason IS NULL THEN 'unexplained'
        WHEN reason ~* 'no audio for this domain' THEN 'no_audio_in_domain'
        WHEN reason ~* 'too short|shorter than' THEN 'too_short'
        WHEN reason ~* 'licen[cs]e' THEN 'no_licence'
        WHEN reason ~* 'permission|forbidden|\m403\M|RAH-3005' THEN 'no_permission'
        WHEN reason ~* 'older than|retention|expired' THEN 'retention_ended'
        WHEN reason ~* 'nothing there|(had|holds) none|not found|\m404\M|RAH-3001' THEN 'nothing_there'
        WHEN reason ~* 'deleted|removed|never made|no insights' THEN 'nothing_there'
        ELSE 'other'
    END
$$;

-- The one cell of the ledger that a recording is in, for its audio and for its insights.
CREATE FUNCTION audio_cell_of(state text, verified_at timestamptz, reason text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN state = 'stored' AND verified_at IS NOT NULL THEN 'verified'
        WHEN state = 'unavailable' THEN 'unavailable: ' || reason_kind(reason)
        ELSE state
    END
$$;

CREATE FUNCTION insights_cell_of(state text, reason text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN state = 'unavailable' THEN 'unavailable: ' || reason_kind(reason) ELSE state END
$$;

ALTER TABLE recordings
    ADD COLUMN audio_cell text NOT NULL
        GENERATED ALWAYS AS (audio_cell_of(audio_state, audio_verified_at, audio_reason)) STORED,
    ADD COLUMN insights_cell text NOT NULL
        GENERATED ALWAYS AS (insights_cell_of(insights_state, insights_reason)) STORED,
    -- Which of RingCentral's limits on what it keeps is the recording's.
    ADD COLUMN retention_type text NOT NULL
        GENERATED ALWAYS AS (CASE recording_type WHEN 'OnDemand' THEN 'on_demand' ELSE 'automatic' END) STORED,
    -- 1 live, or soon lost · 2 reconciliation · 3 backfill: also the priority in the rate-limit budget.
    ADD COLUMN audio_priority smallint NOT NULL DEFAULT 1 CHECK (audio_priority BETWEEN 1 AND 3);

-- Lists by time, and the ledger, which reads nothing but this index.
DROP INDEX recordings_by_start;
CREATE INDEX recordings_by_start ON recordings (account_id, started_at)
    INCLUDE (extension_id, audio_cell, insights_cell, retention_type);
DROP INDEX calls_by_start;
CREATE INDEX calls_by_start ON calls (account_id, started_at) INCLUDE (extension_id, deleted);
-- Lists of one extension, and of what is not stored.
CREATE INDEX recordings_by_extension ON recordings (account_id, extension_id, started_at);
CREATE INDEX recordings_not_stored ON recordings (account_id, audio_state, started_at) WHERE audio_state <> 'stored';
-- Whether an extension has insights.
CREATE INDEX IF NOT EXISTS recordings_with_insights ON recordings (account_id, extension_id, started_at)
    WHERE insights_state IN ('present', 'partial');

-- What is due, by priority; what is not here yet, by when it will be lost; what is announced.
DROP INDEX recordings_due;
CREATE INDEX recordings_due ON recordings (account_id, audio_priority, audio_due_at)
    WHERE audio_state IN ('pending', 'quarantined');
CREATE INDEX recordings_by_loss ON recordings (account_id, retention_type, started_at, audio_due_at)
    WHERE audio_state IN ('pending', 'quarantined');
CREATE INDEX recordings_announced ON recordings (account_id, audio_announced_at, audio_due_at)
    WHERE audio_state IN ('pending', 'quarantined') AND audio_announced_at IS NOT NULL;

-- What the ledger is shown by: the poller writes its setting here, so that whoever queries the view need not know it.
CREATE TABLE ledger_settings (
    account_id text PRIMARY KEY,
    time_zone text NOT NULL
);
ALTER TABLE ledger_settings ENABLE ROW LEVEL SECURITY;

-- When a day begins in a time zone. Where clocks go back to midnight, it comes twice, and Postgres takes the second.
CREATE FUNCTION day_begins(day date, time_zone text) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN ((day::timestamp AT TIME ZONE time_zone - interval '1 hour') AT TIME ZONE time_zone)::date = day
        THEN day::timestamp AT TIME ZONE time_zone - interval '1 hour'
        ELSE day::timestamp AT TIME ZONE time_zone
    END
$$;

-- How many calls and recordings are in which cell, by day and extension. `day` is null for what has no known start.
-- A condition on `day` or `account_id` is applied before anything is counted: accounts and days are found by single
-- steps on an index, then each day that is wanted is one range of it. The rights are those of whoever asks.
CREATE VIEW ledger_cells WITH (security_invoker = true) AS
WITH RECURSIVE accounts (account_id) AS (
    SELECT least((SELECT min(account_id) FROM calls), (SELECT min(account_id) FROM recordings))
    UNION ALL
    SELECT least(
        (SELECT min(c.account_id) FROM calls c WHERE c.account_id > a.account_id),
        (SELECT min(r.account_id) FROM recordings r WHERE r.account_id > a.account_id)
    )
    FROM accounts a
    WHERE a.account_id IS NOT NULL
), zones AS (
    SELECT a.account_id, coalesce(s.time_zone, 'UTC') AS time_zone
    FROM accounts a LEFT JOIN ledger_settings s USING (account_id)
    WHERE a.account_id IS NOT NULL
), days AS (
    SELECT z.account_id, z.time_zone, (f.started_at AT TIME ZONE z.time_zone)::date AS day
    FROM zones z CROSS JOIN LATERAL (
        SELECT least(
            (SELECT min(c.started_at) FROM calls c WHERE c.account_id = z.account_id),
            (SELECT min(r.started_at) FROM recordings r WHERE r.account_id = z.account_id)
        ) AS started_at
    ) f
    WHERE f.started_at IS NOT NULL
    UNION ALL
    SELECT d.account_id, d.time_zone, (n.started_at AT TIME ZONE d.time_zone)::date
    FROM days d CROSS JOIN LATERAL (
        SELECT least(
            (SELECT min(c.started_at) FROM calls c
                WHERE c.account_id = d.account_id AND c.started_at >= day_begins(d.day + 1, d.time_zone)),
            (SELECT min(r.started_at) FROM recordings r
                WHERE r.account_id = d.account_id AND r.started_at >= day_begins(d.day + 1, d.time_zone))
        ) AS started_at
    ) n
    WHERE n.started_at IS NOT NULL
), spans AS (
    SELECT account_id, time_zone, day, day_begins(day, time_zone) AS begins, day_begins(day + 1, time_zone) AS ends
    FROM days
    UNION ALL
    SELECT account_id, time_zone, NULL, NULL, NULL FROM zones
)
SELECT s.account_id, s.day, s.time_zone, t.extension_id, t.kind, split_part(t.cell, ': ', 1) AS cell,
    nullif(split_part(t.cell, ': ', 2), '') AS reason, t.number, s.begins, s.ends
FROM spans s CROSS JOIN LATERAL (
    SELECT c.extension_id, 'calls' AS kind, 'all' AS cell, count(*)::integer AS number
    FROM calls c
    WHERE c.account_id = s.account_id AND NOT c.deleted AND c.started_at >= s.begins AND c.started_at < s.ends
    GROUP BY 1
    UNION ALL
    SELECT c.extension_id, 'calls', 'all', count(*)::integer
    FROM calls c
    WHERE s.day IS NULL AND c.account_id = s.account_id AND NOT c.deleted AND c.started_at IS NULL
    GROUP BY 1
    UNION ALL
    SELECT g.extension_id, k.kind, k.cell, sum(g.number)::integer
    FROM (
        SELECT r.extension_id, r.audio_cell, r.insights_cell, count(*)::integer AS number
        FROM recordings r
        WHERE r.account_id = s.account_id AND r.started_at >= s.begins AND r.started_at < s.ends
        GROUP BY 1, 2, 3
        UNION ALL
        SELECT r.extension_id, r.audio_cell, r.insights_cell, count(*)::integer
        FROM recordings r
        WHERE s.day IS NULL AND r.account_id = s.account_id AND r.started_at IS NULL
        GROUP BY 1, 2, 3
    ) g CROSS JOIN LATERAL (VALUES ('audio', g.audio_cell), ('insights', g.insights_cell)) AS k (kind, cell)
    GROUP BY 1, 2, 3
) t;

-- The same, one row a day and extension. `recordings` is the sum of all columns `audio_…`, and that of all columns
-- `insights_…` but `insights_expected`: the recordings of extensions that had insights within 30 days.
CREATE VIEW ledger WITH (security_invoker = true) AS
SELECT n.account_id, n.day, n.time_zone, n.extension_id, n.calls, n.recordings,
    n.audio_stored, n.audio_verified, n.audio_pending, n.audio_quarantined, n.audio_unavailable,
    n.audio_unavailable_by, n.audio_failed, n.audio_erased, n.audio_unknown,
    CASE WHEN n.insights_present + n.insights_partial > 0 OR EXISTS (
        SELECT FROM recordings r
        WHERE r.account_id = n.account_id AND r.extension_id = n.extension_id
            AND r.insights_state IN ('present', 'partial')
            AND r.started_at >= n.begins - interval '30 days' AND r.started_at < n.ends + interval '30 days'
    ) THEN n.recordings - n.insights_erased ELSE 0 END AS insights_expected,
    n.insights_present, n.insights_partial, n.insights_unavailable, n.insights_unavailable_by, n.insights_absent,
    n.insights_erased
FROM (
    SELECT account_id, day, time_zone, extension_id, begins, ends,
        coalesce(sum(number) FILTER (WHERE kind = 'calls'), 0) AS calls,
        coalesce(sum(number) FILTER (WHERE kind = 'audio'), 0) AS recordings,
        coalesce(sum(number) FILTER (WHERE kind = 'audio' AND cell = 'stored'), 0) AS audio_stored,
        coalesce(sum(number) FILTER (WHERE kind = 'audio' AND cell = 'verified'), 0) AS audio_verified,
        coalesce(sum(number) FILTER (WHERE kind = 'audio' AND cell = 'pending'), 0) AS audio_pending,
        coalesce(sum(number) FILTER (WHERE kind = 'audio' AND cell = 'quarantined'), 0) AS audio_quarantined,
        coalesce(sum(number) FILTER (WHERE kind = 'audio' AND cell = 'unavailable'), 0) AS audio_unavailable,
        coalesce(jsonb_object_agg(reason, number) FILTER (WHERE kind = 'audio' AND cell = 'unavailable'), '{}')
            AS audio_unavailable_by,
        coalesce(sum(number) FILTER (WHERE kind = 'audio' AND cell = 'failed'), 0) AS audio_failed,
        coalesce(sum(number) FILTER (WHERE kind = 'audio' AND cell = 'erased'), 0) AS audio_erased,
        coalesce(sum(number) FILTER (WHERE kind = 'audio' AND cell = 'unknown'), 0) AS audio_unknown,
        coalesce(sum(number) FILTER (WHERE kind = 'insights' AND cell = 'present'), 0) AS insights_present,
        coalesce(sum(number) FILTER (WHERE kind = 'insights' AND cell = 'partial'), 0) AS insights_partial,
        coalesce(sum(number) FILTER (WHERE kind = 'insights' AND cell = 'unavailable'), 0)
            AS insights_unavailable,
        coalesce(jsonb_object_agg(reason, number) FILTER (WHERE kind = 'insights' AND cell = 'unavailable'), '{}')
            AS insights_unavailable_by,
        coalesce(sum(number) FILTER (WHERE kind = 'insights' AND cell = 'absent'), 0) AS insights_absent,
        coalesce(sum(number) FILTER (WHERE kind = 'insights' AND cell = 'erased'), 0) AS insights_erased
    FROM ledger_cells
    GROUP BY account_id, day, time_zone, extension_id, begins, ends
) n;
