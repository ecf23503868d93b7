"""Cutting a source into parts: same bytes, right sizes, right digest."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from common.storage.parts import Parts


async def source(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def cut(parts: Parts) -> list[bytes]:
    found = []
    while True:
        await parts.advance()
        found.append(parts.current.read())
        if not parts.more:
            return found


@given(st.lists(st.binary(max_size=25)), st.integers(1, 9))
def test_parts_are_full_but_the_last_and_hold_every_byte_in_order(chunks: list[bytes], part_bytes: int) -> None:
    whole = b"".join(chunks)
    parts = Parts(source(chunks), part_bytes=part_bytes)

    found = asyncio.run(cut(parts))

    assert b"".join(found) == whole
    assert all(len(part) == part_bytes for part in found[:-1])
    assert found[-1] or found == [b""]
    assert (parts.size, parts.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


async def test_exactly_one_part_is_not_followed_by_another() -> None:
    parts = Parts(source([b"abc", b"", b"de"]), part_bytes=5)

    await parts.advance()

    assert not parts.more
    assert parts.current.read() == b"abcde"


async def test_the_memory_of_a_part_is_used_again_for_the_one_after_the_next() -> None:
    parts = Parts(source([b"aabbcc"]), part_bytes=2)
    used = []
    for _ in range(3):
        await parts.advance()
        used.append(parts.current)

    assert used[2] is used[0]
    assert used[2] is not used[1]
    assert [bytes(part.read()) for part in used[1:]] == [b"bb", b"cc"]


async def test_what_somebody_still_reads_is_never_overwritten() -> None:
    parts = Parts(source([b"aabbcc"]), part_bytes=2)
    await parts.advance()
    held = parts.current.read(1)

    for _ in range(2):
        await parts.advance()

    assert bytes(held) == b"a"
    assert bytes(parts.current.read()) == b"cc"


async def test_a_part_is_read_as_files_are() -> None:
    parts = Parts(source([b"abcdef"]), part_bytes=6)
    await parts.advance()
    part = parts.current

    assert [bytes(part.read(4)), bytes(part.read(4)), bytes(part.read(4))] == [b"abcd", b"ef", b""]
    part.seek(2)
    assert [bytes(part.read()), bytes(part.read(-1))] == [b"cdef", b""]
