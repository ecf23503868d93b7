"""A short `make fuzz`: odd requests end in an answer or a closed connection, and what was answered with 200 is kept."""

import asyncio
from pathlib import Path

from benchmarks.fuzz import arrived, faults_of, fuzz
from benchmarks.receiver import running
from private_servers.rabbitmq import RabbitMQ

#: Some of each kind, also of the rare ones, which are large.
REQUESTS = 2_500


async def test_odd_requests_are_answered_without_a_fault_and_nothing_kept_is_lost(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    with running(rabbitmq, tmp_path) as receiver:
        report = await fuzz(receiver, seed=4, numbers=range(REQUESTS), within=250)
        outcomes = receiver.answers()
        kept = outcomes.get("published", 0) + outcomes.get("spooled", 0)
        found = await arrived(rabbitmq, kept)

        assert faults_of(report, REQUESTS, growth=0, errors=receiver.errors()) == []
        assert 0 < kept <= found
        alive = receiver.process.is_alive()
    assert (alive, await asyncio.to_thread(lambda: receiver.process.exit_code)) == (True, 0)
