-- name: ensure_group
-- Make sure a group exists; before its headers are known, one request at a time is in flight.
WITH made AS (
    INSERT INTO rate_groups (owner_id, app, rate_group, slots, window_seconds)
    VALUES ($1, $2, $3, 1, $4)
    ON CONFLICT DO NOTHING
    RETURNING owner_id
)
INSERT INTO rate_slots (owner_id, app, rate_group, slot)
SELECT $1, $2, $3, 1 FROM made
ON CONFLICT DO NOTHING;

-- name: take
-- Take a free slot of an open group, unless somebody waits whose work matters more; it stays taken for the whole time
-- that the request may still arrive, and a window after that.
WITH open AS MATERIALIZED (
    SELECT slots, window_seconds
    FROM rate_groups
    WHERE owner_id = $1 AND app = $2 AND rate_group = $3 AND closed_until <= clock_timestamp()
    FOR SHARE
), free AS MATERIALIZED (
    SELECT s.slot, open.window_seconds
    FROM rate_slots s, open
    WHERE s.owner_id = $1 AND s.app = $2 AND s.rate_group = $3
        AND s.slot <= open.slots AND s.free_at <= clock_timestamp()
        AND NOT EXISTS (
            SELECT FROM rate_waiters w
            WHERE w.owner_id = $1 AND w.app = $2 AND w.rate_group = $3
                AND w.priority < $5 AND w.until > clock_timestamp()
        )
    ORDER BY s.slot
    LIMIT 1
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE rate_slots s
SET grant_id = $4, used_at = clock_timestamp(),
    free_at = clock_timestamp() + make_interval(secs => $6::double precision + free.window_seconds)
FROM free
WHERE s.owner_id = $1 AND s.app = $2 AND s.rate_group = $3 AND s.slot = free.slot
RETURNING s.slot;

-- name: wait
-- Seconds until a slot may be free, and the window's length.
SELECT greatest(0, extract(epoch FROM greatest(
        g.closed_until,
        (SELECT min(s.free_at) FROM rate_slots s
         WHERE s.owner_id = g.owner_id AND s.app = g.app AND s.rate_group = g.rate_group AND s.slot <= g.slots)
    ) - clock_timestamp()))::double precision AS seconds, g.window_seconds
FROM rate_groups g
WHERE g.owner_id = $1 AND g.app = $2 AND g.rate_group = $3;

-- name: say_waiting
-- Note that somebody waits, so that less urgent work lets them pass; forgotten by itself when the process is gone.
INSERT INTO rate_waiters (waiter, owner_id, app, rate_group, priority, until)
VALUES ($4, $1, $2, $3, $5, clock_timestamp() + make_interval(secs => $6::double precision))
ON CONFLICT (waiter) DO UPDATE SET until = excluded.until;

-- name: stop_waiting
-- Forget a waiter, and those whose time is over.
DELETE FROM rate_waiters WHERE waiter = $1 OR until < clock_timestamp() - interval '1 minute';

-- name: settle
-- The answer has arrived: the request was counted before now, so the slot is free a window (and a margin) later.
UPDATE rate_slots s
SET grant_id = NULL,
    free_at = clock_timestamp() + make_interval(secs => g.window_seconds * (1 + $6::double precision))
FROM rate_groups g
WHERE s.owner_id = $1 AND s.app = $2 AND s.rate_group = $3 AND s.slot = $4 AND s.grant_id = $5
    AND g.owner_id = s.owner_id AND g.app = s.app AND g.rate_group = s.rate_group;

-- name: give_back
-- A grant that was not used goes back.
UPDATE rate_slots
SET grant_id = NULL, free_at = clock_timestamp()
WHERE owner_id = $1 AND app = $2 AND rate_group = $3 AND slot = $4 AND grant_id = $5;

-- name: learn_group
-- What the headers say of a group, when it differs from what is known. Slots that fall away while taken close the group
-- until they would have been free.
UPDATE rate_groups g
SET slots = $4, window_seconds = $5,
    closed_until = greatest(g.closed_until, (
        SELECT max(s.free_at) FROM rate_slots s
        WHERE s.owner_id = $1 AND s.app = $2 AND s.rate_group = $3 AND s.slot > $4 AND s.slot <= g.slots
            AND s.free_at > clock_timestamp()
    ))
WHERE g.owner_id = $1 AND g.app = $2 AND g.rate_group = $3 AND (g.slots <> $4 OR g.window_seconds <> $5)
RETURNING g.slots;

-- name: learn_slots
-- As many slots as the limit.
INSERT INTO rate_slots (owner_id, app, rate_group, slot)
SELECT $1, $2, $3, slot FROM generate_series(1, $4::integer) AS slot
ON CONFLICT DO NOTHING;

-- name: stretch_slots
-- A longer window holds the taken slots longer as well.
UPDATE rate_slots s
SET free_at = greatest(s.free_at, s.used_at + make_interval(secs => $4::double precision * (1 + $5::double precision)))
WHERE s.owner_id = $1 AND s.app = $2 AND s.rate_group = $3 AND s.free_at > clock_timestamp();

-- name: close_group
-- Nothing is granted to anybody until the penalty is over.
UPDATE rate_groups
SET closed_until = greatest(closed_until, clock_timestamp() + make_interval(secs => $4::double precision))
WHERE owner_id = $1 AND app = $2 AND rate_group = $3;

-- name: close_app
-- Another limiter than the groups' refused (of the account, the address, a service): everything waits.
UPDATE rate_groups
SET closed_until = greatest(closed_until, clock_timestamp() + make_interval(secs => $2::double precision))
WHERE app = $1;

-- name: rates
-- Requests a second that all known owners of an app may send in a group, for planning.
SELECT coalesce(sum(slots / window_seconds), 0)::double precision
FROM rate_groups
WHERE app = $1 AND rate_group = $2 AND slots > 1;
