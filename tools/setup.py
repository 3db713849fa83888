"""Set up a checkout: the virtual environment and the npm packages, only where they are missing.

Runs under the system's own Python with nothing installed, which is why it uses the standard
library alone and no syntax newer than Python 3.6: an old one must get as far as the message.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = ROOT / ".setup.log"


def fail(message):
    """End with one clear line."""
    sys.exit("setup: " + message)


def digest(*names):
    """Fingerprint of what an installation depends on."""
    state = hashlib.sha256(sys.version.encode())
    for name in names:
        state.update((ROOT / name).read_bytes())
    return state.hexdigest()


def run(command, advice):
    """Run a command with its output in the log; on failure say what to do, and where it is."""
    with LOG.open("ab") as log:
        log.write(("\n$ " + " ".join(command) + "\n").encode())
        log.flush()
        result = subprocess.run(
            command, cwd=str(ROOT), stdout=log, stderr=subprocess.STDOUT, check=False
        )
    if result.returncode:
        fail("%s (what was said: %s)" % (advice, LOG.name))


def check_prerequisites():
    """Python and Node, new enough."""
    if sys.version_info < (3, 11):
        fail(
            "Python 3.11 or newer is needed, this is %d.%d; name another with "
            "`make PYTHON=python3.13 …`" % sys.version_info[:2]
        )
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        fail("Node.js 20 or newer with npm is needed: see https://nodejs.org/en/download")
    version = subprocess.check_output([node, "--version"]).decode().strip()
    if int(version.lstrip("v").split(".")[0]) < 20:
        fail("Node.js 20 or newer is needed, this is %s" % version)


def pinned_uv():
    """The lines of requirements.txt that pin uv and its hashes, for pip to install it by."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("uv=="))
    end = next(number for number in range(start, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[start : end + 1]) + "\n"


def python_packages():
    """The virtual environment, exactly as requirements.txt pins it."""
    stamp = VENV / ".ready"
    wanted = digest("requirements.txt", "pyproject.toml", "tools/setup.py")
    if stamp.exists() and stamp.read_text() == wanted and PYTHON.exists():
        return
    print("setup: installing Python packages into .venv", flush=True)
    network = (
        "Python packages could not be installed: check the network (or the proxy) and run it again"
    )
    if not PYTHON.exists():
        run(
            [sys.executable, "-m", "venv", "--clear", str(VENV)],
            "no virtual environment could be made; on Debian: `apt install python3-venv`",
        )
    pinned = VENV / "uv.txt"
    pinned.write_text(pinned_uv())
    run([str(PYTHON), "-m", "pip", "install", "--require-hashes", "-r", str(pinned)], network)
    uv = [str(VENV / "bin" / "uv"), "--no-progress", "pip"]
    run(
        [*uv, "sync", "--python", str(PYTHON), "--require-hashes", "requirements.txt"],
        network,
    )
    run(
        [*uv, "install", "--python", str(PYTHON), "--no-deps", "--no-build-isolation", "-e", "."],
        "the project itself could not be installed into .venv; run `make clean` and try again",
    )
    stamp.write_text(wanted)


def node_packages():
    """node_modules, exactly as package-lock.json pins it."""
    stamp = ROOT / "node_modules" / ".ready"
    wanted = digest("package.json", "package-lock.json")
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("setup: installing npm packages into node_modules", flush=True)
    run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
        "npm packages could not be installed: check the network (or the proxy) and run it again",
    )
    stamp.write_text(wanted)


def main():
    """Set up what is missing; at once when nothing is."""
    check_prerequisites()
    LOG.unlink(missing_ok=True)
    os.environ.pop("VIRTUAL_ENV", None)
    try:
        python_packages()
        node_packages()
    except OSError as error:
        fail("%s: %s" % (error.filename or "disk", error.strerror))


if __name__ == "__main__":
    main()
