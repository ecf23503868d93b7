"""`STORAGE_URL` → the storage that it means."""

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Unpack
from urllib.parse import SplitResult, unquote, urlsplit

from common.storage.interface import Storage
from common.storage.object_names import check_name
from common.storage.s3_options import S3Options

#: What S3 libraries take as a bucket's name; servers are stricter, each in its own way.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")

#: Characters of a prefix: with the longest object name it stays below S3's 1024 bytes for a key.
LONGEST_PREFIX = 400


def open_storage(url: str, **options: Unpack[S3Options]) -> AbstractAsyncContextManager[Storage]:
    """The storage of `s3://bucket/prefix` or `file:///folder`, to be entered once a process.

    The options are for S3 alone. Raises `ValueError` with one sentence for a URL that is neither. Nothing is asked of
    the storage yet: see `Storage.check`.
    """
    parts = _split(url)
    if parts.scheme == "s3":
        from common.storage.s3 import open_s3  # loading its library takes a moment that a file system need not wait.

        bucket, prefix = _bucket_and_prefix(parts)
        return open_s3(bucket=bucket, prefix=prefix, options=options)
    return _open_folder(_folder(parts))


@contextlib.asynccontextmanager
async def _open_folder(folder: Path) -> AsyncIterator[Storage]:
    from common.storage.file_system import FileStorage

    yield FileStorage(folder)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _faulty("it is no URL") from None
    if parts.scheme not in {"s3", "file"}:
        raise _faulty("it begins with something else")
    if parts.query or parts.fragment:
        raise _faulty("it has a ? or # in it")
    return parts


def _bucket_and_prefix(parts: SplitResult) -> tuple[str, str]:
    if "@" in parts.netloc or ":" in parts.netloc:
        raise _faulty("keys and ports belong in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL_S3")
    if not _BUCKET.fullmatch(parts.netloc):
        raise _faulty("it names no bucket")
    prefix = parts.path.strip("/")
    if len(prefix) > LONGEST_PREFIX:
        raise _faulty(f"its prefix is longer than {LONGEST_PREFIX} characters")
    try:
        check_name(prefix or "none")
    except ValueError:
        raise _faulty("its prefix may have only letters, digits, - _ . and / between parts") from None
    return parts.netloc, prefix


def _folder(parts: SplitResult) -> Path:
    folder = Path(unquote(parts.path))
    if parts.netloc not in {"", "localhost"} or not folder.is_absolute():
        raise _faulty("its folder must be absolute, with three slashes: file:///folder")
    if folder == Path("/") or "\0" in str(folder) or ".." in folder.parts:
        raise _faulty("it names no folder of its own")
    return folder


def _faulty(what: str) -> ValueError:
    """Never with the value: people put keys into URLs."""
    return ValueError(f"STORAGE_URL must be s3://bucket/prefix or file:///folder: {what}.")
