-- name: set_time_zone
-- Note in which time zone the ledger's days are; no row when Postgres knows none of that name.
INSERT INTO ledger_settings (account_id, time_zone)
SELECT $1, name FROM pg_timezone_names WHERE name = $2
ON CONFLICT (account_id) DO UPDATE SET time_zone = excluded.time_zone
RETURNING time_zone;

-- name: without_jit
-- For this transaction: compiling a plan of so many small steps takes longer than running it.
SET LOCAL jit = off;

-- name: read
-- The ledger of some days, both included, and of what belongs to no day, by day and extension. When no first day is
-- given, it is that of so many days ago.
SELECT day, time_zone, extension_id, calls, recordings, audio_stored, audio_verified, audio_pending, audio_quarantined,
    audio_unavailable, audio_unavailable_by, audio_failed, audio_erased, audio_unknown, insights_expected,
    insights_present, insights_partial, insights_unavailable, insights_unavailable_by, insights_absent, insights_erased
FROM ledger
WHERE account_id = $1 AND (
    day IS NULL
    OR (day >= coalesce($2::date, ($4::timestamptz AT TIME ZONE time_zone)::date - $5::integer + 1)
        AND day <= coalesce($3::date, 'infinity'))
);

-- name: sums
-- How many calls and recordings of the last days, to and with today, are in which cell.
SELECT kind, cell, coalesce(reason, '') AS reason, sum(number) AS number
FROM ledger_cells
WHERE account_id = $1 AND day > ($2::timestamptz AT TIME ZONE time_zone)::date - $3::integer
GROUP BY 1, 2, 3;
