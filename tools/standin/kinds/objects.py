"""S3 objects.

Test double, not the AWS provider.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from botocore.exceptions import ClientError

from tools.standin.kind import Aws, Change, Kind, Made, Observed, absent, code, found, given, tag_list, tag_map
from tools.standin.kinds.buckets import BUCKET_NAME, GONE, s3
from tools.standin.schema import ASSET, FLAG, MAP, Inputs, text


def _body(inputs: Inputs) -> bytes:
    if inputs.get("content") is not None:
        return str(inputs["content"]).encode()
    if inputs.get("contentBase64") is not None:
        return base64.b64decode(inputs["contentBase64"])
    source = inputs["source"]
    return source["text"].encode() if source.get("text") is not None else Path(source["path"]).read_bytes()


def _object_put(aws: Aws, inputs: Inputs) -> Observed:
    answer = s3(aws).put_object(
        Bucket=inputs["bucket"],
        Key=inputs["key"],
        Body=_body(inputs),
        **given(inputs, ContentType="contentType", CacheControl="cacheControl", Metadata="metadata"),
        **given(inputs, ServerSideEncryption="serverSideEncryption"),
    )
    if inputs.get("tags"):
        where = {"Bucket": inputs["bucket"], "Key": inputs["key"]}
        s3(aws).put_object_tagging(**where, Tagging={"TagSet": tag_list(inputs["tags"])})
    return {
        "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}",
        "etag": answer["ETag"].strip('"'),
        "versionId": answer.get("VersionId", ""),
    }


def _object_create(aws: Aws, inputs: Inputs) -> Made:
    return Made(f"{inputs['bucket']}/{inputs['key']}", _object_put(aws, inputs))


def _object_read(aws: Aws, _id: str, state: Observed) -> Observed | None:
    where = {"Bucket": state["bucket"], "Key": state["key"]}
    head = found(lambda: s3(aws).head_object(**where), "NoSuchKey", *GONE)
    if head is None:
        return None
    seen: Observed = {
        "arn": f"arn:aws:s3:::{state['bucket']}/{state['key']}",
        "bucket": state["bucket"],
        "key": state["key"],
        "contentType": head.get("ContentType", ""),
        "etag": head["ETag"].strip('"'),
        "versionId": head.get("VersionId", ""),
        "tags": tag_map(s3(aws).get_object_tagging(**where)["TagSet"]),
    }
    # The provider never reads a body back; it sees another one by its version and etag.
    return seen


def _object_update(aws: Aws, _id: str, change: Change) -> None:
    if change.names - {"forceDestroy"}:
        _object_put(aws, change.new)


def _object_delete(aws: Aws, _id: str, state: Observed) -> None:
    """Delete every version of the object, as the provider does."""
    with absent(*GONE):
        pages = s3(aws).get_paginator("list_object_versions").paginate(Bucket=state["bucket"], Prefix=state["key"])
        for page in pages:
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                if item["Key"] == state["key"]:
                    s3(aws).delete_object(Bucket=state["bucket"], Key=item["Key"], VersionId=item["VersionId"])


def _object_retag(aws: Aws, _id: str, state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    where = {"Bucket": state["bucket"], "Key": state["key"]}
    try:
        now = tag_map(s3(aws).get_object_tagging(**where)["TagSet"])
    except ClientError as error:
        if code(error) != "NoSuchTagSet":
            raise
        now = {}
    tags = {**{key: value for key, value in now.items() if key not in remove}, **put}
    s3(aws).put_object_tagging(**where, Tagging={"TagSet": tag_list(tags)})


def _one_body(inputs: Inputs) -> str | None:
    count = sum(inputs.get(name) is not None for name in ("content", "contentBase64", "source"))
    if count != 1:
        return f"exactly one of content, contentBase64, source is needed, {count} are set"
    # S3 takes ten tags on an object where other resources take fifty.
    tags = inputs.get("tags") or {}
    return f"tags: {len(tags)} are more than the ten that S3 keeps on an object" if len(tags) > 10 else None


OBJECT = Kind(
    type_name="aws:s3/bucketObjectv2:BucketObjectv2",
    inputs={
        "bucket": text(pattern=BUCKET_NAME).need().fixed(),
        "key": text(pattern=r".{1,1024}").need().fixed(),
        "content": text(),
        "contentBase64": text(),
        "source": ASSET,
        "contentType": text(),
        "cacheControl": text(),
        "metadata": MAP,
        "serverSideEncryption": text("AES256", "aws:kms"),
        "forceDestroy": FLAG,
    },
    computed=("arn", "contentType", "etag", "versionId"),
    create=_object_create,
    read=_object_read,
    update=_object_update,
    delete=_object_delete,
    retag=_object_retag,
    rules=(_one_body,),
    unknown_on_change=dict.fromkeys(("etag", "versionId"), ("content", "contentBase64", "source", "contentType")),
)

KINDS = (OBJECT,)
