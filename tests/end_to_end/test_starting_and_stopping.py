"""A process that cannot start says in one sentence why; one that is told to stop ends in time, with exit code 0."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.pipeline import SERVICES, Pipeline
from tests.end_to_end.facts import ACCOUNT, exit_code

#: Settings with which every process would try to start; nothing listens there.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "ADMIN_PORT": "0",
    "HTTP_PORT": "0",
    "LOG_FORMAT": "json",
    "DATABASE_URL": "postgresql://user:secret-of-postgres@127.0.0.1:1/calls",
    "AMQP_URL": "amqp://user:secret-of-rabbitmq@127.0.0.1:1/",
    "RC_SERVER_URL": "http://127.0.0.1:1",
    "RC_ACCOUNT_ID": ACCOUNT,
    "RC_CLIENT_ID": "client",
    "RC_CLIENT_SECRET": "secret-of-client",
    "RC_JWT": "secret-jwt",
}
#: Seconds that a process may take to see that it cannot start.
REFUSES_WITHIN = 60.0
#: Seconds of grace for all services together: half of what they get by default.
STOPS_WITHIN = 12.0

MIGRATE = ("-m", "cli", "migrate")
FAULTS = [
    ("webhook", "AMQP_URL", None),
    ("webhook", "RC_ACCOUNT_ID", "my-company"),
    ("webhook", "HTTP_PORT", "eighty"),
    ("webhook", "SPOOL_DIR", "/proc/spool"),
    ("webhook", "WEBHOOK_PATH_SECRET", "secret/path"),
    ("webhook", "WEBHOOK_ALLOWED_NETWORKS", "192.0.2.1/24"),
    ("webhook", "WEBHOOK_TRUSTED_PROXIES", "proxy"),
    ("insights", "DATABASE_URL", None),
    ("insights", "AMQP_URL", "http://127.0.0.1"),
    ("insights", "DATABASE_URL", "postgresql://user:secret-of-postgres@127.0.0.1:1/calls?sslmode=maybe"),
    ("poller", "RC_JWT", None),
    ("poller", "RC_SERVER_URL", "platform.ringcentral.com"),
    ("poller", "POLL_INTERVAL", "often"),
    ("poller", "RC_MEDIA_HOSTS", "media.ringcentral.com:https"),
    ("downloader", "STORAGE_URL", None),
    ("downloader", "STORAGE_URL", "ftp://127.0.0.1/calls"),
    ("downloader", "STORAGE_URL", "s3://"),
    ("downloader", "AWS_ENDPOINT_URL_S3", "127.0.0.1:9000"),
    ("downloader", "DOWNLOAD_CONCURRENCY", "0"),
    ("downloader", "RC_CLIENT_SECRET", None),
    ("migrate", "DATABASE_URL", None),
    ("migrate", "DATABASE_URL", "mysql://user:secret-of-postgres@127.0.0.1:1/calls"),
    ("migrate", "DATABASE_URL", "postgresql://user:secret-of-postgres@127.0.0.1:1/calls?sslmode=maybe"),
]


@pytest.mark.parametrize(
    ("process", "setting", "value"), FAULTS, ids=[f"{process}-{name}={value}" for process, name, value in FAULTS]
)
def test_a_process_with_a_missing_or_malformed_setting_ends_with_one_sentence_that_names_it(
    process: str, setting: str, value: str | None, tmp_path: Path
) -> None:
    environment = ENVIRONMENT | {"STORAGE_URL": (tmp_path / "audio").as_uri(), "SPOOL_DIR": str(tmp_path / "spool")}
    environment.pop(setting, None)
    if value is not None:
        environment[setting] = value

    done = subprocess.run(
        [sys.executable, *(MIGRATE if process == "migrate" else ("-m", f"services.{process}"))],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=REFUSES_WITHIN,
    )

    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert setting in sentence
    assert sentence.endswith(".")
    assert "trace" not in (done.stdout + done.stderr).lower()
    assert "secret-" not in done.stdout + done.stderr


async def test_each_service_told_to_stop_ends_within_its_grace_with_exit_code_0(pipeline: Pipeline) -> None:
    pipeline.start_simulator(recordings=0)
    pipeline.start_all(*SERVICES)
    began = time.monotonic()

    for service in SERVICES:
        pipeline.services[service].send(signal.SIGTERM)

    assert {service: exit_code(pipeline.services[service]) for service in SERVICES} == dict.fromkeys(SERVICES, 0)
    assert time.monotonic() - began < STOPS_WITHIN
    assert all(pipeline.told(service, "process_stopped") for service in SERVICES)
