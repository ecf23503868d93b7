"""One object's multipart upload over S3, as `put_in_parts` asks for it."""

import contextlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from common.storage.s3_refusals import refusal_of_size
from common.storage.s3_requests import NotThereError, TooLargeError, s3_request

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

#: The least that S3 takes as a middle part, hence the least memory; 10 000 parts of it are 48 GiB, days of audio.
PART_BYTES = 5 * 1024 * 1024


class S3Upload:
    """The four requests; `headers` are what the object is to have, by the library's names."""

    def __init__(
        self, client: "S3Client", *, place: str, bucket: str, key: str, headers: Mapping[str, Any] | None = None
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._place = place
        self._headers = dict(headers or {})

    async def begin(self) -> str:
        async with s3_request(self._place, "the start of an upload"):
            begun = await self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key, **self._headers)
        return begun["UploadId"]

    async def send(self, upload_id: str, number: int, part: io.BytesIO) -> "CompletedPartTypeDef":
        try:
            async with s3_request(self._place, "a part of an upload"):
                answer = await self._client.upload_part(
                    Bucket=self._bucket, Key=self._key, UploadId=upload_id, PartNumber=number, Body=part
                )
        except TooLargeError as refused:
            taken = (number - 1) * PART_BYTES
            if not taken:  # a proxy, as likely as not; the general sentence says all there is to say.
                raise
            status, code = refused.status, refused.code
            raise TooLargeError(refusal_of_size(self._place, status, code, taken), status=status, code=code) from None
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
