"""The methods of the REST API, made from the routes of the app that answers them.

Chalice finds a route by the resource's path, so that every route is a resource of its own, and no
``{proxy+}`` stands for them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aws_cdk import Stack
from aws_cdk import aws_apigateway as apigateway
from constructs import Construct

INTEGRATION_MS: Final = 29_000
"""API Gateway waits no longer (Amazon API Gateway quotas)."""

GATEWAY_RESPONSES: Final[Mapping[str, HTTPStatus]] = {
    "UNAUTHORIZED": HTTPStatus.UNAUTHORIZED,
    "ACCESS_DENIED": HTTPStatus.FORBIDDEN,
    "EXPIRED_TOKEN": HTTPStatus.UNAUTHORIZED,
    # It says 403 of a path that there is not, and of a token there that it is no signature of AWS.
    "MISSING_AUTHENTICATION_TOKEN": HTTPStatus.NOT_FOUND,
    "INVALID_SIGNATURE": HTTPStatus.NOT_FOUND,
    "REQUEST_TOO_LARGE": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "THROTTLED": HTTPStatus.TOO_MANY_REQUESTS,
    "INTEGRATION_FAILURE": HTTPStatus.BAD_GATEWAY,
    "INTEGRATION_TIMEOUT": HTTPStatus.GATEWAY_TIMEOUT,
    "DEFAULT_4XX": HTTPStatus.BAD_REQUEST,
    "DEFAULT_5XX": HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""What API Gateway answers by itself, as which status."""


class Methods(Construct):
    """A resource for each path, a method for each route, and a deployment of them."""

    def __init__(
        self,
        scope: Construct,
        api: apigateway.CfnRestApi,
        routes: Mapping[str, Mapping[str, Any]],
        *,
        pool_arn: str,
        uri: str,
    ) -> None:
        """``routes``: Chalice's, by path and method. ``uri``: how API Gateway calls it."""
        super().__init__(scope, "Methods")
        self._api = api
        self._resources: dict[str, str] = {"": api.attr_root_resource_id}
        authorizer = apigateway.CfnAuthorizer(
            self,
            "Authorizer",
            name="users",
            rest_api_id=api.ref,
            type="COGNITO_USER_POOLS",
            identity_source="method.request.header.Authorization",
            provider_arns=[pool_arn],
        )
        described = [
            (path, method, entry.authorizer is None)
            for path, methods in sorted(routes.items())
            for method, entry in sorted(methods.items())
        ]
        made = [
            apigateway.CfnMethod(
                self,
                _name(f"{method} {path}"),
                rest_api_id=api.ref,
                resource_id=self._resource(path),
                http_method=method,
                authorization_type="NONE" if is_public else "COGNITO_USER_POOLS",
                authorizer_id=None if is_public else authorizer.ref,
                integration=apigateway.CfnMethod.IntegrationProperty(
                    type="AWS_PROXY",
                    integration_http_method="POST",
                    uri=uri,
                    timeout_in_millis=INTEGRATION_MS,
                ),
            )
            for path, method, is_public in described
        ]
        answers = [self._answer(kind, status) for kind, status in GATEWAY_RESPONSES.items()]
        # A deployment is a picture of all this: where any of it differs it is another deployment.
        pictured = [
            [list(each) for each in described],
            [[each.response_type, each.status_code, each.response_parameters,
              each.response_templates] for each in answers],
            [authorizer.type, authorizer.identity_source, pool_arn],
            [uri, INTEGRATION_MS],
            [api.binary_media_types, api.minimum_compression_size],
        ]  # fmt: skip
        digest = hashlib.sha256(
            json.dumps(Stack.of(self).resolve(pictured), sort_keys=True).encode()
        ).hexdigest()[:16]
        self.deployment: Final = apigateway.CfnDeployment(
            self, f"Deployment{digest}", rest_api_id=api.ref, description=f"Routes {digest}"
        )
        for each in (*made, *answers):
            self.deployment.node.add_dependency(each)

    def _resource(self, path: str) -> str:
        """Id of the resource of a path, and of those above it."""
        path = path.rstrip("/")
        if path not in self._resources:
            above, _, part = path.rpartition("/")
            self._resources[path] = apigateway.CfnResource(
                self,
                _name(path),
                rest_api_id=self._api.ref,
                parent_id=self._resource(above),
                path_part=part,
            ).ref
        return self._resources[path]

    def _answer(self, kind: str, status: HTTPStatus) -> apigateway.CfnGatewayResponse:
        """A problem that says no more than its status, as the local gateway's."""
        is_default = kind.startswith("DEFAULT")
        document: dict[str, Any] = {"type": "about:blank", "title": status.phrase}
        document["status"] = status.value
        if is_default:
            document = {"type": "about:blank", "title": "$context.error.responseType"}
        return apigateway.CfnGatewayResponse(
            self,
            _name(kind),
            rest_api_id=self._api.ref,
            response_type=kind,
            status_code=None if is_default else str(status.value),
            response_parameters={
                "gatewayresponse.header.Content-Type": "'application/problem+json'",
                "gatewayresponse.header.Cache-Control": "'no-store'",
            },
            response_templates={"application/json": json.dumps(document)},
        )


def _name(text: str) -> str:
    """A construct's id that no other text has: words, and a few digits of a digest."""
    words = "".join(part.capitalize() for part in "".join(
        character if character.isalnum() else " " for character in text
    ).split())  # fmt: skip
    return f"{words}{hashlib.sha256(text.encode()).hexdigest()[:4]}"
