"""An S3 server with the quirks of Supabase Storage, which itself cannot be had here: `python supabase_like.py PORT`.

A stand-in, not the real one; each quirk was measured on the real one or read in its source:

- keys of letters, digits and ``_/!.*'() &$@=;:+,?-`` alone: anything else is 400 InvalidKey;
- conditional headers, Content-MD5, checksums, tags, encryption and storage class are ignored without a word;
- an error's code lies where botocore does not look for it: its `Error.Code` is empty;
- no `DeleteObjects`: 400;
- middle parts below 5 MiB are refused, as hosted projects do, which keep their objects on Amazon's S3;
- the ETag of an upload in parts has no `-N`;
- objects above 50 MB (small plans) are 413 EntityTooLarge, as soon as so many bytes have come.

Objects lie in memory. Of a signature only the access key is looked at: S3_ACCESS_KEY. Two more quirks are those of
other servers and of proxies: with S3_LISTS_UPLOADS=0 there is no list of open uploads, and S3_LARGEST_BODY is what one
request may bring.
"""

import hashlib
import os
import re
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from xml.sax.saxutils import escape

from aiohttp import web

MIB = 1024 * 1024

#: What small plans take as one object.
LARGEST_OBJECT = 50 * MIB

#: What S3 takes as a part that is not the last.
SMALLEST_PART = 5 * MIB

#: Objects in one page of a list, as S3 gives them.
LISTED_AT_ONCE = 1000

KEY = re.compile(r"[A-Za-z0-9_/!.*'() &$@=;:+,?-]*")


