-- What storage holds of the journal, and which recordings have a file beside their audio: so that storage alone can
-- rebuild the rows.

ALTER TABLE insight_events ADD COLUMN archived_at timestamptz;

CREATE INDEX insight_events_by_time ON insight_events (received_at, digest);
CREATE INDEX insight_events_unarchived ON insight_events (received_at) WHERE archived_at IS NULL;
CREATE INDEX insight_events_forgettable ON insight_events (received_at)
    WHERE archived_at IS NOT NULL AND domain IN ('pbx', 'rcv');

-- One row a piece of a day (UTC) that was written to storage.
CREATE TABLE journal_archives (
    account_id text NOT NULL,
    day date NOT NULL,
    number integer NOT NULL,
    object text NOT NULL,
    events integer NOT NULL,
    bytes bigint NOT NULL,
    sha256 text NOT NULL,
    archived_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, day, number)
);

ALTER TABLE journal_archives ENABLE ROW LEVEL SECURITY;

-- Which version of the row (its `updated_at`) stands in the file beside the audio.
ALTER TABLE recordings ADD COLUMN audio_sidecar_of timestamptz;

CREATE INDEX recordings_without_sidecar ON recordings (updated_at)
    WHERE audio_state = 'stored' AND audio_sidecar_of IS DISTINCT FROM updated_at;
