"""Every name that a recording can get is taken by every storage, and none that would escape."""

from datetime import UTC, datetime

import pytest

from common.storage.interface import Storage
from common.storage.object_names import recording_object_name
from tests.contract.storage_servers import chunks, read_all

#: One loop for all, so that the S3 clients can be shared.
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "source_record_id",
    ["ABCXYZabcxyz0189-_", "../../etc/passwd", "a b%2f#?&=+~[]{}|\\\x00\n", "日本語é", "\ud800", "", "x" * 1000],
)
async def test_any_recording_has_a_name_that_is_taken(storage: Storage, source_record_id: str) -> None:
    started_at = datetime(2026, 3, 9, tzinfo=UTC)
    name = recording_object_name("400131", "ms-teams", started_at, source_record_id, "audio/mpeg")

    await storage.put(name, chunks(b"audio"), content_type="audio/mpeg")

    assert await read_all(storage, name) == b"audio"
    await storage.delete(name)


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "", "a//b", ".hidden"])
async def test_a_name_that_would_escape_is_refused(storage: Storage, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        await storage.put(name, chunks(b"audio"), content_type="audio/mpeg")
    with pytest.raises(ValueError, match="name"):
        await storage.head(name)
    with pytest.raises(ValueError, match="name"):
        await storage.delete(name)
