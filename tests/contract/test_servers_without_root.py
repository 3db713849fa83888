"""PostgreSQL and mosquitto for a person who is no administrator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ports import free_port
from local.unprivileged import service_user

# Whoever runs the tests as root runs this as somebody else: everything is imported before the
# step down, because that account may not be able to read Python's own files.
PROGRAM = """
import encodings.idna, json, os, signal, ssl, sys
from pathlib import Path
import psutil, psycopg
from local.home import Home
from local.mosquitto import Broker, BrokerDevice
from local.mosquitto.find_or_install import find_or_install
from local.postgres import EmbeddedPostgres
from local.settings import LocalSettings
from local.unprivileged import service_user
uid, gid, root, port = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
os.chdir(root)
settings = LocalSettings.from_environment(
    {"TRAKSENSE_HOME": root + "/home", "TRAKSENSE_MQTT_PORT": port}
)
home = Home(settings.home)
home.create()
postgres, broker = EmbeddedPostgres(home), Broker(home, settings)
try:
    url = postgres.start()
    broker.start([BrokerDevice("acme", "plant-1", "chiller-1")])
    with psycopg.connect(url) as connection:
        answer = connection.execute("SELECT 41 + 1").fetchone()
    print(json.dumps({
        "service_user": service_user(),
        "answer": answer[0],
        "uids": [psutil.Process(s.identity.pid).uids().real for s in (postgres, broker)],
        "links": [path.is_symlink() for path in (home.postgres, home.broker)],
    }))
finally:
    broker.stop()
    postgres.stop()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the account that the program runs as."""
    folder = Path(tempfile.mkdtemp(prefix="traksense-"))
    user = service_user()
    if user is not None:
        os.chown(folder, user.uid, user.gid)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(120)
def test_both_servers_run_in_the_home_under_the_persons_own_account(folder: Path) -> None:
    user = service_user()
    uid, gid = (user.uid, user.gid) if user else (os.getuid(), os.getgid())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(uid), str(gid), str(folder), str(free_port())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "service_user": None,
        "answer": 42,
        "uids": [uid, uid],
        "links": [False, False],
    }
    assert (folder / "home").stat().st_uid == uid
