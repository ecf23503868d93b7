"""Three of ten events of a company are lost: what there is comes all the same, and what there is not has a reason."""

from random import Random
from typing import Any

from common.database.pool import Pool
from services.poller.insights_schedule import EXPECTED
from tests.integration.guarded import DAY, HOUR, MINUTE, guarded

#: A working day of a company, all of it to come, with two people who have no licence.
COMPANY: dict[str, Any] = {"seed": 3, "recordings": 90, "extensions": 12, "span": 8 * HOUR, "history": 0, "elapsed": 0}
ROUND = 10 * MINUTE


async def test_with_three_of_ten_events_lost_all_insights_are_present_within_the_schedule(pool: Pool) -> None:
    async with guarded(pool, **COMPANY) as account:
        # Given a company of which 30 % of the events are lost
        await account.look()
        company = account.simulator.world.company
        lost = Random(COMPANY["seed"]).sample(company.events, round(0.3 * len(company.events)))
        for event in lost:
            event.fault = "lost"
        made = set(company.events_by_recording)
        present_at: dict[str, float] = {}

        async def live(seconds: float, rounds: int) -> None:
            for _ in range(rounds):
                await account.live(seconds / rounds)
                for row in await pool.fetch("SELECT source_record_id FROM recordings WHERE insights_state = 'present'"):
                    present_at.setdefault(row["source_record_id"], account.simulator.world.clock.now())

        # When its day and the next eight pass, and some calls in its midst never get any
        await live(5 * HOUR, int(5 * HOUR / ROUND))
        never = {await account.call(extension=number, insights_after=None) for number in range(3)}
        await live(6 * HOUR, int(6 * HOUR / ROUND))
        await live(8 * DAY, 32)

        # Then all insights that there are have come: those of lost events when they were asked for
        rows = {row["source_record_id"]: row for row in await pool.fetch("SELECT * FROM recordings")}
        kinds = {one["record_id"]: set(one["kinds"]) for one in (await account.simulator.truth())["insights"]}
        assert len(lost) > 20
        assert {event.lost for event in lost} == {True}
        assert set(rows) == set(company.recordings)
        for recording in made:
            assert rows[recording]["insights_state"] == "present"
            assert kinds[recording] == set(rows[recording]["insights"])
            late = present_at[recording] - company.recordings[recording].ended_at
            assert late < EXPECTED[1].total_seconds() + 2 * ROUND

        # And those that do not exist are unavailable, with the reason, after the schedule of their extension
        without = {row: found for row, found in rows.items() if row not in made}
        unlicensed = {one.id for one in company.recordings.values() if not one.extension.licensed} - never
        assert set(without) == unlicensed | never
        for recording, row in without.items():
            assert (row["insights_state"], row["insights_due_at"]) == ("unavailable", None)
            told = "no licence" if recording in unlicensed else "RingCentral had none 7 days after the call"
            assert told in row["insights_reason"]
            assert row["insights_attempts"] == 1 or recording in never
        fetched = await pool.fetchval("SELECT count(*) FROM insight_events WHERE source = 'fetched'")
        requests = account.simulator.world.requests["insights.record"]
        told = f"{len(lost)} of {len(company.events)} events lost, {fetched} answers taken, {requests} requests"
        print(f"{told}; {len(made)} recordings present, {len(without)} unavailable")  # noqa: T201 - pytest shows it when the test fails.
        assert account.simulator.world.limits.refusals()["refused"] == 0
