"""The platform's e-mails: who sends them, and what becomes of those that come back."""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra_cdk.places import Places
from infra_cdk.settings import StageSettings


class Mail(Construct):
    """An identity of SES and a configuration set.

    An address that bounced or complained gets nothing more from SES itself, which keeps a list of
    them (Amazon SES developer guide, "Using the account-level suppression list").
    """

    def __init__(self, scope: Construct, settings: StageSettings, places: Places) -> None:
        super().__init__(scope, "Mail")
        self.configuration_set: Final = ses.ConfigurationSet(
            self,
            "Set",
            configuration_set_name=f"traksense-{settings.stage}",
            suppression_reasons=ses.SuppressionReasons.BOUNCES_AND_COMPLAINTS,
            tls_policy=ses.ConfigurationSetTlsPolicy.REQUIRE,
            reputation_metrics=True,
        )
        self.problems: Final = self._problems(settings)
        address = settings.mail.identity
        self.identity: Final = ses.EmailIdentity(
            self,
            "Identity",
            identity=(
                ses.Identity.email(address) if "@" in address else ses.Identity.domain(address)
            ),
            configuration_set=self.configuration_set,
        )
        places.mail_identity_arn = self.identity.email_identity_arn
        places.mail_configuration_set = self.configuration_set.configuration_set_name

    def _problems(self, settings: StageSettings) -> sns.Topic:
        """Each bounce, complaint and refusal, for people: SES itself acts on the first two."""
        topic = sns.Topic(
            self,
            "Problems",
            topic_name=f"traksense-{settings.stage}-mail-problems",
            display_name="E-mails of TrakSense that came back",
            enforce_ssl=True,
        )
        # It lets SES publish there, for this configuration set alone.
        told = self.configuration_set.add_event_destination(
            "Told",
            destination=ses.EventDestination.sns_topic(topic),
            events=[
                ses.EmailSendingEvent.BOUNCE,
                ses.EmailSendingEvent.COMPLAINT,
                ses.EmailSendingEvent.REJECT,
            ],
        )
        told.node.add_dependency(topic)
        if settings.operations.alarm_email is not None:
            topic.add_subscription(subscriptions.EmailSubscription(settings.operations.alarm_email))
        return topic
