"""What is said of S3 alone: refusals, servers that go away, and prefixes."""

import asyncio
import hashlib
import re
import socket
from collections.abc import AsyncIterator

import pytest

from common.storage import s3_connections, s3_requests
from common.storage.interface import ObjectTooLarge, StorageError
from common.storage.parts import Part, Parts
from common.storage.s3 import S3Storage
from common.storage.s3_options import S3Options
from private_servers.s3 import MotoS3, RcloneS3, S3Server, SupabaseLikeS3
from private_servers.supabase_like import LARGEST_OBJECT
from private_servers.swift import SwiftS3
from tests.contract.storage_servers import (
    BUCKET,
    MIB,
    PART,
    Gate,
    Noted,
    chunks,
    content,
    open_on,
    sockets,
    until_closed,
)

pytestmark = pytest.mark.usefixtures("own_clients")

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


@pytest.mark.parametrize("server", ["rclone", "moto", "swift"])
async def test_the_check_leaves_no_object(request: pytest.FixtureRequest, server: str) -> None:
    async with open_on(request.getfixturevalue(server), f"s3://{BUCKET}/checked") as storage:
        await storage.check()

        assert isinstance(storage, S3Storage)
        listed = await storage._client.list_objects_v2(Bucket=BUCKET, Prefix="checked/")
        assert listed.get("Contents", []) == []


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (S3Options(server_side_encryption="AES256"), "S3_SERVER_SIDE_ENCRYPTION"),
        (S3Options(storage_class="STANDARD_IA"), "S3_STORAGE_CLASS"),
    ],
)
@pytest.mark.parametrize("server", ["swift", "supabase_like"])  # rclone says yes to everything.
async def test_the_check_tells_of_a_header_that_the_server_ignores_or_refuses(
    request: pytest.FixtureRequest, server: str, options: S3Options, setting: str
) -> None:
    async with open_on(request.getfixturevalue(server), f"s3://{BUCKET}", **options) as storage:
        with pytest.raises(StorageError, match=setting) as told:
            await storage.check()

    assert SENTENCE.fullmatch(str(told.value))


@pytest.mark.parametrize("size", [3, PART + 1])
async def test_objects_have_the_encryption_and_the_class_that_are_set(moto: MotoS3, size: int) -> None:
    options = S3Options(server_side_encryption="aws:kms", kms_key_id="our-key", storage_class="STANDARD_IA")
    async with open_on(moto, f"s3://{BUCKET}/kept", **options) as storage:
        assert await storage.check() == []

        await storage.put("x", chunks(content(size)), content_type="audio/mpeg")

        assert isinstance(storage, S3Storage)
        facts = await storage.headers_of("x")
        assert facts["ServerSideEncryption"] == "aws:kms"
        assert facts["SSEKMSKeyId"] == "our-key"
        assert facts["StorageClass"] == "STANDARD_IA"


@pytest.mark.parametrize(
    ("storage_class", "why"), [("NO_SUCH", "no such class"), ("GLACIER", "cannot be read at once")]
)
async def test_the_check_tells_of_a_class_that_will_not_do(moto: MotoS3, storage_class: str, why: str) -> None:
    async with open_on(moto, f"s3://{BUCKET}", storage_class=storage_class) as storage:
        with pytest.raises(StorageError, match=f"{why}.*S3_STORAGE_CLASS") as told:
            await storage.check()

    assert SENTENCE.fullmatch(str(told.value))


async def test_the_check_tells_of_checksums_that_the_server_does_not_take(rclone_tls: RcloneS3, trusted: None) -> None:  # noqa: ARG001
    async with open_on(rclone_tls, f"s3://{BUCKET}", checksums="when_supported") as storage:
        with pytest.raises(StorageError, match="AWS_REQUEST_CHECKSUM_CALCULATION at when_required") as told:
            await storage.check()

    assert SENTENCE.fullmatch(str(told.value))


