"""What an S3 server's refusal means, in words for the person who has to mend it.

Status first, code second: servers agree on the status, while codes differ, are missing (every HEAD) or lie elsewhere.
"""

import re

MIB = 1024 * 1024

#: Codes that tell more than their status does.
_ADVICE_BY_CODE = {
    "NoSuchBucket": "the bucket does not exist: create it, or correct STORAGE_URL",
    "RequestTimeTooSkewed": "the clocks of this machine and the server differ: set them right",
    "AuthorizationHeaderMalformed": "the server is in another region: correct AWS_REGION",
    "PermanentRedirect": "the bucket is in another region: correct AWS_REGION or AWS_ENDPOINT_URL_S3",
    "EntityTooLarge": "the object is larger than the server takes: raise its limit",
    "EntityTooSmall": "the server wants larger parts than 5 MiB, which no S3 does: use another one",
    "InvalidKey": "the server does not take the characters of the object's name: look at the prefix in STORAGE_URL",
    "InvalidStorageClass": "the server has no such class: correct S3_STORAGE_CLASS",
    "InvalidObjectState": "objects of this class cannot be read at once: choose another S3_STORAGE_CLASS",
    "MissingContentLength": "the server takes no checksums: leave AWS_REQUEST_CHECKSUM_CALCULATION at when_required",
    "NotImplemented": "the server cannot do that: leave out S3_SERVER_SIDE_ENCRYPTION and S3_STORAGE_CLASS",
    "NoSuchUpload": "the upload is not open any more: somebody else ended it",
}

_ADVICE_BY_STATUS = {
    301: "the bucket is in another region: correct AWS_REGION or AWS_ENDPOINT_URL_S3",
    400: "the server does not understand the request: check AWS_REGION and AWS_ENDPOINT_URL_S3",
    401: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    403: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may read, write and delete in the bucket",
    404: "check the bucket in STORAGE_URL, and AWS_ENDPOINT_URL_S3",
    413: "the object is larger than the server takes: raise its limit",
    429: "the server asks for a pause: try again later",
    507: "the server has no space left: give it some",
}

#: What a code may look like; anything else is a server's prose and stays out of sentences.
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


def refusal(place: str, doing: str, status: int, code: str) -> str:
    """One sentence: where, at what, the answer, and what to mend."""
    answer = f"{status} {code}" if _CODE.fullmatch(code) else str(status)
    general = "the server is in trouble: try again later" if status >= 500 else "see the server's own log"
    advice = _ADVICE_BY_CODE.get(code) or _ADVICE_BY_STATUS.get(status) or general
    return f"{place} refused {doing} with {answer}: {advice}."


def refusal_of_size(place: str, status: int, code: str, taken: int) -> str:
    """The sentence when a server stops an upload in parts, of which it has taken so many bytes."""
    answer = f"{status} {code}" if _CODE.fullmatch(code) else str(status)
    return (
        f"{place} refuses objects larger than {taken // MIB} MiB ({answer}): "
        "raise the limit of the server, the project or the bucket."
    )
