"""What an S3 storage is told besides its bucket; everything may be left out."""

from typing import Literal, TypedDict


class S3Options(TypedDict, total=False):
    """Without keys, the usual places are looked at; a header that is not named is not sent."""

    endpoint_url: str | None
    #: The file of the authority of the server's certificate; without it, those that everybody trusts.
    ca_bundle: str | None
    region: str | None
    access_key: str | None
    secret_key: str | None
    #: When the library adds checksums: other servers than Amazon's refuse them, though only over TLS.
    checksums: Literal["when_required", "when_supported"]
    server_side_encryption: str | None
    kms_key_id: str | None
    storage_class: str | None
