"""S3 and what speaks like it: the only module that knows aioboto3.

It asks only what every server does alike: single and multipart puts, get, head, delete one by one, and a listing of
open uploads. No conditional puts, no `DeleteObjects`, no faith in an ETag (it is handed back, never compared): Supabase
Storage and others ignore or refuse them.
"""

import contextlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError

from common.storage.interface import ObjectFacts, StorageError, StoredObject, nothing_to_check, nothing_to_note
from common.storage.multipart import put_in_parts
from common.storage.object_names import check_name
from common.storage.parts import Parts
from common.storage.round_trip import check_round_trip
from common.storage.s3_requests import NotThereError, s3_request

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

#: The least that S3 takes as a middle part, hence the least memory; 10 000 parts of it are 48 GiB, days of audio.
PART_BYTES = 5 * 1024 * 1024

#: The most bytes of one chunk that `read` gives.
READ_BYTES = 256 * 1024

#: Seconds for a connection; a storage that is not there should be noticed quickly.
CONNECT_SECONDS = 5.0

#: Seconds without a byte of the answer; completing a large upload may take a server this long.
ANSWER_SECONDS = 60.0

#: Tries of one request: the library's standard mode, which backs off between them.
TRIES = 3

#: Connections at once: each stream needs one, and no process runs as many streams.
CONNECTIONS = 100


class S3Storage:
    """Objects below a prefix of one bucket; made by `open_s3`."""

    def __init__(self, client: "S3Client", *, bucket: str, prefix: str, place: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._place = place

    async def check(self) -> None:
        await check_round_trip(self, self._place)

    async def put(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str,
        note_upload: Callable[[str], Awaitable[None]] = nothing_to_note,
        before_commit: Callable[[], Awaitable[None]] = nothing_to_check,
    ) -> StoredObject:
        key = self._key(name)
        parts = Parts(chunks, part_bytes=PART_BYTES)
        await parts.advance()
        if parts.more:
            upload = self._upload(key, content_type)
            await put_in_parts(upload, parts, note_upload=note_upload, before_commit=before_commit)
        else:
            await before_commit()
            async with s3_request(self._place, "a write"):
                await self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=parts.current, ContentType=content_type
                )
        return StoredObject(size=parts.size, sha256=parts.sha256)

    async def read(self, name: str) -> AsyncGenerator[bytes, None]:
        try:
            async with s3_request(self._place, "a read"):
                response = await self._client.get_object(Bucket=self._bucket, Key=self._key(name))
        except NotThereError:
            raise self._missing(name) from None
        body = response["Body"]
        async with body:
            while True:
                async with s3_request(self._place, "a read"):
                    chunk = await body.read(READ_BYTES)  # raises when the answer ends before its declared length.
                if not chunk:
                    return
                yield chunk

    async def names(self, folder: str) -> AsyncGenerator[str, None]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._key(folder)}/"
        )
        each = aiter(pages)
        while True:
            async with _request(self._place, "a list of objects"):
                page = await anext(each, None)
            if page is None:
                return
            for found in page.get("Contents", []):
                yield found["Key"].removeprefix(self._prefix)

    async def head(self, name: str) -> ObjectFacts:
        try:
            async with s3_request(self._place, "a look at an object"):
                facts = await self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        except NotThereError:
            raise self._missing(name) from None
        if "ContentLength" not in facts:
            raise StorageError(f"{self._place} does not tell how long an object is: look for a proxy before it.")
        return ObjectFacts(size=facts["ContentLength"], content_type=facts.get("ContentType"))

    async def delete(self, name: str) -> None:
        with contextlib.suppress(NotThereError):
            async with s3_request(self._place, "a delete"):
                await self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    async def abort(self, name: str, upload_id: str) -> None:
        await self._upload(self._key(name)).abandon(upload_id)

    async def open_uploads(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._prefix)
        with contextlib.suppress(NotThereError):  # rclone says so of a bucket that never had an upload.
            async with s3_request(self._place, "a list of uploads"):
                async for page in pages:
                    found += [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]
        cut = len(self._prefix)
        return [(key[cut:], upload_id) for key, upload_id in found if key.startswith(self._prefix)]

    def _upload(self, key: str, content_type: str = "") -> "_Upload":
        return _Upload(self._client, place=self._place, bucket=self._bucket, key=key, content_type=content_type)

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _missing(self, name: str) -> FileNotFoundError:
        return FileNotFoundError(f"{self._place} has no object {name}.")


class _Upload:
    """One object's multipart upload, as `put_in_parts` asks for it."""

    def __init__(self, client: "S3Client", *, place: str, bucket: str, key: str, content_type: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._place = place
        self._content_type = content_type

    async def begin(self) -> str:
        async with s3_request(self._place, "the start of an upload"):
            begun = await self._client.create_multipart_upload(
                Bucket=self._bucket, Key=self._key, ContentType=self._content_type
            )
        return begun["UploadId"]

    async def send(self, upload_id: str, number: int, part: io.BytesIO) -> "CompletedPartTypeDef":
        async with s3_request(self._place, "a part of an upload"):
            answer = await self._client.upload_part(
                Bucket=self._bucket, Key=self._key, UploadId=upload_id, PartNumber=number, Body=part
            )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    async def complete(self, upload_id: str, sent: "list[CompletedPartTypeDef]") -> None:
        async with s3_request(self._place, "the end of an upload"):
            await self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._key, UploadId=upload_id, MultipartUpload={"Parts": sent}
            )

    async def abandon(self, upload_id: str) -> None:
        with contextlib.suppress(NotThereError):
            async with s3_request(self._place, "the abort of an upload"):
                await self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=upload_id)


@contextlib.asynccontextmanager
async def open_s3(
    *,
    bucket: str,
    prefix: str,
    endpoint_url: str | None,
    region: str | None,
    access_key: str | None,
    secret_key: str | None,
) -> AsyncIterator[S3Storage]:
    """One client for the life of the process: making one is slow. Without keys, the usual places are looked at."""
    config = AioConfig(
        s3={"addressing_style": "path" if endpoint_url else "auto"},
        # Other servers refuse the checksums that the library adds by default, though only over TLS.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": TRIES},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        max_pool_connections=CONNECTIONS,
    )
    session = aioboto3.Session(aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region)
    server = f" at {_host(endpoint_url)}" if endpoint_url else ""
    place = f"The storage s3://{bucket}{server}"
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(session.client("s3", endpoint_url=endpoint_url, config=config))
        except (BotoCoreError, ValueError) as error:
            raise StorageError(
                f"{place} cannot be used as it is set up ({type(error).__name__}): check the AWS_ settings."
            ) from None
        yield S3Storage(client, bucket=bucket, prefix=prefix, place=place)


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
