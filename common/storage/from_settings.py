"""The storage that the settings mean."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from common.settings import StorageSettings
from common.storage.interface import Storage
from common.storage.open import open_storage


@asynccontextmanager
async def storage_from(settings: StorageSettings) -> AsyncIterator[Storage]:
    """Open and check it; raises `ValueError` or `StorageError` with one sentence that says what to mend."""
    async with storage_of(settings) as storage:
        for lacking in await storage.check():
            structlog.get_logger().warning("storage_lacks", what=lacking)
        yield storage


def storage_of(settings: StorageSettings) -> AbstractAsyncContextManager[Storage]:
    """The same, not tried: nothing is asked of it yet; raises `ValueError` as above."""
    access_key, secret_key = settings.aws_access_key_id, settings.aws_secret_access_key
    return open_storage(
        settings.storage_url,
        endpoint_url=settings.aws_endpoint_url_s3,
        ca_bundle=settings.aws_ca_bundle,
        region=settings.aws_region,
        access_key=access_key.get_secret_value() if access_key else None,
        secret_key=secret_key.get_secret_value() if secret_key else None,
        checksums=settings.aws_request_checksum_calculation,
        server_side_encryption=settings.s3_server_side_encryption,
        kms_key_id=settings.s3_sse_kms_key_id,
        storage_class=settings.s3_storage_class,
    )
