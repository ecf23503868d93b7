"""What an S3 server must be able to do before a process relies on it, tried once at the start.

| tried | because |
|---|---|
| write, look at, read and delete 18 bytes under a name with each kind of character that our names have | keys, bucket, rights, alphabet, checksums |
| the encryption and the class that the server says this object has, when they are set | many ignore such a header |
| begin an upload, send a part of 5 MiB, list it, abort it | its rights; proxies that take no bodies of that size |

That costs ten requests at most and 5 MiB, and leaves nothing, not even an old version where the bucket keeps those of
what is deleted: the part never becomes an object. So the *end* of an upload is not tried: a server that wants middle
parts larger than S3's 5 MiB says so with the first recording that has several.
"""  # noqa: E501 - a table.

import io
from typing import TYPE_CHECKING

from common.storage.cancellation import to_the_end
from common.storage.interface import StorageError
from common.storage.round_trip import check_round_trip
from common.storage.s3_requests import RefusedError
from common.storage.s3_upload import PART_BYTES
from common.storage.trials import trial_name

if TYPE_CHECKING:
    from common.storage.s3 import S3Storage


#: How a setting is called, by the library's name of its header.
_SETTINGS = {"ServerSideEncryption": "S3_SERVER_SIDE_ENCRYPTION", "StorageClass": "S3_STORAGE_CLASS"}


async def check_s3(storage: "S3Storage", place: str) -> list[str]:
    """Raises `StorageError` for what must be mended; returns a sentence for each thing that one can do without."""

    async def look(name: str) -> None:
        await _check_headers(storage, place, name)

    await check_round_trip(storage, place, trial_name(), look)
    return await _check_upload(storage, place, trial_name())


async def _check_headers(storage: "S3Storage", place: str, name: str) -> None:
    """A class that is not named in the answer is the standard one."""
    if not storage.headers:
        return
    answered = await storage.headers_of(name)
    found = {
        "ServerSideEncryption": answered.get("ServerSideEncryption"),
        "StorageClass": answered.get("StorageClass", "STANDARD"),
    }
    for header, setting in _SETTINGS.items():
        if storage.headers.get(header, found[header]) != found[header]:
            raise StorageError(f"{place} ignores {setting}: leave the setting out, or use a server that has it.")


async def _check_upload(storage: "S3Storage", place: str, name: str) -> list[str]:
    upload = storage.upload_of(name)
    upload_id = await upload.begin()
    try:
        await upload.send(upload_id, 1, io.BytesIO(bytes(PART_BYTES)))
        listed = await _listed(storage, name)
    finally:
        await to_the_end(upload.abandon(upload_id))
    lacking = (
        f"{place} does not list open uploads: one that a crash leaves before its id is noted stays open, "
        "so have a rule of the bucket abort uploads after some days."
    )
    return [] if upload_id in listed else [lacking]


async def _listed(storage: "S3Storage", name: str) -> list[str]:
    try:
        return await storage.uploads_of(name)
    except RefusedError:
        return []
