"""The private servers are real: they answer, keep what they promise to keep, and leave nothing behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import aioboto3
import asyncpg
import pytest

from private_servers import apt, folders, packages, ports, server
from private_servers.errors import PrivateServerError
from private_servers.pgbouncer import PgBouncer
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ
from private_servers.rabbitmq_files import RABBITMQ
from private_servers.s3 import MotoS3, RcloneS3, S3Server
from private_servers.swift import SwiftS3

#: Seconds for something that happens within moments; only a failure waits so long.
SOON = 60.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres(durable=True) as server:
        yield server


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def stored_and_read_back(server: S3Server) -> bytes:
    async with s3_client(server) as s3:
        await s3.put_object(Bucket="recordings", Key="a/b.mp3", Body=b"sound")
        return await read(server)


def s3_client(server: S3Server, secret_key: str | None = None) -> "aioboto3.session.ClientCreatorContext":
    return aioboto3.Session().client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret_key or server.secret_key,
        region_name=server.region,
    )


async def read(server: S3Server) -> bytes:
    async with s3_client(server) as s3:
        answer = await s3.get_object(Bucket="recordings", Key="a/b.mp3")
        body: bytes = await answer["Body"].read()
        return body


def exists(folder: str) -> bool:
    return Path(folder).exists()


def is_running(pid: int) -> bool:
    """A zombie that its new parent has yet to collect runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def processes_naming(text: str) -> list[int]:
    """Whose command line or environment holds the text, e.g. a server's data folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:  # it ended, or is not ours to look at.
            continue
        if text.encode() in known:
            found.append(int(process.name))
    return [pid for pid in found if is_running(pid)]


def until_gone(pids: list[int]) -> list[int]:
    """Those that still run after all."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline and any(map(is_running, pids)):
        time.sleep(0.02)
    return [pid for pid in pids if is_running(pid)]


async def test_rabbitmq_keeps_a_persistent_message_through_a_kill_and_leaves_nothing_after_a_stop() -> None:
    broker = RabbitMQ().start()
    try:
        connection = await aio_pika.connect(broker.url)
        async with connection:
            channel = await connection.channel()
            await channel.declare_queue("letters", durable=True, arguments={"x-queue-type": "quorum"})
            letter = aio_pika.Message(b"hello", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(letter, "letters")
        broker.settle()
        url = broker.url

        broker.kill()
        broker.start()

        assert broker.url == url
        connection = await aio_pika.connect(broker.url)
        async with connection:
            channel = await connection.channel()
            queue = await channel.get_queue("letters")
            message = await queue.get(timeout=SOON)
            assert message.body == b"hello"
            await message.ack()
        folder = str(broker.folder)
        assert processes_naming(folder)
    finally:
        broker.stop()
    assert until_gone(processes_naming(folder)) == []  # helpers of Erlang end when they see that it has.
    assert not exists(folder)


async def test_a_durable_postgres_keeps_a_row_through_a_kill(postgres: Postgres) -> None:
    url = postgres.create_database("kept")
    await ask(url, "CREATE TABLE facts AS SELECT 42 AS answer")

    postgres.kill()
    postgres.start()

    assert await ask(url, "SELECT answer FROM facts") == 42


async def test_a_database_is_copied_from_a_template_for_each_test(postgres: Postgres) -> None:
    template = postgres.create_database("model")
    await ask(template, "CREATE TABLE facts AS SELECT 42 AS answer")

    url = postgres.create_database("one_test", template="model")
    assert await ask(url, "SELECT answer FROM facts") == 42

    postgres.drop_database("one_test")
    postgres.drop_database("one_test")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await ask(url, "SELECT 1")


async def test_a_paused_postgres_freezes_open_connections_until_it_resumes(postgres: Postgres) -> None:
    connection = await asyncpg.connect(postgres.url)
    postgres.pause()
    try:
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT 1", timeout=0.3)
    finally:
        postgres.resume()
        connection.terminate()
    assert await ask(postgres.url, "SELECT 1") == 1


async def test_pgbouncer_hands_a_client_another_connection_for_its_next_transaction(postgres: Postgres) -> None:
    with PgBouncer(postgres, connections=2) as pooler:
        url = pooler.database_url("postgres")
        first, second = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(2)]
        try:
            async with first.transaction():  # one connection is taken, so that the second client gets another.
                await first.execute("SELECT 1")
                await second.execute("SELECT 1")
            seen = {await first.fetchval("SELECT pg_backend_pid()") for _ in range(4)}
            assert len(seen) == 2
        finally:
            await first.close()
            await second.close()

        postgres.restart()
        assert await ask(url, "SELECT 1") == 1


