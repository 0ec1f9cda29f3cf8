"""S3: a bucket, its versioning, encryption and public access block, and objects.

Test double, not the AWS provider.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tools.standin.kind import Autoname, Aws, Change, Kind, Made, Observed, absent, code, found, given, tag_list, tag_map
from tools.standin.schema import ASSET, FLAG, MAP, Inputs, block, blocks, text

_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_GONE = ("NoSuchBucket", "404", "NotFound")
# Hosted zone ids of S3 websites by region, from the AWS endpoints reference; other regions have ids of their own.
_ZONES = {"us-east-1": "Z3AQBSTGFYJSTF", "us-west-2": "Z3BJ6K6RIION7M", "eu-west-1": "Z1BKCTXD74EZPE"}


def _s3(aws: Aws) -> Any:
    return aws.client("s3")


def _bucket_seen(aws: Aws, name: str) -> Observed:
    return {
        "arn": f"arn:aws:s3:::{name}",
        "bucket": name,
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegion": aws.region,
        "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
        "hostedZoneId": _ZONES.get(aws.region, ""),
    }


def _bucket_create(aws: Aws, inputs: Inputs) -> Made:
    name = inputs["bucket"]
    # In us-east-1 S3 lets an owner create a bucket again; the provider looks first, and refuses.
    if found(lambda: _s3(aws).head_bucket(Bucket=name), *_GONE) is not None:
        raise ClientError({"Error": {"Code": "BucketAlreadyExists", "Message": f"bucket {name} exists"}}, "CreateBucket")
    where = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    _s3(aws).create_bucket(Bucket=name, **where)
    return Made(name, {**_bucket_seen(aws, name), "tags": {}})


def _bucket_finish(aws: Aws, made: Made, inputs: Inputs) -> Observed:
    _bucket_retag(aws, made.id, {}, inputs.get("tags") or {}, [])
    return {"tags": inputs.get("tags") or {}}


def _bucket_tags(aws: Aws, id_: str) -> dict[str, str]:
    answer = found(lambda: _s3(aws).get_bucket_tagging(Bucket=id_), "NoSuchTagSet")
    return tag_map(answer["TagSet"]) if answer else {}


def _bucket_retag(aws: Aws, id_: str, _state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    kept = {key: value for key, value in _bucket_tags(aws, id_).items() if key not in remove}
    tags = {**kept, **put}
    if tags:
        _s3(aws).put_bucket_tagging(Bucket=id_, Tagging={"TagSet": tag_list(tags)})
    elif kept or remove:
        _s3(aws).delete_bucket_tagging(Bucket=id_)


def _bucket_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    if found(lambda: _s3(aws).head_bucket(Bucket=id_), *_GONE) is None:
        return None
    return {**_bucket_seen(aws, id_), "tags": _bucket_tags(aws, id_)}


def _bucket_empty(aws: Aws, id_: str) -> None:
    for page in _s3(aws).get_paginator("list_object_versions").paginate(Bucket=id_):
        items = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        keys = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in items]
        if keys:
            _s3(aws).delete_objects(Bucket=id_, Delete={"Objects": keys, "Quiet": True})


def _bucket_delete(aws: Aws, id_: str, state: Observed) -> None:
    with absent(*_GONE):
        if state.get("forceDestroy"):
            _bucket_empty(aws, id_)
        _s3(aws).delete_bucket(Bucket=id_)


BUCKET = Kind(
    token="aws:s3/bucket:Bucket",
    inputs={"bucket": text(pattern=_BUCKET).fixed(), "forceDestroy": FLAG},
    computed=("arn", "bucketDomainName", "bucketRegion", "bucketRegionalDomainName", "hostedZoneId"),
    create=_bucket_create,
    finish=_bucket_finish,
    read=_bucket_read,
    update=lambda _aws, _id, _change: None,  # only forceDestroy, which lives in the state alone
    delete=_bucket_delete,
    retag=_bucket_retag,
    autoname=Autoname("bucket", longest=63, lower=True),
)


def _versioning_put(aws: Aws, inputs: Inputs) -> None:
    status = inputs["versioningConfiguration"]["status"]
    _s3(aws).put_bucket_versioning(Bucket=inputs["bucket"], VersioningConfiguration={"Status": status})


def _versioning_create(aws: Aws, inputs: Inputs) -> Made:
    _versioning_put(aws, inputs)
    return Made(inputs["bucket"], {})


def _versioning_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: _s3(aws).get_bucket_versioning(Bucket=id_), *_GONE)
    if answer is None or not answer.get("Status"):
        return None
    return {"bucket": id_, "versioningConfiguration": {"status": answer["Status"]}}


def _versioning_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent(*_GONE):
        _s3(aws).put_bucket_versioning(Bucket=id_, VersioningConfiguration={"Status": "Suspended"})


VERSIONING = Kind(
    token="aws:s3/bucketVersioning:BucketVersioning",
    inputs={
        "bucket": text(pattern=_BUCKET).need().fixed(),
        "versioningConfiguration": block(status=text("Enabled", "Suspended").need()).need(),
    },
    computed=(),
    create=_versioning_create,
    read=_versioning_read,
    update=lambda aws, _id, change: _versioning_put(aws, change.new),
    delete=_versioning_delete,
)


def _encryption_put(aws: Aws, inputs: Inputs) -> None:
    rules = []
    for rule in inputs["rules"]:
        by_default = rule.get("applyServerSideEncryptionByDefault") or {}
        default = given(by_default, SSEAlgorithm="sseAlgorithm", KMSMasterKeyID="kmsMasterKeyId")
        rules.append({"ApplyServerSideEncryptionByDefault": default, **given(rule, BucketKeyEnabled="bucketKeyEnabled")})
    _s3(aws).put_bucket_encryption(Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules})


def _encryption_create(aws: Aws, inputs: Inputs) -> Made:
    _encryption_put(aws, inputs)
    return Made(inputs["bucket"], {})


def _encryption_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    missing = "ServerSideEncryptionConfigurationNotFoundError"
    answer = found(lambda: _s3(aws).get_bucket_encryption(Bucket=id_), missing, *_GONE)
    if answer is None:
        return None
    rules = []
    for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
        default = rule.get("ApplyServerSideEncryptionByDefault") or {}
        named = given(default, sseAlgorithm="SSEAlgorithm", kmsMasterKeyId="KMSMasterKeyID")
        rules.append({"applyServerSideEncryptionByDefault": named, **given(rule, bucketKeyEnabled="BucketKeyEnabled")})
    return {"bucket": id_, "rules": rules}


def _encryption_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent(*_GONE):
        _s3(aws).delete_bucket_encryption(Bucket=id_)


ENCRYPTION = Kind(
    token="aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    inputs={
        "bucket": text(pattern=_BUCKET).need().fixed(),
        "rules": blocks(
            unordered=True,
            applyServerSideEncryptionByDefault=block(
                sseAlgorithm=text("AES256", "aws:kms", "aws:kms:dsse").need(), kmsMasterKeyId=text()
            ),
            bucketKeyEnabled=FLAG,
        ).need(),
    },
    computed=(),
    create=_encryption_create,
    read=_encryption_read,
    update=lambda aws, _id, change: _encryption_put(aws, change.new),
    delete=_encryption_delete,
)

_BLOCKS = {
    "blockPublicAcls": "BlockPublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "ignorePublicAcls": "IgnorePublicAcls",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}


def _access_put(aws: Aws, inputs: Inputs) -> None:
    configuration = {key: bool(inputs.get(name, False)) for name, key in _BLOCKS.items()}
    _s3(aws).put_public_access_block(Bucket=inputs["bucket"], PublicAccessBlockConfiguration=configuration)


def _access_create(aws: Aws, inputs: Inputs) -> Made:
    _access_put(aws, inputs)
    return Made(inputs["bucket"], {})


def _access_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    missing = "NoSuchPublicAccessBlockConfiguration"
    answer = found(lambda: _s3(aws).get_public_access_block(Bucket=id_), missing, *_GONE)
    if answer is None:
        return None
    configuration = answer["PublicAccessBlockConfiguration"]
    return {"bucket": id_, **{name: bool(configuration.get(key)) for name, key in _BLOCKS.items()}}


def _access_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent(*_GONE):
        _s3(aws).delete_public_access_block(Bucket=id_)


ACCESS_BLOCK = Kind(
    token="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    inputs={"bucket": text(pattern=_BUCKET).need().fixed(), **dict.fromkeys(_BLOCKS, FLAG)},
    computed=(),
    create=_access_create,
    read=_access_read,
    update=lambda aws, _id, change: _access_put(aws, change.new),
    delete=_access_delete,
)


def _body(inputs: Inputs) -> bytes:
    if inputs.get("content") is not None:
        return str(inputs["content"]).encode()
    if inputs.get("contentBase64") is not None:
        return base64.b64decode(inputs["contentBase64"])
    source = inputs["source"]
    return source["text"].encode() if source.get("text") is not None else Path(source["path"]).read_bytes()


def _object_put(aws: Aws, inputs: Inputs) -> Observed:
    answer = _s3(aws).put_object(
        Bucket=inputs["bucket"],
        Key=inputs["key"],
        Body=_body(inputs),
        **given(inputs, ContentType="contentType", CacheControl="cacheControl", Metadata="metadata"),
        **given(inputs, ServerSideEncryption="serverSideEncryption"),
    )
    if inputs.get("tags"):
        where = {"Bucket": inputs["bucket"], "Key": inputs["key"]}
        _s3(aws).put_object_tagging(**where, Tagging={"TagSet": tag_list(inputs["tags"])})
    return {
        "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}",
        "etag": answer["ETag"].strip('"'),
        "versionId": answer.get("VersionId", ""),
    }


def _object_create(aws: Aws, inputs: Inputs) -> Made:
    return Made(f"{inputs['bucket']}/{inputs['key']}", _object_put(aws, inputs))


def _object_read(aws: Aws, _id: str, state: Observed) -> Observed | None:
    where = {"Bucket": state["bucket"], "Key": state["key"]}
    head = found(lambda: _s3(aws).head_object(**where), "NoSuchKey", *_GONE)
    if head is None:
        return None
    seen: Observed = {
        "arn": f"arn:aws:s3:::{state['bucket']}/{state['key']}",
        "bucket": state["bucket"],
        "key": state["key"],
        "contentType": head.get("ContentType", ""),
        "etag": head["ETag"].strip('"'),
        "versionId": head.get("VersionId", ""),
        "tags": tag_map(_s3(aws).get_object_tagging(**where)["TagSet"]),
    }
    # The provider never reads a body back; it sees another one by its version and etag.
    return seen


def _object_update(aws: Aws, _id: str, change: Change) -> None:
    if change.names - {"forceDestroy"}:
        _object_put(aws, change.new)


def _object_delete(aws: Aws, _id: str, state: Observed) -> None:
    """Delete every version of the object, as the provider does."""
    with absent(*_GONE):
        pages = _s3(aws).get_paginator("list_object_versions").paginate(Bucket=state["bucket"], Prefix=state["key"])
        for page in pages:
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                if item["Key"] == state["key"]:
                    _s3(aws).delete_object(Bucket=state["bucket"], Key=item["Key"], VersionId=item["VersionId"])


def _object_retag(aws: Aws, _id: str, state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    where = {"Bucket": state["bucket"], "Key": state["key"]}
    try:
        now = tag_map(_s3(aws).get_object_tagging(**where)["TagSet"])
    except ClientError as error:
        if code(error) != "NoSuchTagSet":
            raise
        now = {}
    tags = {**{key: value for key, value in now.items() if key not in remove}, **put}
    _s3(aws).put_object_tagging(**where, Tagging={"TagSet": tag_list(tags)})


def _one_body(inputs: Inputs) -> str | None:
    count = sum(inputs.get(name) is not None for name in ("content", "contentBase64", "source"))
    if count != 1:
        return f"exactly one of content, contentBase64, source is needed, {count} are set"
    # S3 takes ten tags on an object where other resources take fifty.
    tags = inputs.get("tags") or {}
    return f"tags: {len(tags)} are more than the ten that S3 keeps on an object" if len(tags) > 10 else None


OBJECT = Kind(
    token="aws:s3/bucketObjectv2:BucketObjectv2",
    inputs={
        "bucket": text(pattern=_BUCKET).need().fixed(),
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

KINDS = (BUCKET, VERSIONING, ENCRYPTION, ACCESS_BLOCK, OBJECT)
