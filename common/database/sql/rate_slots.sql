-- Every statement stands alone: a process that is frozen or killed holds no lock, and a transaction pooler may run each
-- on another connection. Whoever takes, settles or gives back shares the group's row; whoever changes it has it alone.

-- name: ensure_groups
-- Make sure that the groups of these owners exist. Before an answer has told the limit, one request at a time is in
-- flight, at the documented pace. When something of the app is closed, a new group is born closed: perhaps all are.
WITH made AS (
    INSERT INTO rate_groups (owner_id, app, rate_group, slots, window_seconds, closed_until)
    SELECT owner_id, $2, $3, 1, $4,
        coalesce((SELECT max(g.closed_until) FROM rate_groups g WHERE g.app = $2), '-infinity')
    FROM unnest($1::text[]) AS owner_id
    ORDER BY owner_id
    ON CONFLICT DO NOTHING
    RETURNING owner_id
)
INSERT INTO rate_slots (owner_id, app, rate_group, slot)
SELECT owner_id, $2, $3, 1 FROM made
ON CONFLICT DO NOTHING;

-- name: take
-- Take a free slot of an open group of these owners, unless somebody waits whose work matters more; it stays taken for
-- the whole time that the request may still arrive, and a window after that. A group that changed after this statement
-- began is left alone, because its slots are seen as they were before. Slots beyond a limit that became smaller must
-- be free before another is taken. Who waited, as `$7`, waits no more.
WITH open AS MATERIALIZED (
    SELECT owner_id, slots, window_seconds
    FROM rate_groups
    WHERE owner_id = ANY($1::text[]) AND app = $2 AND rate_group = $3 AND closed_until <= statement_timestamp()
    ORDER BY owner_id
    FOR SHARE
), free AS MATERIALIZED (
    SELECT s.owner_id, s.slot, open.window_seconds
    FROM rate_slots s, open
    WHERE s.owner_id = open.owner_id AND s.app = $2 AND s.rate_group = $3
        AND s.slot <= open.slots AND s.free_at <= clock_timestamp()
        AND NOT EXISTS (
            SELECT FROM rate_slots beyond
            WHERE beyond.owner_id = open.owner_id AND beyond.app = $2 AND beyond.rate_group = $3
                AND beyond.slot > open.slots AND beyond.free_at > clock_timestamp()
        )
        AND NOT EXISTS (
            SELECT FROM rate_waiters w
            WHERE w.owner_id = open.owner_id AND w.app = $2 AND w.rate_group = $3
                AND w.priority < $5 AND w.until > clock_timestamp()
        )
    ORDER BY s.free_at
    LIMIT 1
    FOR UPDATE OF s SKIP LOCKED
), served AS (
    DELETE FROM rate_waiters w USING free WHERE w.waiter = $7
)
UPDATE rate_slots s
SET grant_id = $4,
    free_at = clock_timestamp() + make_interval(secs => $6::double precision + free.window_seconds)
FROM free
WHERE s.owner_id = free.owner_id AND s.app = $2 AND s.rate_group = $3 AND s.slot = free.slot
RETURNING s.owner_id, s.slot;

-- name: wait
-- Note that somebody waits for a slot of these owners, so that less urgent work lets them pass; the note is forgotten by
-- itself when the process is gone. Tells how many of the groups exist, in how many seconds a slot may come free,
-- whether more urgent work goes first, and their longest window. A request that is under way holds its slot for a window from now at least, but
-- the answer to the only one may tell of more slots.
-- Before Postgres 17 nothing can be subtracted from the `-infinity` of a slot that was never taken: "not before now".
WITH noted AS (
    INSERT INTO rate_waiters (waiter, owner_id, app, rate_group, priority, until)
    SELECT $4, owner_id, $2, $3, $5, clock_timestamp() + make_interval(secs => $6::double precision)
    FROM unnest($1::text[]) AS owner_id
    ON CONFLICT (waiter, owner_id) DO UPDATE SET until = excluded.until
), soonest AS (
    SELECT s.owner_id, s.slot, CASE
        WHEN s.grant_id IS NULL THEN s.free_at
        WHEN g.slots = 1 THEN least(s.free_at, clock_timestamp() + interval '200 ms')
        ELSE least(s.free_at, clock_timestamp() + make_interval(secs => g.window_seconds))
    END AS free_at
    FROM rate_slots s JOIN rate_groups g USING (owner_id, app, rate_group)
    WHERE s.owner_id = ANY($1::text[]) AND s.app = $2 AND s.rate_group = $3
), groups AS (
    SELECT g.window_seconds, greatest(
        clock_timestamp(), g.closed_until,
        (SELECT min(s.free_at) FROM soonest s WHERE s.owner_id = g.owner_id AND s.slot <= g.slots),
        (SELECT max(s.free_at) FROM soonest s WHERE s.owner_id = g.owner_id AND s.slot > g.slots)
    ) AS free_at, EXISTS (
        SELECT FROM rate_waiters w
        WHERE w.owner_id = g.owner_id AND w.app = $2 AND w.rate_group = $3
            AND w.priority < $5 AND w.until > clock_timestamp()
    ) AS behind
    FROM rate_groups g
    WHERE g.owner_id = ANY($1::text[]) AND g.app = $2 AND g.rate_group = $3
)
SELECT count(*) AS groups,
    greatest(0, extract(epoch FROM min(free_at) - clock_timestamp()))::double precision AS seconds,
    coalesce(bool_or(behind), false) AS behind,
    max(window_seconds) AS window_seconds
FROM groups;

