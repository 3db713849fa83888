"""What functions may ask of AWS: actions on named resources, from which their roles are made.

A function's connection to the database, its log and its place in the network are not among them:
every function of that kind has these. Calls that AWS takes from everybody (a log-in at the user
pool) need no permission.

Source of which action goes with which kind of resource: AWS Service Authorization Reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Resource = Literal[
    "certificates",
    "device_topics",
    "export_executions",
    "export_state_machine",
    "exports_bucket",
    "exports_files",
    "login_secrets",
    "mail",
    "queues",
    "things",
    "tombstones_bucket",
    "tombstones_files",
    "user_pool",
    "anything",
]
"""``anything`` is for actions that AWS ties to no resource, each with a reason."""


@dataclass(frozen=True, slots=True)
class Use:
    """Some actions on some resources."""

    resources: tuple[Resource, ...]
    actions: tuple[str, ...]
    """As IAM names them: ``service:Action``, never with a wildcard."""
    because: str = ""
    """Why the resource is ``anything``."""


LET_DEVICES_IN: Final = (
    Use(("things",), ("iot:CreateThing", "iot:UpdateThing")),
    Use(
        ("anything",),
        ("iot:CreateCertificateFromCsr", "iot:DescribeEndpoint"),
        because="a certificate has no name before it is made, and an account has one endpoint",
    ),
    Use(("certificates",), ("iot:AttachPolicy",)),
    Use(("certificates", "things"), ("iot:AttachThingPrincipal",)),
)
"""A thing, and certificates that get in as it. Policies and the thing type are the deployment's."""

TURN_DEVICES_OFF: Final = (
    Use(("certificates",), ("iot:UpdateCertificate", "iot:DetachPolicy")),
    Use(("certificates", "things"), ("iot:DetachThingPrincipal",)),
    Use(("things",), ("iot:DeleteThing",)),
)
"""Certificates that let nobody in any more, and things that there are no more."""

PUBLISH: Final = Use(("device_topics",), ("iot:Publish",))
CLEAR_RETAINED: Final = Use(("device_topics",), ("iot:Publish", "iot:RetainPublish"))

KEEP_PEOPLE: Final = Use(
    ("user_pool",),
    (
        "cognito-idp:AdminAddUserToGroup",
        "cognito-idp:AdminCreateUser",
        "cognito-idp:AdminDeleteUser",
        "cognito-idp:AdminDisableUser",
        "cognito-idp:AdminEnableUser",
        "cognito-idp:AdminGetUser",
        "cognito-idp:AdminListGroupsForUser",
        "cognito-idp:AdminRemoveUserFromGroup",
        "cognito-idp:AdminUpdateUserAttributes",
        "cognito-idp:AdminUserGlobalSignOut",
    ),
)
REMOVE_PEOPLE: Final = Use(
    ("user_pool",),
    (
        "cognito-idp:AdminDeleteUser",
        "cognito-idp:AdminGetUser",
        "cognito-idp:AdminUserGlobalSignOut",
    ),
)

OPEN_EXPORTS: Final = (
    Use(("exports_files",), ("s3:GetObject",)),
    # Without it S3 answers 403 for a file that is not there, and nobody could tell.
    Use(("exports_bucket",), ("s3:ListBucket",)),
)
STAGE_EXPORTS: Final = Use(
    ("exports_files",), ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject")
)
JOIN_EXPORTS: Final = (
    *OPEN_EXPORTS,
    STAGE_EXPORTS,
    Use(("exports_bucket",), ("s3:ListBucketMultipartUploads",)),
)
REMOVE_EXPORTS: Final = (
    Use(("exports_files",), ("s3:AbortMultipartUpload", "s3:DeleteObject")),
    Use(("exports_bucket",), ("s3:ListBucket", "s3:ListBucketMultipartUploads")),
)
ERASE_EXPORTS: Final = (
    *REMOVE_EXPORTS,
    Use(("exports_files",), ("s3:DeleteObjectVersion", "s3:GetObject")),
    Use(("exports_bucket",), ("s3:ListBucketVersions",)),
)
KEEP_TOMBSTONES: Final = (
    Use(("tombstones_files",), ("s3:GetObject", "s3:PutObject")),
    Use(("tombstones_bucket",), ("s3:ListBucket",)),
)

START_EXPORTS: Final = Use(("export_state_machine",), ("states:StartExecution",))
WATCH_EXPORTS: Final = Use(("export_executions",), ("states:DescribeExecution",))

SEND_MAIL: Final = (
    Use(("mail",), ("ses:SendRawEmail",)),
    Use(
        ("anything",),
        ("ses:GetSuppressedDestination",),
        because="the list of suppressed addresses is the account's, and has no ARN",
    ),
)
COUNT_QUEUES: Final = Use(("queues",), ("sqs:GetQueueAttributes",))

ROTATE_LOGINS: Final = Use(
    ("login_secrets",),
    (
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
    ),
)
