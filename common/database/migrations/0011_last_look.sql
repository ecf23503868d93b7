-- When RingCentral was asked once more for insights that events had brought: one event of several may have been lost.
ALTER TABLE recordings ADD COLUMN insights_looked_at timestamptz;
