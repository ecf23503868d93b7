-- Indexes for what comes again every minute or hour and had to read more the more there was. Each holds few rows.

-- Uploads that are left open on recordings which nobody tries again.
CREATE INDEX recordings_left_uploads ON recordings (account_id)
    WHERE audio_state IN ('failed', 'unavailable', 'erased') AND audio_upload_id IS NOT NULL AND audio_object IS NOT NULL;
-- Calls that polls have missed and that are still asked for; what is given up stays unknown, perhaps for ever.
CREATE INDEX recordings_missed ON recordings (account_id, first_seen_at)
    WHERE audio_state = 'unknown' AND (audio_due_at IS NOT NULL OR audio_reason IS NULL);
