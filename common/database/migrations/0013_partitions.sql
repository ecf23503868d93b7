-- A month's partition is attached, not created as one: that would wait for whoever reads the journal at that moment, for
-- hours when it is a backup, and would let nobody read or write it meanwhile.
CREATE OR REPLACE FUNCTION ensure_insight_events_partition(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamptz := date_trunc('month', at, 'UTC');
    following timestamptz := date_trunc('month', month + interval '40 days', 'UTC');
    partition text := 'insight_events_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    -- What attaching takes: others who make a partition wait here, readers and writers do not. Who waited for a table sees
    -- what was made meanwhile; whoever waited for an advisory lock does not.
    LOCK TABLE insight_events IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(partition) IS NOT NULL THEN -- somebody else was quicker
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE insight_events INCLUDING ALL)', partition);
    -- A partition is a table of its own: the parent's protection does not reach it.
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', partition);
    EXECUTE format('ALTER TABLE insight_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        partition, month, following);
END
$$;
