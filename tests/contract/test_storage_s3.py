"""What is said of S3 alone: refusals, servers that go away, prefixes, and TLS."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from common.storage.interface import StorageError
from private_servers.s3 import RcloneS3
from tests.contract.storage_servers import BUCKET, MIB, PART, Gate, S3Server, chunks, content, open_on, read_all

#: One sentence: no line break, one full stop at its end (a colon or a comma may stand inside).
SENTENCE = re.compile(r"The storage s3://\S+ at 127\.0\.0\.1:\d+ [^\n]+[^.]\.")


async def test_the_check_names_a_bucket_that_does_not_exist(s3_server: S3Server) -> None:
    async with open_on(s3_server, "s3://no-such-bucket/prefix") as storage:
        with pytest.raises(StorageError, match=r"s3://no-such-bucket .*404.*STORAGE_URL") as told:
            await storage.check()

    assert SENTENCE.fullmatch(str(told.value))


async def test_the_check_names_wrong_keys_without_repeating_them(rclone_s3: RcloneS3) -> None:
    async with open_on(rclone_s3, f"s3://{BUCKET}", secret_key="a-wrong-secret") as storage:
        with pytest.raises(StorageError, match=r"403.*AWS_SECRET_ACCESS_KEY") as told:
            await storage.check()

    assert SENTENCE.fullmatch(str(told.value))
    assert "a-wrong-secret" not in str(told.value)
    assert rclone_s3.access_key not in str(told.value)
    assert told.value.__suppress_context__  # the library's own text, which may quote headers, stays out of logs.


async def test_a_server_that_is_not_there_is_told_of(rclone_s3: RcloneS3, unused_port: int) -> None:
    nowhere = f"http://user:password@127.0.0.1:{unused_port}"
    async with open_on(rclone_s3, f"s3://{BUCKET}", endpoint_url=nowhere) as storage:
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


async def test_objects_travel_over_tls_as_well(
    rclone_s3: RcloneS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checksums that the library adds by default show only over TLS, as a trailer that rclone and others refuse."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(make_certificate(tmp_path)))
    async with (
        tls_in_front_of(rclone_s3.port, tmp_path) as endpoint_url,
        open_on(rclone_s3, f"s3://{BUCKET}/tls", endpoint_url=endpoint_url) as storage,
    ):
        for size in (3, PART + 1):
            await storage.put("x", chunks(content(size)), content_type="audio/mpeg")
            assert await read_all(storage, "x") == content(size)


@pytest.fixture
def unused_port() -> int:
    from private_servers.ports import free_ports

    return free_ports(1)[0]


def make_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


@asynccontextmanager
async def tls_in_front_of(port: int, folder: Path) -> AsyncIterator[str]:
    """A proxy that takes TLS off; the certificate lies in the folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, behind_writer), pipe(behind_reader, writer), return_exceptions=True)
        for end in (writer, behind_writer):
            end.close()

    server = await asyncio.start_server(join, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
