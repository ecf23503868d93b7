-- How long the audio plays, counted in the file itself; null until it was fetched by code that counts.
ALTER TABLE recordings ADD COLUMN audio_duration_ms bigint CHECK (audio_duration_ms >= 0);
