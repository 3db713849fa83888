"""Vendor adapters: pure functions from the bytes that a device sends to readings."""

from .registry import ADAPTERS, Adapter, decode

__all__ = ["ADAPTERS", "Adapter", "decode"]
