"""Any number of pollers, one leader: every recording is announced, and none twice."""

import signal
from collections import Counter

import aio_pika

from common.messages import DownloadRecording, Wire
from demo.pipeline import Pipeline
from tests.end_to_end.facts import Rows, exit_code, until, until_told

#: Recordings before and after the change of the leader: together fewer than the window holds, so none has to wait.
FIRST, LATER = 60, 20
#: Further polls in which a second announcement would show.
POLLS = 3

ANNOUNCED = "SELECT count(*) FROM recordings WHERE audio_announced_at IS NOT NULL"
NAMES = ("one poller", "another poller")


async def test_two_pollers_at_once_announce_no_row_twice_also_when_the_leader_goes_in_the_middle(
    pipeline: Pipeline, rows: Rows
) -> None:
    pipeline.start_simulator(recordings=0)
    recordings = _order(pipeline, FIRST)
    for name in NAMES:
        pipeline.launch("poller", name)
    await until(lambda: rows.ask(ANNOUNCED), what="the first announced rows")
    (leader,) = [name for name in NAMES if pipeline.told(name, "leadership_taken")]
    (follower,) = set(NAMES) - {leader}
    pipeline.wait_ready(follower)

    pipeline.services[leader].send(signal.SIGTERM)
    assert exit_code(pipeline.services[leader]) == 0
    recordings += _order(pipeline, LATER)

    async def all_announced() -> bool:
        return bool(await rows.ask(ANNOUNCED) == len(recordings))

    await until(all_announced, what="an announcement of every row")
    await _until_polled_more(pipeline, follower)
    assert await _queued(pipeline) == Counter(recordings)


async def test_a_leader_that_finds_its_lease_in_other_hands_steps_back_and_leads_again_when_it_is_free(
    pipeline: Pipeline, rows: Rows
) -> None:
    pipeline.start_simulator(recordings=0)
    pipeline.start("poller")
    await until_told(pipeline, "poller", "call_log_polled")

    await rows.ask(
        "UPDATE leases SET holder = gen_random_uuid(), fencing = fencing + 1, until = now() + interval '3 s'"
    )

    await until_told(pipeline, "poller", "leadership_ended")
    await until_told(pipeline, "poller", "leadership_taken", times=2)
    await _until_polled_more(pipeline, "poller")


def _order(pipeline: Pipeline, count: int) -> list[str]:
    order = {"count": count, "insights_after": None, "appears_after": 0}
    calls = pipeline.ask_simulator("/simulator/calls", order)["calls"]
    return [recording for call in calls for recording in call["recordings"]]


async def _until_polled_more(pipeline: Pipeline, name: str) -> None:
    polled = len(pipeline.told(name, "call_log_polled"))
    await until_told(pipeline, name, "call_log_polled", times=polled + POLLS)


async def _queued(pipeline: Pipeline) -> Counter[str]:
    """How often each recording stands in the queue."""
    found: Counter[str] = Counter()
    async with await aio_pika.connect(pipeline.rabbitmq.url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(DownloadRecording.QUEUE)
        while message := await queue.get(no_ack=True, fail=False):
            headers = {name: str(value) for name, value in message.headers.items()}
            found[DownloadRecording.from_wire(Wire(headers, message.body)).source_record_id] += 1
    return found
