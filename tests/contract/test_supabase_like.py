"""The stand-in for Supabase Storage has the quirks that it is there for; what we make of them is in the other tests."""

from collections.abc import AsyncIterator
from typing import Any

import aioboto3
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from private_servers.s3 import SupabaseLikeS3
from private_servers.supabase_like import LARGEST_OBJECT
from tests.contract.storage_servers import BUCKET, PART


@pytest.fixture
async def client(supabase_like: SupabaseLikeS3, own_clients: None) -> AsyncIterator[Any]:  # noqa: ARG001 - watched
    """As plain as any other tool's."""
    session = aioboto3.Session(supabase_like.access_key, supabase_like.secret_key, region_name=supabase_like.region)
    config = AioConfig(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    async with session.client("s3", endpoint_url=supabase_like.endpoint_url, config=config) as one:
        yield one


async def test_conditions_and_checksums_are_ignored(client: Any) -> None:
    await client.put_object(Bucket=BUCKET, Key="same", Body=b"first")

    await client.put_object(
        Bucket=BUCKET, Key="same", Body=b"other", IfNoneMatch="*", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA=="
    )

    assert await (await client.get_object(Bucket=BUCKET, Key="same"))["Body"].read() == b"other"


@pytest.mark.parametrize("key", ["日本語", "a~b", "a#b", "a%b", "a[b]", "a{b}", "a|b"])
async def test_keys_of_other_characters_are_refused_and_the_code_lies_at_the_top(client: Any, key: str) -> None:
    with pytest.raises(ClientError) as refused:
        await client.put_object(Bucket=BUCKET, Key=key, Body=b"audio")

    response: Any = refused.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert (response["Error"]["Code"], response["Code"]) == ("", "InvalidKey")


async def test_there_is_no_delete_of_several_objects(client: Any) -> None:
    with pytest.raises(ClientError) as refused:
        await client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(("first_part", "code"), [(PART - 1, "EntityTooSmall"), (PART, None)])
async def test_small_middle_parts_are_refused_and_the_tag_of_an_upload_has_no_count(
    client: Any, first_part: int, code: str | None
) -> None:
    where = {"Bucket": BUCKET, "Key": "in-parts"}
    begun = await client.create_multipart_upload(**where)
    sent = [
        await client.upload_part(**where, UploadId=begun["UploadId"], PartNumber=number, Body=bytes(size))
        for number, size in ((1, first_part), (2, 1))
    ]
    parts = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(sent, 1)]
    ending = client.complete_multipart_upload(**where, UploadId=begun["UploadId"], MultipartUpload={"Parts": parts})

    if code:
        with pytest.raises(ClientError) as refused:
            await ending
        assert refused.value.response["Code"] == code  # type: ignore[typeddict-item]
        await client.abort_multipart_upload(**where, UploadId=begun["UploadId"])  # other tests list what is open here.
    else:
        await ending
        assert "-" not in (await client.head_object(**where))["ETag"]


async def test_objects_above_the_limit_of_small_plans_are_refused(client: Any) -> None:
    with pytest.raises(ClientError) as refused:
        await client.put_object(Bucket=BUCKET, Key="large", Body=bytes(LARGEST_OBJECT + 1))

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
