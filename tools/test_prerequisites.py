"""Bring what the suite drives and no package index holds: Chromium, from the system's packages.

As root on a Debian-like system it is installed; elsewhere the browser tests skip and say so.
mosquitto is brought by the platform itself at its first start. Standard library only.
"""

import os
import shutil
import subprocess
import sys

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main():
    """Install Chromium where it is missing and may be installed."""
    if any(shutil.which(name) for name in BROWSERS):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(
            "test: no Chromium found: browser tests will be skipped (install chromium to run them)"
        )
        return
    print("test: installing Chromium with apt-get", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "check": False}
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.run(["apt-get", "update"], env=environment, **quiet)
    result = subprocess.run(
        ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
        env=environment,
        **quiet,
    )
    if result.returncode:
        sys.stderr.write(result.stderr.decode("utf-8", "replace")[-500:])
        print("test: Chromium could not be installed: browser tests will be skipped")


if __name__ == "__main__":
    main()
