"""Lines: what passes, what is cut, what is slow, and who gets a connection that somebody refuses."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from chaos.proxy import Network, Slow
from private_servers.ports import free_ports


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as opened:
        yield opened


@asynccontextmanager
async def echo(greeting: bytes = b"") -> AsyncIterator[int]:
    """A server that sends back what it gets, after a greeting; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while chunk := await reader.read(1000):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def said(port: int, text: bytes) -> bytes:
    """What comes back for a text and its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    with contextlib.suppress(OSError):  # it was reset meanwhile; whoever reads is told how.
        writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_bytes_pass_both_ways_and_so_does_their_end(network: Network) -> None:
    async with echo() as port:
        assert await said(network.line(port).port, b"x" * 300_000) == b"x" * 300_000


async def test_a_cut_resets_what_is_open_and_what_comes_and_a_mended_line_passes_again(network: Network) -> None:
    async with echo() as port:
        line = network.line(port)
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        line.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionResetError):
            await said(line.port, b"hello")
        line.mend()
        assert await said(line.port, b"hello") == b"hello"


async def test_a_slow_line_is_late_and_trickles_until_it_is_mended(network: Network) -> None:
    async with echo() as port:
        line = network.line(port)
        line.slow_down(Slow(latency=0.1, bytes_per_second=16_000))
        began = time.monotonic()
        assert await said(line.port, b"x" * 4_000) == b"x" * 4_000
        assert time.monotonic() - began > 0.2  # there and back: at least so late, whatever the machine does.
        line.slow_down(Slow(latency=0.0, bytes_per_second=16))
        asking = asyncio.create_task(said(line.port, b"y" * 4_000))
        done, _ = await asyncio.wait([asking], timeout=0.2)
        assert not done  # that would take minutes.
        line.mend()
        assert await asking == b"y" * 4_000


async def test_connections_are_spread_and_one_that_is_refused_goes_to_the_other(network: Network) -> None:
    async with echo(b"first") as first, echo(b"second") as second:
        line = network.line(first, second)
        assert {await said(line.port, b"") for _ in range(2)} == {b"first", b"second"}
    async with echo(b"here") as here:
        line = network.line(*free_ports(1), here)
        assert [await said(line.port, b"") for _ in range(3)] == [b"here"] * 3


async def test_a_connection_that_nobody_takes_is_reset(network: Network) -> None:
    line = network.line(*free_ports(2))
    with pytest.raises(ConnectionResetError):
        await said(line.port, b"hello")
