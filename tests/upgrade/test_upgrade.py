"""A rolling upgrade: the code of the previous release, out of the history, on the new schema and beside the new."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
import pytest

from chaos.judge import Judge
from chaos.load import Load
from chaos.matrix import until_right
from chaos.proxy import Network
from common.messages import DownloadRecording, InsightsReceived
from demo.pipeline import BUCKET, SERVICES, Pipeline, Servers, events_of, wait_for
from private_servers.ports import free_ports
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ
from private_servers.s3 import RcloneS3
from tests.end_to_end.conftest import delete_queues
from tests.end_to_end.facts import ACCOUNT, SOON, exit_code
from tools.audit import read_lock
from tools.changelog import ROOT, ReleaseError, read_changelog, unpack

pytestmark = pytest.mark.timeout(300)  # two releases are started, upgraded and drained.

#: Business time runs fast enough for a call to be listed and its insights to come within two seconds.
COMPANY: Final = {"recordings": 0, "speed": 60, "history": 3600}
#: Recordings that must be stored to show that a state works.
SOME: Final = 4
#: Seconds until all that was due must be right.
WITHIN: Final = 90.0
#: What a log says when Postgres or our use of it is at fault: its errors by their names, and what we log of them.
DATABASE_ERRORS: Final = (
    "handling_failed",
    "handling_waited",
    "database_away",
    *(name for name in dir(asyncpg) if name.endswith("Error")),
)


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the previous release. It must run on what is installed here, so its locked versions must be ours."""
    folder = tmp_path_factory.mktemp("released")
    try:
        unpack(read_changelog((ROOT / "CHANGELOG.md").read_text()).previous, folder)
    except ReleaseError as fault:
        pytest.fail(str(fault), pytrace=False)
    before, now = ({str(one) for one in read_lock(top / "requirements/run.txt")[0]} for top in (folder, ROOT))
    if missing := before - now:
        pytest.fail(
            f"the previous release locks {', '.join(sorted(missing))}: give it an environment of its own.",
            pytrace=False,
        )
    where = "import cli, common, services; print(cli.__file__, common.__file__, services.__file__)"
    told = subprocess.check_output([sys.executable, "-c", where], env=on_path(folder), cwd="/", text=True)
    assert all(Path(file).is_relative_to(folder) for file in told.split())
    return folder


def on_path(released: Path) -> dict[str, str]:
    """What makes a Python take the code of the previous release instead of ours."""
    return {"PYTHONPATH": str(released), "PYTHONDONTWRITEBYTECODE": "1"}


