"""The only home of boto3: reads what runs, and keeps the store's objects in S3."""

from ecm.aws.objects import S3Objects
from ecm.aws.observe import observe
from ecm.aws.session import AwsError, client_config, open_session

__all__ = ["AwsError", "S3Objects", "client_config", "observe", "open_session"]
