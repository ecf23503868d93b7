-- Since when the call log is read by windows, and the end of the last window that went back by more than a day. Code that
-- does not know them yet writes `windows_until` alone: only all three together count.
ALTER TABLE call_log_cursors
    ADD COLUMN windows_since timestamptz,
    ADD COLUMN windows_deep_until timestamptz;
