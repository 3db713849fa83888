"""What answers say to a browser beside what they hold: at CloudFront, and at the local gateway."""

from __future__ import annotations

from typing import Final

SECURITY_HEADERS: Final = (
    (
        "Content-Security-Policy",
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""Of every answer that has no other of the name."""

VENDOR: Final = ("vendor/echarts", "node_modules/echarts/dist", "echarts.esm.min.js")
"""A folder of the page, what of the installed packages it is, and the one file that is loaded."""