async def test_rclone_keeps_objects_over_a_restart_and_refuses_a_wrong_secret() -> None:
    with RcloneS3() as s3_server:
        s3_server.create_bucket("recordings")
        assert await stored_and_read_back(s3_server) == b"sound"

        s3_server.restart()

        assert await read(s3_server) == b"sound"
        async with s3_client(s3_server, secret_key="made-up") as s3:
            with pytest.raises(s3.exceptions.ClientError, match=r"SignatureDoesNotMatch|Forbidden"):
                await s3.get_object(Bucket="recordings", Key="a/b.mp3")


async def test_moto_stores_and_answers() -> None:
    with MotoS3() as s3_server:
        s3_server.create_bucket("recordings")
        s3_server.create_bucket("recordings")
        assert await stored_and_read_back(s3_server) == b"sound"


async def test_swift_keeps_objects_over_a_restart_and_refuses_a_wrong_secret() -> None:
    with SwiftS3() as s3_server:
        s3_server.create_bucket("recordings")
        s3_server.create_bucket("recordings")
        assert await stored_and_read_back(s3_server) == b"sound"

        s3_server.restart()

        assert await read(s3_server) == b"sound"
        async with s3_client(s3_server, secret_key="made-up") as s3:
            with pytest.raises(s3.exceptions.ClientError, match=r"SignatureDoesNotMatch|Forbidden"):
                await s3.get_object(Bucket="recordings", Key="a/b.mp3")


def test_a_paused_server_has_no_thread_that_could_still_answer() -> None:
    with RcloneS3() as s3:
        tasks = Path(f"/proc/{s3.pid}/task")
        for _ in range(50):  # without the wait, some of them meet running threads.
            s3.pause()
            states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()]
            s3.resume()
            assert set(states) == {"T"}


def test_servers_die_with_a_parent_that_is_killed_even_when_one_is_paused() -> None:
    program = (
        "import time\n"
        "from private_servers.postgres import Postgres\n"
        "from private_servers.s3 import RcloneS3\n"
        "postgres, s3 = Postgres().start(), RcloneS3().start()\n"
        "s3.pause()\n"
        "print(postgres.pid, s3.pid, postgres.folder, s3.folder, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folders.CHECKOUT) as parent:
        assert parent.stdout
        words = parent.stdout.readline().split()
        parent.send_signal(signal.SIGKILL)
    assert until_gone([int(word) for word in words[:2]]) == []

    swept = folders.DataFolder("next")  # the next one that anybody makes clears up after the dead.
    swept.remove()
    assert not any(map(exists, words[2:]))


def test_a_port_taken_meanwhile_is_changed_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with RcloneS3() as first:
        real = [first.port]
        choices = iter([real, real])

        def taken_twice(count: int) -> list[int]:
            return next(choices, None) or ports.free_ports(count)

        monkeypatch.setattr(server, "free_ports", taken_twice)
        with RcloneS3() as second:
            assert second.port != first.port


def test_a_broken_fetch_heals_and_the_next_finds_it_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given leftovers of a killed fetch, and packages that are small ones of our own."""

    class OneServer:
        fetched = 0

        def __init__(self, state: Path) -> None:
            state.mkdir()

        def update(self) -> None:
            OneServer.fetched += 1

        def installed(self) -> set[str]:
            return {"libc6"}

        def needed_by(self, package: str) -> list[str]:
            return ["adduser", "erlang-base", "libc6", "libmissing1", package]

        def unpack(self, packages: list[str], root: Path) -> None:
            assert packages == ["erlang-base", "libmissing1", "rabbitmq-server"]
            for program in ("erlang/erts-1/bin/beam.smp", "rabbitmq/lib/rabbitmq_server-1/sbin/rabbitmq-server"):
                path = root / "usr/lib" / program
                path.parent.mkdir(parents=True)
                path.touch()

    monkeypatch.setattr(packages, "Apt", OneServer)
    root = tmp_path / "rabbitmq-test"
    (tmp_path / "rabbitmq-test.partial/apt").mkdir(parents=True)
    (root / "usr/lib/erlang").mkdir(parents=True)

    first = RABBITMQ.fetched(root)
    second = RABBITMQ.fetched(root)

    assert first == second
    assert OneServer.fetched == 1


def test_without_apt_one_sentence_names_what_is_missing_and_the_compose_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt, "TOOLS", ("no-such-apt",))
    with pytest.raises(PrivateServerError) as caught:
        RABBITMQ.fetched(tmp_path / "rabbitmq-test")
    assert "no-such-apt" in str(caught.value)
    assert "docker compose --profile demo up" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["rabbitmq-test.lock"]
