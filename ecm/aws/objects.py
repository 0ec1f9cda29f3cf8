"""Objects in an S3 bucket: the store's seam on conditional writes (If-None-Match, If-Match)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ecm.aws.session import translated

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_UNMET = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})
"""S3's answers when a condition does not hold: another version, a write at the same time, or an object that is gone."""


class S3Objects:
    """Objects below `prefix` of `bucket`; an object's version is its ETag.

    The bucket's own default encryption holds; every write is checked by S3 against its SHA-256.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def get(self, key: str) -> tuple[bytes, str] | None:
        """Return the bytes of `key` and their ETag, or None when there is no such object."""
        with translated(f"read s3://{self._bucket}/{self._prefix}{key}"):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if _code(error) == "NoSuchKey":
                    return None
                raise
            return answer["Body"].read(), answer["ETag"]

    def create(self, key: str, data: bytes) -> bool:
        """Write a new object; False when it exists."""
        return self._put(key, data, {"IfNoneMatch": "*"})

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Replace an object that still has the ETag `version`; False otherwise."""
        return self._put(key, data, {"IfMatch": version})

    def delete(self, key: str, version: str) -> bool:
        """Remove an object that still has the ETag `version`; False otherwise."""
        with translated(f"remove s3://{self._bucket}/{self._prefix}{key}"):
            try:
                self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key, IfMatch=version)
            except ClientError as error:
                if _code(error) in _UNMET:
                    return False
                raise
            return True

    def keys(self, prefix: str) -> tuple[str, ...]:
        """Return the keys that start with `prefix`, sorted."""
        paginator = self._client.get_paginator("list_objects_v2")
        with translated(f"list s3://{self._bucket}/{self._prefix}{prefix}"):
            pages = paginator.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            found = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return tuple(sorted(key.removeprefix(self._prefix) for key in found))

    def _put(self, key: str, data: bytes, condition: dict[str, Any]) -> bool:
        with translated(f"write s3://{self._bucket}/{self._prefix}{key}"):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Body=data,
                    ContentType="application/json" if key.endswith(".json") else "application/octet-stream",
                    ChecksumAlgorithm="SHA256",
                    **condition,
                )
            except ClientError as error:
                if _code(error) in _UNMET:
                    return False
                raise
            return True


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
