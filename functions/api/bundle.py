"""A device's credentials as one ZIP file, for whoever carries them to the device."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime

from functions.api.models.certificates import CredentialsAnswer
from traksense.i18n.catalogue import LOCALES, translate


def bundle(credentials: CredentialsAnswer, made_at: datetime) -> bytes:
    """Certificate, key where there is one, authority, ``endpoint.json``, a README a language."""
    thing = credentials.thing_name
    texts = {
        f"{thing}.crt": credentials.certificate,
        "ca.crt": credentials.endpoint.ca,
        "endpoint.json": credentials.model_dump_json(
            include={"thing_name": True, "endpoint": {"host", "port"}, "topics": True}, indent=2
        ),
    }
    if credentials.private_key is not None:
        texts[f"{thing}.key"] = credentials.private_key
    for locale in LOCALES:
        texts[f"README.{locale}.txt"] = translate(
            locale,
            "bundle.readme",
            {"thing": thing, "expires": f"{credentials.expires_at:%Y-%m-%d}"},
        )
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(texts.items()):
            entry = zipfile.ZipInfo(name, made_at.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            # Unpacked, the key is its owner's alone.
            entry.external_attr = (0o100600 if name.endswith(".key") else 0o100644) << 16
            archive.writestr(entry, content)
    return written.getvalue()
