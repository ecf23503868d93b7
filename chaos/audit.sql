-- Every change of a fact, written down by Postgres itself: what was changed twice to the same is doubled.
CREATE SCHEMA chaos;

CREATE TABLE chaos.changes (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    what text NOT NULL,
    key text NOT NULL,
    value text NOT NULL
);

CREATE FUNCTION chaos.note_recording() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.audio_state = 'stored' AND (OLD.audio_state, OLD.audio_object, OLD.audio_bytes, OLD.audio_sha256)
        IS DISTINCT FROM (NEW.audio_state, NEW.audio_object, NEW.audio_bytes, NEW.audio_sha256) THEN
        INSERT INTO chaos.changes (what, key, value) VALUES ('stored', NEW.source_record_id, '');
    END IF;
    IF OLD.audio_state = 'stored' AND NEW.audio_state <> 'stored' THEN
        INSERT INTO chaos.changes (what, key, value) VALUES ('stored', NEW.source_record_id, '');
    END IF;
    INSERT INTO chaos.changes (what, key, value)
    SELECT 'insights', NEW.source_record_id, kind || ' ' || version
    FROM jsonb_each_text(NEW.insights_versions) AS n (kind, version)
    WHERE OLD.insights_versions ->> kind IS DISTINCT FROM version;
    IF NEW.call_log_facts <> OLD.call_log_facts THEN
        INSERT INTO chaos.changes (what, key, value)
        VALUES ('facts of the call log', NEW.source_record_id, md5(NEW.call_log_facts::text));
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_recording AFTER UPDATE ON recordings
FOR EACH ROW EXECUTE FUNCTION chaos.note_recording();

CREATE FUNCTION chaos.note_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.entry IS DISTINCT FROM OLD.entry THEN
        INSERT INTO chaos.changes (what, key, value) VALUES ('call', NEW.call_log_id, md5(NEW.entry::text));
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_call AFTER INSERT OR UPDATE ON calls
FOR EACH ROW EXECUTE FUNCTION chaos.note_call();

CREATE FUNCTION chaos.note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.changes (what, key, value) VALUES ('journaled', encode(NEW.digest, 'hex'), '');
    RETURN NULL;
END
$$;

CREATE TRIGGER note_event AFTER INSERT ON insight_events
FOR EACH ROW EXECUTE FUNCTION chaos.note_event();
