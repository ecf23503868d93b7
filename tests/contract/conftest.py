"""The storages that keep one contract: a folder, and S3 servers that differ where S3 servers do."""

import copy
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from common.storage.interface import Storage
from common.storage.open import open_storage
from common.storage.s3 import S3Storage
from private_servers.s3 import MotoS3, RcloneS3, S3Server, SupabaseLikeS3
from private_servers.swift import SwiftS3
from tests.contract.certificate import make_certificate
from tests.contract.storage_servers import BUCKET, Opener, no_socket_left, open_on

#: The fixtures below that are S3 servers.
SERVERS = ["rclone", "rclone_tls", "moto", "swift", "supabase_like"]


@dataclass
class Opened:
    """One storage on each server that was asked for: making a client takes longer than most tests."""

    stack: AsyncExitStack
    storages: dict[str, S3Storage] = field(default_factory=dict)

    async def on(self, name: str, server: S3Server) -> S3Storage:
        if name not in self.storages:
            storage = await self.stack.enter_async_context(open_on(server, f"s3://{BUCKET}"))
            assert isinstance(storage, S3Storage)
            self.storages[name] = storage
        return self.storages[name]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def rclone() -> Iterator[RcloneS3]:
    with RcloneS3() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def rclone_tls(certificate: tuple[Path, Path]) -> Iterator[RcloneS3]:
    """Checksums that the library adds by default show only over TLS, as a trailer that rclone and others refuse."""
    with RcloneS3(tls=certificate) as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoS3]:
    with MotoS3() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def swift() -> Iterator[SwiftS3]:
    with SwiftS3() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def supabase_like() -> Iterator[SupabaseLikeS3]:
    with SupabaseLikeS3() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(params=SERVERS)
def s3_server(request: pytest.FixtureRequest, trusted: None) -> S3Server:  # noqa: ARG001 - trusted by then
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def trusted(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Our certificate is good for clients that are made now, as an operator would say it."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opened() -> AsyncIterator[Opened]:
    async with no_socket_left(), AsyncExitStack() as stack:
        yield Opened(stack)


@pytest_asyncio.fixture
async def own_clients() -> AsyncIterator[None]:
    """For tests with clients of their own, that end with the test."""
    async with no_socket_left():
        yield


@pytest_asyncio.fixture(loop_scope="session", params=["folder", *SERVERS])
async def opener(request: pytest.FixtureRequest, tmp_path: Path, opened: Opened, trusted: None) -> Opener:  # noqa: ARG001 - as above
    """An empty place of each kind."""
    if request.param == "folder":
        return lambda: open_storage(f"file://{tmp_path}/objects")
    shared = await opened.on(request.param, request.getfixturevalue(request.param))
    prefix = f"{uuid.uuid4().hex}/"

    def below_a_prefix() -> AbstractAsyncContextManager[Storage]:
        storage = copy.copy(shared)
        storage._prefix = prefix
        return nullcontext(storage)

    return below_a_prefix


@pytest_asyncio.fixture(loop_scope="session")
async def storage(opener: Opener) -> AsyncIterator[Storage]:
    async with opener() as one:
        yield one
