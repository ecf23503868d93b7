"""How a process begins and ends, seen from outside; and what its log never holds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.telemetry.health import STALLED_AFTER_SECONDS, Health

SECRET = "+1 650 555 0100"

#: A service that does what its test says.
SERVICE = """
import asyncio, os, signal, socket
from common.process import CannotStart, run_process
from common.settings import ProcessSettings

async def serve(settings, health, stop, clock):
    {body}

run_process("trial", ProcessSettings, serve)
"""


def run(body: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", SERVICE.format(body=body)],
        env={"ADMIN_PORT": "0", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_stops_the_process_with_success(number: str) -> None:
    done = run(f"os.kill(os.getpid(), signal.{number}); await stop.wait()")

    assert (done.returncode, done.stderr) == (0, "")
    assert [line["event"] for line in lines(done.stdout)] == [
        "process_started",
        "admin_port_opened",
        "process_stopped",
    ]


def test_wrong_settings_end_it_before_anything_is_done_with_a_sentence_per_fault() -> None:
    done = run("raise SystemExit(99)", LOG_LEVEL="loud", GRACE_PERIOD="x")

    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(" is not valid")[0] for line in done.stderr.splitlines()] == [
        "ringvault trial: LOG_LEVEL",
        "ringvault trial: GRACE_PERIOD",
    ]


def test_what_cannot_be_used_ends_it_with_its_sentence() -> None:
    done = run("raise CannotStart('SPOOL_DIR cannot be written: mend it.')")

    assert done.returncode == 2
    assert done.stderr == "ringvault trial: SPOOL_DIR cannot be written: mend it.\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise OSError(98, 'Address already in use')", "a port cannot be opened"),
        ("raise socket.gaierror(-2, 'Name or service not known')", "a host name cannot be resolved"),
    ],
)
def test_an_address_that_cannot_be_used_is_said_in_words(body: str, words: str) -> None:
    done = run(body)

    assert done.returncode == 2
    assert words in done.stderr


def test_the_unexpected_ends_it_with_a_line_that_says_where_but_not_what() -> None:
    done = run(f"raise ValueError('{SECRET}')")

    assert (done.returncode, done.stderr) == (1, "")
    last = lines(done.stdout)[-1]
    assert (last["event"], last["error"]) == ("process_failed", "ValueError")
    assert last["trace"]
    assert SECRET not in done.stdout


def test_the_receiver_says_which_folder_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "services.webhook"],
        env={
            "AMQP_URL": "amqp://127.0.0.1:1",
            "RC_ACCOUNT_ID": "1",
            "ADMIN_PORT": "0",
            "HTTP_PORT": "0",
            "SPOOL_DIR": str(tmp_path / "file" / "spool"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert done.returncode == 2
    assert done.stderr.startswith("ringvault webhook: SPOOL_DIR ")
    assert done.stderr.count("\n") == 1


#: Every way in which an exception may get to the log.
FAILING = """
import asyncio, logging, sys
import structlog
from common.telemetry.logs import configure_logs, log_unhandled

SECRET = sys.argv[2]

def fail():
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise ValueError(SECRET) from error

async def forget_a_task():
    asyncio.get_running_loop().set_exception_handler(log_unhandled)
    task = asyncio.create_task(asyncio.to_thread(fail))
    await asyncio.wait([task])
    del task

configure_logs("debug", sys.argv[1], "trial")
log = structlog.get_logger()
try:
    fail()
except ValueError as error:
    log.exception("ours_failed")
    log.error("ours_failed", exc_info=error)
    log.error("ours_failed", exc_info=(type(error), error, error.__traceback__))
    log.warning("ours_failed", exc_info=True)
    logging.getLogger("aiohttp.server").exception("Error handling request from %s", "127.0.0.1")
asyncio.run(forget_a_task())
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exception_is_logged_with_its_type_and_place_and_never_with_its_text(log_format: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING, log_format, SECRET],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout.count("ValueError") == 6
    assert "Error handling request from 127.0.0.1" in done.stdout
    assert "error_unhandled" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_a_line_of_json_is_one_event_with_its_process_and_time() -> None:
    done = run("stop.set()", LOG_FORMAT="json")

    for line in lines(done.stdout):
        assert line["process"] == "trial"
        assert line["timestamp"].endswith("Z")
        assert line["level"] == "info"


def test_work_that_moves_or_waits_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    health = Health()
    with health.work() as work:
        now[0] += STALLED_AFTER_SECONDS + 1
        assert not health.live()

        work.progress()
        assert health.live()
        with work.waiting():
            now[0] += STALLED_AFTER_SECONDS + 1
            assert health.live()
        assert health.live()

        now[0] += STALLED_AFTER_SECONDS + 1
        assert not health.live()
    assert health.live()


def test_what_does_not_hold_is_named() -> None:
    health = Health()
    health.conditions["the broker is there"] = lambda: False
    health.conditions["the sun shines"] = lambda: True

    assert health.unready() == ["the broker is there"]
