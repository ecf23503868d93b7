"""What is said of S3 alone: refusals, servers that go away, and prefixes."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from common.storage.interface import StorageError
from private_servers.s3 import RcloneS3, S3Server
from tests.contract.storage_servers import BUCKET, MIB, PART, Gate, chunks, content, open_on

#: One sentence: no line break, one full stop at its end (a colon or a comma may stand inside).
SENTENCE = re.compile(r"The storage s3://\S+ at 127\.0\.0\.1:\d+ [^\n]+[^.]\.")


async def test_the_check_names_a_bucket_that_does_not_exist(s3_server: S3Server) -> None:
    async with open_on(s3_server, "s3://no-such-bucket/prefix") as storage:
        with pytest.raises(StorageError, match=r"s3://no-such-bucket .*404.*STORAGE_URL") as told:
            await storage.check()

    assert SENTENCE.fullmatch(str(told.value))


async def test_the_check_names_wrong_keys_without_repeating_them(rclone: RcloneS3) -> None:
    async with open_on(rclone, f"s3://{BUCKET}", secret_key="a-wrong-secret") as storage:
        with pytest.raises(StorageError, match=r"403.*AWS_SECRET_ACCESS_KEY") as told:
            await storage.check()

    assert SENTENCE.fullmatch(str(told.value))
    assert "a-wrong-secret" not in str(told.value)
    assert rclone.access_key not in str(told.value)
    assert told.value.__suppress_context__  # the library's own text, which may quote headers, stays out of logs.


async def test_a_server_that_is_not_there_is_told_of(rclone: RcloneS3, unused_port: int) -> None:
    nowhere = f"http://user:password@127.0.0.1:{unused_port}"
    async with open_on(rclone, f"s3://{BUCKET}", endpoint_url=nowhere) as storage:
        with pytest.raises(StorageError, match="could not be reached") as told:
            await storage.head("x")

    assert SENTENCE.fullmatch(str(told.value))
    assert "password" not in str(told.value)


async def test_a_server_that_goes_away_mid_stream_is_told_of_and_the_open_upload_with_it() -> None:
    gate = Gate()

    async def source() -> AsyncIterator[bytes]:
        async for chunk in chunks(content(PART + MIB)):
            yield chunk
        await gate()
        yield b"the rest"

    with RcloneS3() as server:
        server.create_bucket(BUCKET)
        async with open_on(server, f"s3://{BUCKET}") as storage:
            putting = asyncio.create_task(storage.put("x", source(), content_type="audio/mpeg"))
            await gate.reached.wait()
            server.kill()
            gate.open.set()
            with pytest.raises(StorageError, match="could not be reached") as told:
                await putting

    assert told.value.__notes__ == ["The multipart upload could not be aborted and may still be open."]


async def test_uploads_of_another_prefix_are_not_listed(s3_server: S3Server) -> None:
    url = f"s3://{BUCKET}/one"
    async with (
        open_on(s3_server, url) as storage,
        open_on(s3_server, f"s3://{BUCKET}/another") as another,
        open_on(s3_server, f"s3://{BUCKET}/on") as beginning_alike,
        open_on(s3_server, f"s3://{BUCKET}") as whole,
    ):
        gate = Gate()
        putting = asyncio.create_task(
            storage.put("a/b.mp3", chunks(content(PART + 1)), content_type="audio/mpeg", before_commit=gate)
        )
        await gate.reached.wait()

        assert [name for name, _ in await storage.open_uploads()] == ["a/b.mp3"]
        assert [name for name, _ in await whole.open_uploads()] == ["one/a/b.mp3"]
        assert await another.open_uploads() == []
        assert await beginning_alike.open_uploads() == []

        gate.open.set()
        await putting


@pytest.fixture
def unused_port() -> int:
    from private_servers.ports import free_ports

    return free_ports(1)[0]
