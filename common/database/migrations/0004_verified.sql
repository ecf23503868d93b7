-- When the object was last read back and found to be what was stored; null: not since it was stored.
ALTER TABLE recordings ADD COLUMN audio_verified_at timestamptz;

-- Those that nobody has looked at for longest come first.
CREATE INDEX recordings_to_verify
    ON recordings (account_id, greatest(audio_stored_at, audio_verified_at), domain, source_record_id)
    WHERE audio_state = 'stored';
