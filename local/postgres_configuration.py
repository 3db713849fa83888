"""Settings of the embedded PostgreSQL, for a laptop that also runs everything else."""

from __future__ import annotations

import hashlib
from typing import Final

CONFIGURATION: Final = """\
# Loopback only, passwords only.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = scram-sha-256
max_connections = 75

# A committed reading is on disk. Nobody replicates from this server.
synchronous_commit = on
fsync = on
wal_level = minimal
max_wal_senders = 0
wal_compression = off
max_wal_size = 2GB
min_wal_size = 160MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9

shared_buffers = 256MB
work_mem = 16MB
maintenance_work_mem = 128MB
effective_cache_size = 1GB
random_page_cost = 1.1
huge_pages = off
jit = off

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
default_text_search_config = 'pg_catalog.simple'

# A file a weekday: a week of logs, and no more.
logging_collector = on
log_filename = 'postgresql-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
log_min_duration_statement = 5s
log_lock_waits = on
"""

HOST_BASED_AUTHENTICATION: Final = """\
host all all 127.0.0.1/32 scram-sha-256
"""


def digest(version: str) -> str:
    """Names the settings and the server that reads them: a live one with others is replaced."""
    text = "\n".join((version, CONFIGURATION, HOST_BASED_AUTHENTICATION))
    return hashlib.sha256(text.encode()).hexdigest()
