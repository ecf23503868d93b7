"""S3 and what speaks like it; the modules `s3*` alone know aioboto3.

It asks only what every server does alike: single and multipart puts, get, head, delete one by one, and a listing of
open uploads. No conditional puts, no `DeleteObjects`, no faith in an ETag (it is handed back, never compared): Supabase
Storage and others ignore or refuse them.
"""

import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError

from common.storage.interface import ObjectFacts, StorageError, StoredObject, nothing_to_check, nothing_to_note
from common.storage.multipart import put_in_parts
from common.storage.object_names import check_name
from common.storage.parts import Parts
from common.storage.s3_check import check_s3
from common.storage.s3_connections import S3Connections
from common.storage.s3_options import S3Options
from common.storage.s3_requests import NotThereError, RefusedError, s3_request
from common.storage.s3_signature import sign_by_known_sha256
from common.storage.s3_upload import PART_BYTES, S3Upload

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import HeadObjectOutputTypeDef

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

    def __init__(
        self, client: "S3Client", *, bucket: str, prefix: str, place: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._place = place
        #: What every object is to have besides its type, by the library's names.
        self.headers = dict(headers or {})

    async def check(self) -> list[str]:
        return await check_s3(self, self._place)

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
            upload = self.upload_of(name, content_type)
            await put_in_parts(upload, parts, note_upload=note_upload, before_commit=before_commit)
        else:
            await before_commit()
            parts.current.sha256 = parts.sha256
            async with s3_request(self._place, "a write"):
                await self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=parts.current,
                    ContentType=content_type,
                    **cast("Any", self.headers),
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
            async with s3_request(self._place, "a list of objects"):
                page = await anext(each, None)
            if page is None:
                return
            for found in page.get("Contents", []):
                yield found["Key"].removeprefix(self._prefix)

    async def head(self, name: str) -> ObjectFacts:
        facts = await self.headers_of(name)
        if "ContentLength" not in facts:
            raise StorageError(f"{self._place} does not tell how long an object is: look for a proxy before it.")
        return ObjectFacts(size=facts["ContentLength"], content_type=facts.get("ContentType"))

    async def delete(self, name: str) -> None:
        with contextlib.suppress(NotThereError):
            async with s3_request(self._place, "a delete"):
                await self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    async def abort(self, name: str, upload_id: str) -> None:
        await self.upload_of(name).abandon(upload_id)

    async def abort_left(self, name: str, noted: str | None) -> None:
        try:
            left = await self.uploads_of(name)
        except RefusedError:  # `check` has told of a server that lists none.
            left = []
        for upload_id in {*left, *filter(None, [noted])}:
            await self.abort(name, upload_id)

    async def open_uploads(self, folder: str = "") -> list[tuple[str, str]]:
        cut, below = len(self._prefix), f"{self._key(folder)}/" if folder else self._prefix
        return [(key[cut:], upload_id) for key, upload_id in await self._uploads_below(below)]

    async def uploads_of(self, name: str) -> list[str]:
        """The ids of the open uploads of one object; raises `RefusedError` where there is no such list."""
        key = self._key(name)
        return [upload_id for found, upload_id in await self._uploads_below(key) if found == key]

    async def headers_of(self, name: str) -> "HeadObjectOutputTypeDef":
        """What the server says of an object, by the library's names; raises `FileNotFoundError`."""
        try:
            async with s3_request(self._place, "a look at an object"):
                return await self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        except NotThereError:
            raise self._missing(name) from None

    def upload_of(self, name: str, content_type: str = "") -> S3Upload:
        """An upload in parts, not begun yet."""
        headers = {"ContentType": content_type, **self.headers}
        return S3Upload(self._client, place=self._place, bucket=self._bucket, key=self._key(name), headers=headers)

    async def _uploads_below(self, prefix: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=prefix)
        with contextlib.suppress(NotThereError):  # rclone says so of a bucket that never had an upload.
            async with s3_request(self._place, "a list of uploads"):
                async for page in pages:
                    found += [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]
        return [(key, upload_id) for key, upload_id in found if key.startswith(prefix)]

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _missing(self, name: str) -> FileNotFoundError:
        return FileNotFoundError(f"{self._place} has no object {name}.")


@contextlib.asynccontextmanager
async def open_s3(*, bucket: str, prefix: str, options: S3Options) -> AsyncIterator[S3Storage]:
    """One client for the life of the process: making one is slow."""
    endpoint_url = options.get("endpoint_url")
    checksums = options.get("checksums", "when_required")
    config = AioConfig(
        s3={"addressing_style": "path" if endpoint_url else "auto"},
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        max_pool_connections=CONNECTIONS,
        http_session_cls=S3Connections,
    )
    sign_by_known_sha256()
    core = get_session()
    session = aioboto3.Session(
        options.get("access_key"), options.get("secret_key"), region_name=options.get("region"), botocore_session=core
    )
    server = f" at {_host(endpoint_url)}" if endpoint_url else ""
    place = f"The storage s3://{bucket}{server}"
    # In any case: the library takes an empty AWS_CA_BUNDLE of the environment for: anybody.
    core.set_config_variable("ca_bundle", _authorities(options.get("ca_bundle"), place))
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(session.client("s3", endpoint_url=endpoint_url, config=config))
        except (BotoCoreError, ValueError) as error:
            raise StorageError(
                f"{place} cannot be used as it is set up ({type(error).__name__}): check the AWS_ settings."
            ) from None
        yield S3Storage(client, bucket=bucket, prefix=prefix, place=place, headers=_headers(options))


def _authorities(file: str | None, place: str) -> str | bool:
    """What vouches for a server: the file of certificates, or those that everybody trusts."""
    if not file:
        return True
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # an SSLError is one, too
        raise StorageError(
            f"{place} cannot be used as it is set up: AWS_CA_BUNDLE names no file of certificates that can be read "
            f"({type(error).__name__})."
        ) from None
    return file


def _headers(options: S3Options) -> dict[str, str]:
    wanted = {
        "ServerSideEncryption": options.get("server_side_encryption"),
        "SSEKMSKeyId": options.get("kms_key_id"),
        "StorageClass": options.get("storage_class"),
    }
    return {name: value for name, value in wanted.items() if value}


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