class Upgrade:
    """A pipeline whose processes run either code."""

    def __init__(self, pipeline: Pipeline, released: Path) -> None:
        self.pipeline = pipeline
        self._old = on_path(released)

    def settings_of(self, code: str) -> dict[str, str]:
        return self._old if code == "old" else {}

    def migrate(self, code: str) -> list[str]:
        """Bring the schema up to what a code needs; the names of what was applied."""
        environment = self.pipeline.environment | self.settings_of(code)
        done = subprocess.run(
            [sys.executable, "-m", "cli", "migrate"],
            cwd=self.pipeline.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def start(self, code: str, *services: str, **settings: str) -> None:
        for service in services:
            self.pipeline.launch(service, f"{service} {code}", **self.settings_of(code), **settings)
        for service in services:
            self.pipeline.wait_ready(f"{service} {code}")

    def end(self, code: str, *services: str) -> None:
        """Politely, one after another."""
        for service in services:
            process = self.pipeline.services[f"{service} {code}"]
            process.send(signal.SIGTERM)
            assert exit_code(process) == 0, f"{service} {code}"

    def told(self, name: str, event: str) -> int:
        return len(self.pipeline.told(name, event))

    def until_told_more(self, name: str, event: str) -> None:
        """Wait until a process has said something some times more."""
        enough = self.told(name, event) + SOME
        wait_for(lambda: self.told(name, event) >= enough, within=WITHIN, what=f"{name} saying {event} more often")

    def database_errors(self, code: str) -> list[str]:
        """What the processes of a code have logged of Postgres, or as an error."""
        return [
            f"{service}: {line}"
            for service in SERVICES
            if f"{service} {code}" in self.pipeline.services
            for line in self._suspicious(self.pipeline.services[f"{service} {code}"].log)
        ]

    @staticmethod
    def _suspicious(log: Path) -> list[str]:
        named = [line for line in log.read_text().splitlines() if any(name in line for name in DATABASE_ERRORS)]
        return named + [str(line) for line in events_of(log) if line.get("level") in {"error", "critical"}]


@pytest.fixture
async def upgrade(
    rabbitmq: RabbitMQ, postgres: Postgres, s3: RcloneS3, released: Path, tmp_path: Path
) -> AsyncIterator[Upgrade]:
    """On an empty database, and empty queues."""
    postgres.create_database("upgrade")
    settings = {
        "DATABASE_URL": postgres.database_url("upgrade"),
        "RC_ACCOUNT_ID": ACCOUNT,
        "STORAGE_URL": f"s3://{BUCKET}/{tmp_path.name.replace('_', '-')}",
    }
    await delete_queues(rabbitmq.url)
    try:
        servers = Servers(rabbitmq, postgres, s3)
        with Pipeline(tmp_path, storage="s3", servers=servers, settings=settings) as pipeline:
            try:
                yield Upgrade(pipeline, released)
            finally:
                pipeline.kill(*pipeline.services)
    finally:
        postgres.drop_database("upgrade")


@contextmanager
def calls_coming_in(upgrade: Upgrade) -> Iterator[Load]:
    """For as long as the block lasts."""
    load = Load(upgrade.pipeline, Random(1))
    load.start()
    try:
        yield load
    finally:
        load.stop()


def test_a_rolling_upgrade_under_load_loses_and_repeats_nothing(upgrade: Upgrade, released: Path) -> None:
    ports = free_ports(2)
    with Network() as network:
        front = network.line(*ports)  # before both receivers; it goes on to the other where one refuses.
        upgrade.pipeline.settings["RC_WEBHOOK_ADDRESS"] = f"http://127.0.0.1:{front.port}/api/rc/webhook"
        upgrade.pipeline.start_simulator(**COMPANY)

        # Given the previous release on its own schema, under load
        schema = sorted(released.glob("common/database/migrations/*.sql"))
        assert upgrade.migrate("old") == [f"applied {migration.stem}" for migration in schema]
        upgrade.start("old", *SERVICES, HTTP_PORT=str(ports[0]))
        with Judge(upgrade.pipeline) as judge:
            with calls_coming_in(upgrade) as load:
                upgrade.until_told_more("downloader old", "download_stored")

                # When the schema is brought up to date meanwhile, it goes on
                upgrade.migrate("new")
                upgrade.until_told_more("downloader old", "download_stored")
                upgrade.until_told_more("insights old", "events_journaled")

                # And so do both, side by side
                upgrade.start("new", *SERVICES, HTTP_PORT=str(ports[1]))
                for code in ("old", "new"):
                    upgrade.until_told_more(f"downloader {code}", "download_stored")
                    upgrade.until_told_more(f"insights {code}", "events_journaled")

                # And the new one, when one old process after another has ended
                upgrade.end("old", *SERVICES)
                upgrade.until_told_more("downloader new", "download_stored")
            findings = until_right(judge, load.recordings, time.monotonic() + WITHIN)

    assert (findings.lost, findings.doubled) == ([], [])
    assert findings.recordings == len(load.recordings) > 4 * SOME
    assert (upgrade.database_errors("old"), upgrade.database_errors("new")) == ([], [])


@pytest.mark.parametrize(("makers", "takers"), [("old", "new"), ("new", "old")])
def test_what_one_code_has_put_on_the_queues_the_other_understands(upgrade: Upgrade, makers: str, takers: str) -> None:
    upgrade.pipeline.start_simulator(**COMPANY)
    upgrade.migrate("new")
    for service in ("webhook", "poller"):  # RingCentral subscribes only a receiver that answers.
        upgrade.start(makers, service, HTTP_PORT=str(upgrade.pipeline.webhook_port))
    with Judge(upgrade.pipeline) as judge:
        with calls_coming_in(upgrade) as load:
            wait_for(lambda: len(load.recordings) >= 2 * SOME, within=SOON, what="calls")
        wait_for(lambda: all_is_queued(upgrade, load), within=WITHIN, what="all events and jobs on the queues")

        # When those who made the messages are gone, the others take them
        upgrade.end(makers, "poller", "webhook")
        upgrade.start(takers, "insights", "downloader")
        findings = until_right(judge, load.recordings, time.monotonic() + WITHIN)

        assert (findings.lost, findings.doubled, judge.dead_letters()) == ([], [], {})
        assert findings.events > SOME
    assert upgrade.database_errors(takers) == []


def all_is_queued(upgrade: Upgrade, load: Load) -> bool:
    """Whether RingCentral has told all, and there is a message for each recording and each event."""
    truth = upgrade.pipeline.ask_simulator("/simulator/truth")
    told = json.loads(upgrade.pipeline.rabbitmq.ctl("list_queues", "name", "messages", "--formatter", "json"))
    messages = {line["name"]: int(line["messages"]) for line in told}
    return bool(
        truth["finished"]
        and messages[DownloadRecording.QUEUE] >= len(load.recordings)
        and messages[InsightsReceived.QUEUE] >= len(truth["events"])
    )
