"""What stands behind the user messages function: it has no database, and does not import one."""

from __future__ import annotations

from traksense.observability import configure_logging
from traksense.services.user_messages import UserMessages
from traksense.settings.mail import MessageSettings


def user_messages() -> UserMessages:
    """The service of the environment. Raises ConfigurationError."""
    settings = MessageSettings.from_environment()
    configure_logging("user_messages", settings.log_level)
    return UserMessages(settings.web_url)
