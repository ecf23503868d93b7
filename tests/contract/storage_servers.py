"""What the storage tests share: how a place is opened, and sources that behave or do not."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Unpack

from common.storage.interface import Storage
from common.storage.open import open_storage
from common.storage.s3_options import S3Options
from private_servers.s3 import S3Server

#: The bucket that all servers have.
BUCKET = "contract"

MIB = 1024 * 1024
PART = 5 * MIB

#: Seconds until a connection is gone that both sides have given up, on a machine that has much else to do.
GOODBYE_SECONDS = 30.0

#: Opens one and the same empty place as often as asked, as several processes do.
Opener = Callable[[], AbstractAsyncContextManager[Storage]]


def open_on(server: S3Server, url: str, **options: Unpack[S3Options]) -> AbstractAsyncContextManager[Storage]:
    usual: S3Options = {
        "endpoint_url": server.endpoint_url,
        "ca_bundle": os.environ.get("AWS_CA_BUNDLE"),
        "region": server.region,
        "access_key": server.access_key,
        "secret_key": server.secret_key,
    }
    merged: S3Options = {**usual, **options}
    return open_storage(url, **merged)


@asynccontextmanager
async def no_socket_left() -> AsyncIterator[None]:
    """At its end, wait until this process has no socket that it did not have at the begin.

    A connection over TLS is closed when the server has said goodbye as well, and a client that is closed does not wait
    for that. If its loop is closed before, the socket is left to the garbage collector, whose warning fails a later
    test.
    """
    before = sockets()
    yield
    await until_closed(before)


async def until_closed(before: set[str], *, but: int = 0) -> None:
    """Wait until this process has only so many sockets that it did not have before."""
    deadline = time.monotonic() + GOODBYE_SECONDS
    while len(left := sockets() - before) > but:
        assert time.monotonic() < deadline, f"{len(left)} sockets are open that were not before"
        await asyncio.sleep(0.01)


def sockets() -> set[str]:
    """Those of this process, by names that no two have."""
    names: set[str] = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the folder itself.
            names.add(str(descriptor.readlink()))
    return {name for name in names if name.startswith("socket:")}


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


async def chunks(data: bytes, length: int = 256 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(data), length):
        yield data[start : start + length]


async def uneven_chunks(data: bytes) -> AsyncIterator[bytes]:
    chance = random.Random(1)
    start = 0
    while start < len(data):
        length = chance.choice([0, 1, 1000, 70_000, PART - 1, PART + 1])
        yield data[start : start + length]
        start += length


class SourceLostError(Exception):
    """The source's own error."""


async def breaks_after(data: bytes) -> AsyncIterator[bytes]:
    async for chunk in chunks(data):
        yield chunk
    raise SourceLostError


class Gate:
    """A check before the commit that waits until it is let through."""

    def __init__(self) -> None:
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.open.wait()


class Noted:
    """Remembers the ids of uploads."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def __call__(self, upload_id: str) -> None:
        self.ids.append(upload_id)


async def read_all(storage: Storage, name: str) -> bytes:
    return b"".join([chunk async for chunk in storage.read(name)])
