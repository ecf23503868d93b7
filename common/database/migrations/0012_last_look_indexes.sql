-- What is due, and what nobody has looked at again. The index that goes is dropped last: only that keeps readers out.
CREATE INDEX recordings_insights_due_at ON recordings (account_id, insights_due_at)
    WHERE insights_state IN ('absent', 'partial', 'present') AND insights_due_at IS NOT NULL;
CREATE INDEX recordings_insights_unlooked ON recordings (account_id, started_at)
    WHERE insights_state = 'present' AND insights_due_at IS NULL AND insights_looked_at IS NULL;
DROP INDEX recordings_insights_due;
