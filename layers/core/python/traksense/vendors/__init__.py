"""Vendor adapters: pure functions from the bytes that a device sends to readings."""

from .registry import ADAPTERS, Adapter, decode, snapshot

__all__ = ["ADAPTERS", "Adapter", "decode", "snapshot"]