-- name: usage
-- How many slots these owners have, how many of them are taken, and whether a penalty holds any of them.
SELECT count(*) AS slots, count(*) FILTER (WHERE s.free_at > clock_timestamp()) AS taken,
    count(DISTINCT g.owner_id) AS users, coalesce(bool_or(g.closed_until > clock_timestamp()), false) AS closed
FROM rate_groups g JOIN rate_slots s USING (owner_id, app, rate_group)
WHERE g.owner_id = ANY($1::text[]) AND g.app = $2 AND g.rate_group = $3 AND s.slot <= g.slots;

-- name: stop_waiting
-- Forget a waiter, and those of processes that are gone; what somebody else holds is left to him.
DELETE FROM rate_waiters WHERE (waiter, owner_id) IN (
    SELECT waiter, owner_id FROM rate_waiters
    WHERE waiter = $1 OR until < clock_timestamp() - interval '1 minute'
    FOR UPDATE SKIP LOCKED
);

-- name: stands
-- Whether a grant is still its holder's, and its group still open.
SELECT EXISTS (
    SELECT FROM rate_slots s JOIN rate_groups g USING (owner_id, app, rate_group)
    WHERE s.owner_id = $1 AND s.app = $2 AND s.rate_group = $3 AND s.grant_id = $4
        AND g.closed_until <= clock_timestamp()
);

-- name: settle
-- The request was counted before now: the slot is free a window, and a margin, later. Tells the limit that is known.
WITH known AS MATERIALIZED (
    SELECT slots, window_seconds
    FROM rate_groups
    WHERE owner_id = $1 AND app = $2 AND rate_group = $3
    FOR SHARE
)
UPDATE rate_slots s
SET grant_id = NULL, used_at = clock_timestamp(),
    free_at = clock_timestamp() + make_interval(secs => known.window_seconds * (1 + $5::double precision))
FROM known
WHERE s.owner_id = $1 AND s.app = $2 AND s.rate_group = $3 AND s.grant_id = $4
RETURNING known.slots, known.window_seconds;

-- name: give_back
-- A grant that was not used goes back; what the slot was used for before still counts, if the window grew meanwhile.
WITH known AS MATERIALIZED (
    SELECT owner_id, window_seconds
    FROM rate_groups
    WHERE owner_id = ANY($1::text[]) AND app = $2 AND rate_group = $3
    ORDER BY owner_id
    FOR SHARE
)
UPDATE rate_slots s
SET grant_id = NULL, free_at = greatest(
    clock_timestamp(), s.used_at + make_interval(secs => known.window_seconds * (1 + $5::double precision))
)
FROM known
WHERE s.owner_id = known.owner_id AND s.app = $2 AND s.rate_group = $3 AND s.grant_id = $4;

-- name: learn
-- What the headers of an answer say of a group, when it differs from what is known. A window that changed holds the
-- slots that were used, and those in use, accordingly. New slots are free as far as requests remain; others may have
-- been used by somebody else. "Closed until now" makes whoever looks at this moment look again.
WITH known AS MATERIALIZED (
    SELECT slots, window_seconds
    FROM rate_groups
    WHERE owner_id = $1 AND app = $2 AND rate_group = $3
        AND (slots <> $4::integer OR window_seconds <> $5::double precision)
    FOR UPDATE
), held AS (
    UPDATE rate_slots s
    SET free_at = CASE
        WHEN s.grant_id IS NULL THEN s.used_at + make_interval(secs => $5 * (1 + $6::double precision))
        ELSE s.free_at + make_interval(secs => $5 - known.window_seconds)
    END
    FROM known
    WHERE s.owner_id = $1 AND s.app = $2 AND s.rate_group = $3
        AND (s.grant_id IS NOT NULL OR s.used_at IS NOT NULL) AND known.window_seconds <> $5
), added AS (
    INSERT INTO rate_slots (owner_id, app, rate_group, slot, free_at)
    SELECT $1, $2, $3, slot, CASE
        WHEN slot <= known.slots + $7::integer THEN '-infinity'
        ELSE clock_timestamp() + make_interval(secs => $5 * (1 + $6))
    END
    FROM known, generate_series(1, $4) AS slot
    ON CONFLICT DO NOTHING
)
UPDATE rate_groups g
SET slots = $4, window_seconds = $5, closed_until = greatest(g.closed_until, clock_timestamp())
FROM known
WHERE g.owner_id = $1 AND g.app = $2 AND g.rate_group = $3
RETURNING g.slots;

-- name: close
-- Nothing is granted to anybody of these groups until the penalty is over; no owner means all, no groups as well.
WITH hit AS MATERIALIZED (
    SELECT owner_id, rate_group
    FROM rate_groups
    WHERE app = $1 AND ($2::text IS NULL OR owner_id = $2) AND ($3::text[] IS NULL OR rate_group = ANY($3))
    ORDER BY owner_id, rate_group
    FOR UPDATE
)
UPDATE rate_groups g
SET closed_until = greatest(g.closed_until, clock_timestamp() + make_interval(secs => $4::double precision))
FROM hit
WHERE g.app = $1 AND g.owner_id = hit.owner_id AND g.rate_group = hit.rate_group;

-- name: rates
-- Requests a second that all owners of an app may send in a group, for planning; those not seen for a day are gone.
SELECT coalesce(sum(g.slots / g.window_seconds), 0)::double precision
FROM rate_groups g
WHERE g.app = $1 AND g.rate_group = $2 AND EXISTS (
    SELECT FROM rate_slots s
    WHERE s.owner_id = g.owner_id AND s.app = g.app AND s.rate_group = g.rate_group
        AND s.used_at > clock_timestamp() - interval '1 day'
);
