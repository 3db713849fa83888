"""Buckets: encrypted, private, by TLS alone, and emptied of what is left over."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra_cdk.constructs.removal import removal
from traksense.contracts.buckets import Bucket


def bucket_of(scope: Construct, name: str, contract: Bucket, *, keep: bool) -> s3.Bucket:
    """A bucket of the contracts."""
    return private_bucket(
        scope,
        name,
        keep=keep,
        expire_days=contract.expires_after_days,
        uploads_end_days=contract.uploads_end_after_days,
        versioned=contract.versioned,
    )


def private_bucket(
    scope: Construct,
    name: str,
    *,
    keep: bool,
    expire_days: int | None = None,
    uploads_end_days: int = 1,
    versioned: bool = False,
    takes_logs: bool = False,
) -> s3.Bucket:
    """A bucket that nobody has but who is granted it.

    ``keep``: it outlives its stack; else it is emptied and goes with it. ``expire_days``: nothing
    in it gets older. ``takes_logs``: CloudFront writes its logs there, and does that by an ACL.
    """
    return s3.Bucket(
        scope,
        name,
        encryption=s3.BucketEncryption.S3_MANAGED,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=(
            s3.ObjectOwnership.OBJECT_WRITER
            if takes_logs
            else s3.ObjectOwnership.BUCKET_OWNER_ENFORCED
        ),
        enforce_ssl=True,
        minimum_tls_version=1.2,
        versioned=versioned,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="left-over",
                abort_incomplete_multipart_upload_after=Duration.days(uploads_end_days),
                noncurrent_version_expiration=Duration.days(90) if versioned else None,
                expiration=None if expire_days is None else Duration.days(expire_days),
            )
        ],
        removal_policy=removal(keep=keep),
        # CloudFormation deletes no bucket that has something in it.
        auto_delete_objects=not keep,
    )