class RefusedError(Exception):
    """An error as S3 tells it, or nearly."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Kept:
    """An object."""

    body: bytes
    content_type: str

    @property
    def headers(self) -> dict[str, str]:
        return {"ETag": f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'}


@dataclass
class Upload:
    """An open upload in parts."""

    bucket: str
    key: str
    content_type: str
    parts: dict[int, bytes] = field(default_factory=dict)


class SupabaseLike:
    """All that it keeps, and what it answers."""

    namespace: ClassVar[str] = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

    def __init__(self, access_key: str, *, lists_uploads: bool, largest_body: int) -> None:
        self._access_key = access_key
        self._lists_uploads = lists_uploads
        self._largest_body = largest_body
        self._buckets: dict[str, dict[str, Kept]] = {}
        self._uploads: dict[str, Upload] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request; what it refuses is told as XML, without a body after HEAD."""
        try:
            return await self._answer(request)
        except RefusedError as refused:
            # A root element that is not called Error: the parser then finds the code beside Error, not in it.
            told = f"<Refused><Code>{refused.code}</Code><Message>refused</Message></Refused>"
            text = "" if request.method == "HEAD" else told
            return web.Response(status=refused.status, text=text, content_type="application/xml")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if f"Credential={self._access_key}/" not in request.headers.get("Authorization", ""):
            raise RefusedError(403, "AccessDenied")
        if (request.content_length or 0) > self._largest_body:
            await request.read()
            raise RefusedError(413, "")
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if not key:
            return await self._answer_of_bucket(request, bucket)
        if not KEY.fullmatch(key):
            raise RefusedError(400, "InvalidKey")
        self._bucket(bucket)
        if "uploads" in request.query or "uploadId" in request.query:
            return await self._answer_of_upload(request, bucket, key)
        return await self._answer_of_object(request, bucket, key)

    async def _answer_of_bucket(self, request: web.Request, bucket: str) -> web.Response:
        match request.method, "uploads" in request.query:
            case "PUT", _:
                self._buckets.setdefault(bucket, {})
                return web.Response()
            case "GET", True if not self._lists_uploads:
                raise RefusedError(501, "NotImplemented")
            case "GET", True:
                return self._list_uploads(bucket, request.query.get("prefix", ""))
            case "GET", _:
                return self._list_objects(bucket, request.query)
            case _:
                raise RefusedError(400, "InvalidRequest")  # DeleteObjects among them.

    def _list_objects(self, bucket: str, query: Mapping[str, str]) -> web.Response:
        """A page of all objects whose keys begin alike, in order."""
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        keys = sorted(key for key in self._bucket(bucket) if key.startswith(prefix) and key > after)
        page, more = keys[:LISTED_AT_ONCE], len(keys) > LISTED_AT_ONCE
        contents = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return self._xml(
            f"<ListBucketResult {self.namespace}><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{contents}</ListBucketResult>"
        )

    def _list_uploads(self, bucket: str, prefix: str) -> web.Response:
        self._bucket(bucket)
        uploads = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload_id}</UploadId></Upload>"
            for upload_id, upload in sorted(self._uploads.items())
            if upload.bucket == bucket and upload.key.startswith(prefix)
        )
        return self._xml(
            f"<ListMultipartUploadsResult {self.namespace}>"
            f"<IsTruncated>false</IsTruncated>{uploads}</ListMultipartUploadsResult>"
        )

    async def _answer_of_object(self, request: web.Request, bucket: str, key: str) -> web.Response:
        objects = self._bucket(bucket)
        if request.method == "PUT":
            body = await request.read()
            if len(body) > LARGEST_OBJECT:
                raise RefusedError(413, "EntityTooLarge")
            kept = objects[key] = Kept(body, request.content_type)
            return web.Response(headers=kept.headers)
        if request.method == "DELETE":
            objects.pop(key, None)
            return web.Response(status=204)
        if key not in objects:
            raise RefusedError(404, "NoSuchKey")
        kept = objects[key]
        if request.method == "HEAD":
            headers = {**kept.headers, "Content-Length": str(len(kept.body))}
            return web.Response(content_type=kept.content_type, headers=headers)
        return web.Response(body=kept.body, content_type=kept.content_type, headers=kept.headers)

    async def _answer_of_upload(self, request: web.Request, bucket: str, key: str) -> web.Response:
        upload_id = request.query.get("uploadId") or uuid.uuid4().hex
        if "uploads" in request.query:
            self._uploads[upload_id] = Upload(bucket, key, request.content_type)
            return self._xml(
                f"<InitiateMultipartUploadResult {self.namespace}><UploadId>{upload_id}</UploadId>"
                "</InitiateMultipartUploadResult>"
            )
        upload = self._uploads.get(upload_id)
        if upload is None:
            raise RefusedError(404, "NoSuchUpload")
        match request.method:
            case "PUT":
                return await self._take_part(upload, int(request.query["partNumber"]), request)
            case "POST":
                return self._complete(upload_id, upload)
            case _:
                del self._uploads[upload_id]
                return web.Response(status=204)

    async def _take_part(self, upload: Upload, number: int, request: web.Request) -> web.Response:
        body = await request.read()
        if len(body) + sum(len(part) for other, part in upload.parts.items() if other != number) > LARGEST_OBJECT:
            raise RefusedError(413, "EntityTooLarge")
        upload.parts[number] = body
        return web.Response(headers=Kept(body, "").headers)

    def _complete(self, upload_id: str, upload: Upload) -> web.Response:
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        if any(len(part) < SMALLEST_PART for part in parts[:-1]):
            raise RefusedError(400, "EntityTooSmall")
        kept = self._buckets[upload.bucket][upload.key] = Kept(b"".join(parts), upload.content_type)
        del self._uploads[upload_id]
        tag = kept.headers["ETag"]
        return self._xml(
            f"<CompleteMultipartUploadResult {self.namespace}><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        )

    def _bucket(self, name: str) -> dict[str, Kept]:
        if name not in self._buckets:
            raise RefusedError(404, "NoSuchBucket")
        return self._buckets[name]

    def _xml(self, text: str) -> web.Response:
        return web.Response(text=text, content_type="application/xml")


def application(settings: Mapping[str, str]) -> web.Application:
    """The server, to be run."""
    app = web.Application(client_max_size=2 * LARGEST_OBJECT)
    server = SupabaseLike(
        settings["S3_ACCESS_KEY"],
        lists_uploads=settings["S3_LISTS_UPLOADS"] == "1",
        largest_body=int(settings["S3_LARGEST_BODY"]),
    )
    app.router.add_route("*", "/{path:.*}", server.answer)
    return app


if __name__ == "__main__":
    web.run_app(application(os.environ), host="127.0.0.1", port=int(sys.argv[1]), print=None)
