"""The only home of boto3: reads what runs, and keeps the store's objects in S3."""

from ecm.aws.existing import read_existing
from ecm.aws.leftovers import Creation, remove_leftovers
from ecm.aws.node import NodeBucket, NodeMetrics, NodeSecrets, instance_tags, node_clients, node_metrics
from ecm.aws.objects import S3Objects
from ecm.aws.observe import observe
from ecm.aws.session import AwsError, client_config, open_session

__all__ = [
    "AwsError",
    "Creation",
    "NodeBucket",
    "NodeMetrics",
    "NodeSecrets",
    "S3Objects",
    "client_config",
    "instance_tags",
    "node_clients",
    "node_metrics",
    "observe",
    "open_session",
    "read_existing",
    "remove_leftovers",
]
