"""The Cognito user pool, from the contract that the local one is made from as well."""

from __future__ import annotations

from typing import Any, Final

from aws_cdk import CfnResource
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra_cdk.constructs.removal import removal
from infra_cdk.places import Places, made
from infra_cdk.settings import Mfa, StageSettings
from traksense.contracts.user_pool import (
    USER_POOL,
    attribute_parameters,
    client_parameters,
    pool_parameters,
)

_MFA: Final[dict[Mfa, str]] = {"off": "OFF", "optional": "OPTIONAL", "required": "ON"}


class Users(Construct):
    """The pool, its groups and its app client; its functions are there already."""

    def __init__(self, scope: Construct, settings: StageSettings, places: Places) -> None:
        super().__init__(scope, "Users")
        parameters = pool_parameters(USER_POOL)
        parameters["UserPoolName"] = f"{parameters.pop('PoolName')}-{settings.stage}"
        mfa = _MFA[settings.users.mfa]
        parameters |= {"MfaConfiguration": mfa}
        if mfa != "OFF":
            parameters["EnabledMfas"] = ["SOFTWARE_TOKEN_MFA"]
        triggers = {
            trigger: places.functions[name].function for trigger, name in USER_POOL.triggers.items()
        }
        pool = CfnResource(
            self,
            "Pool",
            type="AWS::Cognito::UserPool",
            properties={
                **parameters,
                "Schema": attribute_parameters(USER_POOL),
                "LambdaConfig": {
                    trigger: function.function_arn for trigger, function in triggers.items()
                },
                "DeletionProtection": "ACTIVE" if settings.keep_data else "INACTIVE",
                **_mail(settings, places),
            },
        )
        pool.apply_removal_policy(removal(keep=settings.keep_data))
        arn = pool.get_att("Arn").to_string()
        for trigger, function in triggers.items():
            lambda_.CfnPermission(
                self,
                trigger,
                action="lambda:InvokeFunction",
                function_name=function.function_arn,
                principal="cognito-idp.amazonaws.com",
                source_arn=arn,
            )
        for order, group in enumerate(USER_POOL.groups):
            CfnResource(
                self,
                f"Group{order}",
                type="AWS::Cognito::UserPoolGroup",
                properties={
                    "UserPoolId": pool.ref,
                    "GroupName": group.name,
                    "Description": group.description,
                    "Precedence": order,
                },
            )
        client = CfnResource(
            self,
            "Client",
            type="AWS::Cognito::UserPoolClient",
            properties={"UserPoolId": pool.ref, **client_parameters(USER_POOL.client)},
        )
        places.user_pool = cognito.UserPool.from_user_pool_arn(self, "Known", arn)
        places.user_pool_client_id = client.ref
        self.pool_arn: Final = arn
        self.pool_id: Final = pool.ref


def _mail(settings: StageSettings, places: Places) -> dict[str, Any]:
    """Through SES where its identity is verified, without which Cognito makes no such pool."""
    if not settings.mail.verified:
        return {}
    return {
        "EmailConfiguration": {
            "EmailSendingAccount": "DEVELOPER",
            "From": settings.mail.sender,
            "SourceArn": made(places.mail_identity_arn, "the identity of e-mails"),
            "ConfigurationSet": made(places.mail_configuration_set, "the configuration set"),
        }
    }
