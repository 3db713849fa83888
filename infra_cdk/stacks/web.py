"""What people's browsers reach: the page's files, and the API behind the same name."""

from __future__ import annotations

from typing import Final

from aws_cdk import CfnOutput, Duration, Fn, RemovalPolicy, SecretValue, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from functions.api.app import app
from infra_cdk.constructs.bucket import private_bucket
from infra_cdk.places import Places
from infra_cdk.settings import DomainSettings, PriceClass, StageSettings
from traksense.auth.origin import ADDRESS_HEADER, SECRET_HEADER
from traksense.contracts import page

API_STAGE: Final = "live"
"""Of API Gateway: the first segment of its paths, which nobody sees behind CloudFront."""
LOG_DAYS: Final = 30

CACHED_ERRORS: Final = (400, 403, 404, 405, 414, 500, 501, 502, 503, 504)
"""Statuses that CloudFront would keep for ten seconds, whatever the policy of the cache is and the
answer says (Amazon CloudFront developer guide, "How CloudFront caches errors"). Without a token in
its key one tenant's 404 would be the answer to the other's request.
"""

_ADDRESS: Final = f"""
function handler(event) {{
  var request = event.request;
  request.headers['{ADDRESS_HEADER}'] = {{ value: event.viewer.ip }};
  return request;
}}
""".strip()

_PRICE_CLASSES: Final[dict[PriceClass, cloudfront.PriceClass]] = {
    "PriceClass_100": cloudfront.PriceClass.PRICE_CLASS_100,
    "PriceClass_200": cloudfront.PriceClass.PRICE_CLASS_200,
    "PriceClass_All": cloudfront.PriceClass.PRICE_CLASS_ALL,
}


class WebStack(Stack):
    """CloudFront before the page's bucket and before an API that has no methods yet.

    The API's methods are another stack's: they need a function that has to know the page's address.
    So are the page's files, which ask that API: they come when it has its methods.
    """

    def __init__(self, scope: Construct, settings: StageSettings, places: Places) -> None:
        super().__init__(scope, settings.stack_id("web"))
        self.api: Final = apigateway.CfnRestApi(
            self,
            "Api",
            name=f"traksense-{settings.stage}",
            description="The API of TrakSense, behind CloudFront",
            endpoint_configuration=apigateway.CfnRestApi.EndpointConfigurationProperty(
                types=["REGIONAL"]
            ),
            # Files are downloaded as they are, whatever a browser says that it accepts.
            binary_media_types=["*/*"],
            minimum_compression_size=1024,
        )
        self.secret: Final = secretsmanager.Secret(
            self,
            "OriginSecret",
            description="What CloudFront shows to the API of TrakSense",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=48, exclude_punctuation=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        secret = SecretValue.secrets_manager(self.secret.secret_arn).unsafe_unwrap()
        self.files: Final = private_bucket(self, "Page", keep=False)
        self.logs: Final = private_bucket(
            self, "Logs", keep=settings.keep_data, expire_days=LOG_DAYS, takes_logs=True
        )
        self.distribution: Final = self._distribution(settings, secret)
        domain = settings.web.domain
        if domain is not None:
            self._record(domain)
        name = domain.name if domain is not None else self.distribution.distribution_domain_name
        places.web_url = Fn.join("", ["https://", name])
        CfnOutput(self, "PageAddress", value=places.web_url, description="Of the page and the API")
        places.origin_secret = secret

    def _distribution(self, settings: StageSettings, secret: str) -> cloudfront.Distribution:
        domain = settings.web.domain
        headers = self._headers(settings)
        page_behaviour = cloudfront.BehaviorOptions(
            origin=origins.S3BucketOrigin.with_origin_access_control(
                self.files,
                origin_access_control=cloudfront.S3OriginAccessControl(
                    self,
                    "PageAccess",
                    origin_access_control_name=f"traksense-{settings.stage}-{self.region}",
                ),
            ),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
            response_headers_policy=headers,
        )
        api_behaviour = cloudfront.BehaviorOptions(
            origin=origins.HttpOrigin(
                Fn.join("", [self.api.ref, ".execute-api.", self.region, ".", self.url_suffix]),
                origin_path=f"/{API_STAGE}",
                protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
                origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
                # A second more than API Gateway waits.
                read_timeout=Duration.seconds(30),
                custom_headers={SECRET_HEADER: secret},
            ),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            response_headers_policy=headers,
            function_associations=[
                cloudfront.FunctionAssociation(
                    event_type=cloudfront.FunctionEventType.VIEWER_REQUEST,
                    function=cloudfront.Function(
                        self,
                        "Address",
                        code=cloudfront.FunctionCode.from_inline(_ADDRESS),
                        runtime=cloudfront.FunctionRuntime.JS_2_0,
                        comment="Tells the API the viewer's address (ADR 30)",
                    ),
                )
            ],
        )
        return cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"TrakSense {settings.stage}",
            default_behavior=page_behaviour,
            additional_behaviors=dict.fromkeys(api_patterns(), api_behaviour),
            default_root_object="index.html",
            error_responses=[
                cloudfront.ErrorResponse(http_status=status, ttl=Duration.seconds(0))
                for status in CACHED_ERRORS
            ],
            price_class=_PRICE_CLASSES[settings.web.price_class],
            # Of CloudFront's own certificate it is not ours to set.
            minimum_protocol_version=(
                None if domain is None else cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021
            ),
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            enable_logging=True,
            log_bucket=self.logs,
            log_file_prefix="web/",
            domain_names=None if domain is None else [domain.name],
            certificate=(
                None
                if domain is None
                else certificates.Certificate.from_certificate_arn(
                    self, "Certificate", domain.certificate_arn
                )
            ),
        )

    def _headers(self, settings: StageSettings) -> cloudfront.ResponseHeadersPolicy:
        """What the local gateway sends as well, and that this name is one of HTTPS."""
        own = dict(page.SECURITY_HEADERS)
        return cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            # An account has them in no region: the same stage may be in a second one.
            response_headers_policy_name=f"traksense-{settings.stage}-{self.region}",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=own.pop("Content-Security-Policy"), override=False
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption(own.pop("X-Frame-Options")),
                    override=False,
                ),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=False
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=Duration.days(365),
                    include_subdomains=False,
                    override=True,
                ),
            ),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
                custom_headers=[
                    cloudfront.ResponseCustomHeader(header=name, value=value, override=False)
                    for name, value in own.items()
                    if name not in ("X-Content-Type-Options", "Referrer-Policy")
                ]
            ),
        )

    def _record(self, domain: DomainSettings) -> None:
        if domain.hosted_zone_id is None:
            return
        zone = route53.HostedZone.from_hosted_zone_attributes(
            self, "Zone", hosted_zone_id=domain.hosted_zone_id, zone_name=domain.name
        )
        target = route53.RecordTarget.from_alias(targets.CloudFrontTarget(self.distribution))
        for kind, record in (("A", route53.ARecord), ("Aaaa", route53.AaaaRecord)):
            record(self, kind, zone=zone, record_name=f"{domain.name}.", target=target)


def api_patterns() -> list[str]:
    """Paths that the API has: the first segment of each, alone and with more behind it."""
    firsts = sorted({path.split("/")[1] for path in app.routes})
    return [pattern for first in firsts for pattern in (f"/{first}", f"/{first}/*")]