async def test_the_check_tells_of_a_proxy_that_takes_no_whole_part() -> None:
    with SupabaseLikeS3(largest_body=MIB) as server:
        server.create_bucket(BUCKET)
        async with open_on(server, f"s3://{BUCKET}") as storage:
            with pytest.raises(StorageError, match=r"a part of an upload with 413: .*limit") as told:
                await storage.check()

            assert await storage.open_uploads() == []
    assert SENTENCE.fullmatch(str(told.value))


async def test_a_server_that_lists_no_uploads_will_do_but_is_told_of() -> None:
    with SupabaseLikeS3(lists_uploads=False) as server:
        server.create_bucket(BUCKET)
        async with open_on(server, f"s3://{BUCKET}") as storage:
            [lacking] = await storage.check()
            noted, gate = Noted(), Gate()
            putting = asyncio.create_task(
                storage.put(
                    "x", chunks(content(PART + 1)), content_type="audio/mpeg", note_upload=noted, before_commit=gate
                )
            )
            await gate.reached.wait()

            await storage.abort_left("x", noted.ids[0])
            gate.open.set()

            with pytest.raises(StorageError, match="NoSuchUpload"):
                await putting
    assert "does not list open uploads" in lacking
    assert SENTENCE.fullmatch(lacking)


async def test_an_object_larger_than_the_server_takes_is_refused_with_the_limit(supabase_like: SupabaseLikeS3) -> None:
    async with open_on(supabase_like, f"s3://{BUCKET}/large") as storage:
        with pytest.raises(ObjectTooLarge, match=r"refuses objects larger than 50 MiB \(413 EntityTooLarge\)") as told:
            await storage.put("x", chunks(bytes(LARGEST_OBJECT + PART)), content_type="audio/mpeg")

        assert await storage.open_uploads() == []
    assert SENTENCE.fullmatch(str(told.value))


async def test_a_small_object_is_signed_by_the_sha256_of_its_row_and_read_once(
    swift: SwiftS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, taken = content(MIB), 0
    read = Part.read

    def counted(part: Part, size: int | None = -1) -> bytes:
        nonlocal taken
        taken += len(found := read(part, size))
        return found

    monkeypatch.setattr(Part, "read", counted)
    async with open_on(swift, f"s3://{BUCKET}/signed") as storage:
        await storage.put("true.mp3", chunks(data), content_type="audio/mpeg")
        assert taken == len(data)

        # What is not what the row would say is refused by a server that checks.
        monkeypatch.setattr(Parts, "sha256", hashlib.sha256(b"other bytes").hexdigest())
        with pytest.raises(StorageError, match=r"BadDigest|XAmzContentSHA256Mismatch"):
            await storage.put("other.mp3", chunks(data), content_type="audio/mpeg")
        with pytest.raises(FileNotFoundError):
            await storage.head("other.mp3")


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


async def test_a_server_that_takes_nothing_any_more_does_not_keep_the_connection(
    rclone: RcloneS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a server that asks for a body and then stands still
    monkeypatch.setattr(s3_requests, "REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(s3_connections, "UNTAKEN_SECONDS", 1.0)
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        before = sockets()

        async def stand_still() -> socket.socket:
            taken, _ = await loop.sock_accept(server)
            taken.setblocking(False)
            head = b""
            while b"\r\n\r\n" not in head:
                head += await loop.sock_recv(taken, 1024)
            await loop.sock_sendall(taken, b"HTTP/1.1 100 Continue\r\n\r\n")
            asked.set()
            return taken

        standing = asyncio.create_task(stand_still())
        nowhere = f"http://127.0.0.1:{server.getsockname()[1]}"
        async with open_on(rclone, f"s3://{BUCKET}", endpoint_url=nowhere) as storage:
            # When an object is put that is more than what the two kernels hold
            with pytest.raises(StorageError, match="could not be reached"):
                await storage.put("x", chunks(bytes(PART)), content_type="audio/mpeg")
            assert asked.is_set()

            # Then only the server's end of the connection is left
            with await standing:
                await until_closed(before, but=1)


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
