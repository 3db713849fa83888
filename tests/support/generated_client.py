"""A typed client, generated from the API's own description as a customer would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

NAME: Final = "traksense_client"
CONFIG: Final = """\
post_hooks: []
use_path_prefixes_for_title_model_names: true
content_type_overrides:
  text/csv: application/octet-stream
"""


def generate(schema: bytes, folder: Path) -> str:
    """Make the package ``traksense_client`` in a folder; what the generator had to say of it.

    It leaves out what it cannot express and says so: a whole client is one of which it says
    nothing but its beginning.
    """
    (folder / "schema.json").write_bytes(schema)
    (folder / "client.yml").write_text(CONFIG, "utf-8")
    command = [
        sys.executable, "-m", "openapi_python_client", "generate", "--path", "schema.json",
        "--output-path", NAME, "--meta", "none", "--config", "client.yml",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout.replace(f"Generating {NAME}", "").strip()
