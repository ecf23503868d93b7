-- name: hold
-- Take or keep a lease; no row when somebody else holds it. The fencing number grows with every change of holder.
INSERT INTO leases AS l (name, holder, fencing, until)
VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3::double precision))
ON CONFLICT (name) DO UPDATE
SET fencing = l.fencing + CASE WHEN l.holder = excluded.holder THEN 0 ELSE 1 END,
    holder = excluded.holder, until = excluded.until
WHERE l.holder = excluded.holder OR l.until < clock_timestamp()
RETURNING fencing;

-- name: still_held
-- Whether the lease is still held with this number; locks it until the end of the transaction.
SELECT name FROM leases
WHERE name = $1 AND holder = $2 AND fencing = $3 AND until > clock_timestamp()
FOR SHARE;

-- name: release
-- Let the next one in at once.
UPDATE leases SET until = clock_timestamp() WHERE name = $1 AND holder = $2;
