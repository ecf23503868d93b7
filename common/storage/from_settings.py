"""The storage that the settings mean, tried before it is used."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from common.settings import StorageSettings
from common.storage.interface import Storage
from common.storage.open import open_storage


@asynccontextmanager
async def storage_from(settings: StorageSettings) -> AsyncIterator[Storage]:
    """Open and check it; raises `ValueError` or `StorageError` with one sentence that says what to mend."""
    access_key, secret_key = settings.aws_access_key_id, settings.aws_secret_access_key
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(
            open_storage(
                settings.storage_url,
                endpoint_url=settings.aws_endpoint_url_s3,
                region=settings.aws_region,
                access_key=access_key.get_secret_value() if access_key else None,
                secret_key=secret_key.get_secret_value() if secret_key else None,
            )
        )
        await storage.check()
        yield storage
