"""The provider's configuration, and which version of the plugin the stand-in is.

Test double, not the AWS provider: it refuses to talk to anything but an AWS on loopback.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from tools.standin.schema import Inputs
from tools.standin.wire import Value

# Provider configuration that the real plugin has and that means something to an AWS on loopback.
CONFIG = frozenset(
    {
        "region",
        "accessKey",
        "secretKey",
        "token",
        "defaultTags",
        "endpoints",
        "maxRetries",
        "s3UsePathStyle",
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
        "allowedAccountIds",
        "version",
    }
)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def pulumi_aws_version() -> str:
    """Return the version that the installed `pulumi_aws` asks its plugin to have."""
    spec = find_spec("pulumi_aws")
    if spec is None or spec.origin is None:
        raise RuntimeError("pulumi_aws is not installed; install the package's dependencies")
    plugin = json.loads((Path(spec.origin).parent / "pulumi-plugin.json").read_text())
    return str(plugin["version"])


def endpoint(config: Inputs) -> str:
    """Return the one URL at which every service is, from the configuration or the environment."""
    endpoints = config.get("endpoints") or []
    urls = {str(url) for entry in endpoints if isinstance(entry, dict) for url in entry.values()}
    return urls.pop() if len(urls) == 1 else os.environ.get("AWS_ENDPOINT_URL", "")


def config_failures(config: Inputs) -> list[tuple[str, str]]:
    """Return (property, reason) for what is wrong with the provider's configuration."""
    failed = [(n, f"unknown provider property {n!r}") for n in config if n not in CONFIG and not n.startswith("__")]
    if not (config.get("region") or os.environ.get("AWS_REGION")):
        failed.append(("region", "region is not set: set aws:region or AWS_REGION"))
    if not (config.get("accessKey") or os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_PROFILE")):
        failed.append(("accessKey", "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"))
    url = endpoint(config)
    if urlsplit(url).hostname not in _LOOPBACK:
        failed.append(("endpoints", f"the stand-in serves an AWS on loopback only; AWS_ENDPOINT_URL is {url!r}"))
    return failed


def parsed(args: Inputs) -> Inputs:
    """Configuration arrives with nested values as JSON text."""

    def value(item: Value) -> Value:
        try:
            return json.loads(item) if isinstance(item, str) and item[:1] in "[{" and item else item
        except ValueError:
            return item

    return {name: value(item) for name, item in args.items()}
