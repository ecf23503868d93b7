"""The storages that keep one contract: a folder, and two S3 servers that differ where S3 servers do."""

import copy
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import pytest
import pytest_asyncio

from common.storage.interface import Storage
from common.storage.open import open_storage
from private_servers.s3 import MotoS3, RcloneS3
from tests.contract.storage_servers import BUCKET, Opener, S3Server, open_on


@pytest.fixture(scope="session")
def rclone_s3() -> Iterator[RcloneS3]:
    with RcloneS3() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[MotoS3]:
    with MotoS3() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(params=["rclone_s3", "moto_s3"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rclone_storage(rclone_s3: RcloneS3) -> AsyncIterator[Storage]:
    async with open_on(rclone_s3, f"s3://{BUCKET}") as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def moto_storage(moto_s3: MotoS3) -> AsyncIterator[Storage]:
    async with open_on(moto_s3, f"s3://{BUCKET}") as opened:
        yield opened


@pytest.fixture(params=["folder", "rclone_storage", "moto_storage"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """An empty place of each kind; the S3 clients are shared, because making one takes longer than most tests."""
    if request.param == "folder":
        return lambda: open_storage(f"file://{tmp_path}/objects")
    shared = request.getfixturevalue(request.param)
    prefix = f"{uuid.uuid4().hex}/"

    def below_a_prefix() -> AbstractAsyncContextManager[Storage]:
        storage = copy.copy(shared)
        storage._prefix = prefix
        return nullcontext(storage)

    return below_a_prefix


@pytest_asyncio.fixture(loop_scope="session")
async def storage(opener: Opener) -> AsyncIterator[Storage]:
    async with opener() as opened:
        yield opened
