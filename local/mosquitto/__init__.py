"""The MQTT broker of the local platform: mosquitto as a child process."""

from .configuration import BrokerDevice
from .process import Broker, BrokerAway

__all__ = ["Broker", "BrokerAway", "BrokerDevice"]
