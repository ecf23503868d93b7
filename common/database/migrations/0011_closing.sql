-- Insights that came by events are asked for once as well: one event of several may have been lost.
DROP INDEX recordings_insights_due;
CREATE INDEX recordings_insights_due ON recordings (account_id, insights_due_at)
    WHERE insights_state IN ('absent', 'partial', 'present') AND insights_due_at IS NOT NULL;
CREATE INDEX recordings_insights_unclosed ON recordings (account_id, started_at)
    WHERE insights_state = 'present' AND insights_due_at IS NULL AND insights_attempts = 0;
