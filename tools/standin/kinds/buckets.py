"""S3: a bucket, its versioning, encryption and public access block.

Test double, not the AWS provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import ClientError

from tools.standin.kind import (
    Autoname,
    Aws,
    Client,
    Kind,
    Made,
    Observed,
    absent,
    found,
    given,
    tag_list,
    tag_map,
)
from tools.standin.schema import FLAG, Inputs, block, blocks, text

BUCKET_NAME = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
GONE = ("NoSuchBucket", "404", "NotFound")
# Hosted zone ids of S3 websites by region, from the AWS endpoints reference; other regions have ids of their own.
_ZONES = {"us-east-1": "Z3AQBSTGFYJSTF", "us-west-2": "Z3BJ6K6RIION7M", "eu-west-1": "Z1BKCTXD74EZPE"}


def s3(aws: Aws) -> Client:
    """Return the S3 client."""
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
    if found(lambda: s3(aws).head_bucket(Bucket=name), *GONE) is not None:
        raise ClientError(
            {"Error": {"Code": "BucketAlreadyExists", "Message": f"bucket {name} exists"}}, "CreateBucket"
        )
    where = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    s3(aws).create_bucket(Bucket=name, **where)
    return Made(name, {**_bucket_seen(aws, name), "tags": {}})


def _bucket_finish(aws: Aws, made: Made, inputs: Inputs) -> Observed:
    _bucket_retag(aws, made.id, {}, inputs.get("tags") or {}, [])
    return {"tags": inputs.get("tags") or {}}


def _bucket_tags(aws: Aws, id_: str) -> dict[str, str]:
    answer = found(lambda: s3(aws).get_bucket_tagging(Bucket=id_), "NoSuchTagSet")
    return tag_map(answer["TagSet"]) if answer else {}


def _bucket_retag(aws: Aws, id_: str, _state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    kept = {key: value for key, value in _bucket_tags(aws, id_).items() if key not in remove}
    tags = {**kept, **put}
    if tags:
        s3(aws).put_bucket_tagging(Bucket=id_, Tagging={"TagSet": tag_list(tags)})
    elif kept or remove:
        s3(aws).delete_bucket_tagging(Bucket=id_)


def _bucket_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    if found(lambda: s3(aws).head_bucket(Bucket=id_), *GONE) is None:
        return None
    return {**_bucket_seen(aws, id_), "tags": _bucket_tags(aws, id_)}


def _bucket_empty(aws: Aws, id_: str) -> None:
    for page in s3(aws).get_paginator("list_object_versions").paginate(Bucket=id_):
        items = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        keys = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in items]
        if keys:
            s3(aws).delete_objects(Bucket=id_, Delete={"Objects": keys, "Quiet": True})


def _bucket_delete(aws: Aws, id_: str, state: Observed) -> None:
    with absent(*GONE):
        if state.get("forceDestroy"):
            _bucket_empty(aws, id_)
        s3(aws).delete_bucket(Bucket=id_)


BUCKET = Kind(
    type_name="aws:s3/bucket:Bucket",
    inputs={"bucket": text(pattern=BUCKET_NAME).fixed(), "forceDestroy": FLAG},
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
    s3(aws).put_bucket_versioning(Bucket=inputs["bucket"], VersioningConfiguration={"Status": status})


def _versioning_create(aws: Aws, inputs: Inputs) -> Made:
    _versioning_put(aws, inputs)
    return Made(inputs["bucket"], {})


def _versioning_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    answer = found(lambda: s3(aws).get_bucket_versioning(Bucket=id_), *GONE)
    if answer is None or not answer.get("Status"):
        return None
    return {"bucket": id_, "versioningConfiguration": {"status": answer["Status"]}}


def _versioning_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent(*GONE):
        s3(aws).put_bucket_versioning(Bucket=id_, VersioningConfiguration={"Status": "Suspended"})


VERSIONING = Kind(
    type_name="aws:s3/bucketVersioning:BucketVersioning",
    inputs={
        "bucket": text(pattern=BUCKET_NAME).need().fixed(),
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
        rules.append(
            {"ApplyServerSideEncryptionByDefault": default, **given(rule, BucketKeyEnabled="bucketKeyEnabled")}
        )
    s3(aws).put_bucket_encryption(Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules})


def _encryption_create(aws: Aws, inputs: Inputs) -> Made:
    _encryption_put(aws, inputs)
    return Made(inputs["bucket"], {})


def _encryption_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    missing = "ServerSideEncryptionConfigurationNotFoundError"
    answer = found(lambda: s3(aws).get_bucket_encryption(Bucket=id_), missing, *GONE)
    if answer is None:
        return None
    rules = []
    for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
        default = rule.get("ApplyServerSideEncryptionByDefault") or {}
        named = given(default, sseAlgorithm="SSEAlgorithm", kmsMasterKeyId="KMSMasterKeyID")
        rules.append({"applyServerSideEncryptionByDefault": named, **given(rule, bucketKeyEnabled="BucketKeyEnabled")})
    return {"bucket": id_, "rules": rules}


def _encryption_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent(*GONE):
        s3(aws).delete_bucket_encryption(Bucket=id_)


ENCRYPTION = Kind(
    type_name="aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    inputs={
        "bucket": text(pattern=BUCKET_NAME).need().fixed(),
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
    s3(aws).put_public_access_block(Bucket=inputs["bucket"], PublicAccessBlockConfiguration=configuration)


def _access_create(aws: Aws, inputs: Inputs) -> Made:
    _access_put(aws, inputs)
    return Made(inputs["bucket"], {})


def _access_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    missing = "NoSuchPublicAccessBlockConfiguration"
    answer = found(lambda: s3(aws).get_public_access_block(Bucket=id_), missing, *GONE)
    if answer is None:
        return None
    configuration = answer["PublicAccessBlockConfiguration"]
    return {"bucket": id_, **{name: bool(configuration.get(key)) for name, key in _BLOCKS.items()}}


def _access_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent(*GONE):
        s3(aws).delete_public_access_block(Bucket=id_)


ACCESS_BLOCK = Kind(
    type_name="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    inputs={"bucket": text(pattern=BUCKET_NAME).need().fixed(), **dict.fromkeys(_BLOCKS, FLAG)},
    computed=(),
    create=_access_create,
    read=_access_read,
    update=lambda aws, _id, change: _access_put(aws, change.new),
    delete=_access_delete,
)


KINDS = (BUCKET, VERSIONING, ENCRYPTION, ACCESS_BLOCK)
