"""What becomes of a resource that its stack no longer has."""

from __future__ import annotations

from aws_cdk import RemovalPolicy


def removal(*, keep: bool) -> RemovalPolicy:
    """``keep``: it outlives its stack, unless it was made by the very deployment that failed.

    One that a failed first deployment left behind would bar the next one, which makes it under the
    same name (AWS CloudFormation user guide, "DeletionPolicy attribute").
    """
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keep else RemovalPolicy.DESTROY
