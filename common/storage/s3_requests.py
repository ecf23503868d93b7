"""One S3 request with its retries: bounded in time, its failures told as `StorageError` in words of our own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError, SSLError

from common.storage.interface import ObjectTooLarge, StorageError
from common.storage.s3_refusals import refusal

#: Seconds for one request with its retries. aiohttp's own limits do not cover a server that stops reading the body;
#: a part gets through in this time at 30 KB/s.
REQUEST_SECONDS = 180.0


class RefusedError(StorageError):
    """The server answered, and refused."""

    def __init__(self, sentence: str, *, status: int, code: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


class NotThereError(RefusedError):
    """404 for an object or an upload, not for the bucket; callers turn it into what it means to them."""


class TooLargeError(RefusedError, ObjectTooLarge):
    """The server takes no object of this size."""


@contextlib.asynccontextmanager
async def s3_request(place: str, doing: str) -> AsyncIterator[None]:
    """Translate what the request inside raises into `StorageError`: the library's own texts may quote headers."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            yield
    except ClientError as error:
        status, code = _verdict(error)
        raise _kind(status, code)(refusal(place, doing, status, code), status=status, code=code) from None
    except (NoCredentialsError, PartialCredentialsError):
        raise StorageError(
            f"{place} needs keys for {doing}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from None
    except SSLError:
        raise StorageError(
            f"{place} shows a certificate that is not trusted: check AWS_ENDPOINT_URL_S3, and name the file of its "
            "authority in AWS_CA_BUNDLE."
        ) from None
    except (BotoCoreError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise StorageError(
            f"{place} could not be reached for {doing} ({type(error).__name__}): "
            "check AWS_ENDPOINT_URL_S3, the network and the server."
        ) from None


def _kind(status: int, code: str) -> type[RefusedError]:
    if status == 404 and code != "NoSuchBucket":
        return NotThereError
    return TooLargeError if status == 413 or code == "EntityTooLarge" else RefusedError


def _verdict(error: ClientError) -> tuple[int, str]:
    response = error.response
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status, str(response.get("Error", {}).get("Code") or response.get("Code") or "")
