-- How often each kind of failure was met, so that each kind has its whole schedule: {"source_failed": 3}. It counts only
-- what `audio_attempts` counts as well: where that is 0, nothing has failed, whatever stands here. Code that does not know
-- it yet goes by `audio_attempts` alone.
ALTER TABLE recordings
    ADD COLUMN audio_failures jsonb NOT NULL DEFAULT '{}',
    -- Insights have brought the next attempt forward: when it fails, it has used up no step of the schedule.
    ADD COLUMN audio_ahead boolean NOT NULL DEFAULT false;
