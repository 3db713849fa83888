"""Asking a broker whether it really answers: one MQTT CONNECT on the platform's listener."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Final

from ..certificates import KeyPair

CLIENT_ID: Final = "traksense-probe"
TIMEOUT_S: Final = 2.0
_ACCEPTED: Final = b"\x20\x02\x00\x00"
_DISCONNECT: Final = b"\xe0\x00"


def answers(port: int, ca: Path, identity: KeyPair, client_id: str = CLIENT_ID) -> bool:
    """Whether the broker on this loopback port is ours and accepts us (MQTT 3.1.1, section 3.1).

    It ends another session of this ``client_id`` and forgets what was queued for it.
    """
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(identity.certificate, identity.key)
    name = client_id.encode("ascii")
    body = b"\x00\x04MQTT\x04\x02\x00\x05" + len(name).to_bytes(2, "big") + name
    try:
        with (
            socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(b"\x10" + bytes([len(body)]) + body)
            answer = b""
            while len(answer) < len(_ACCEPTED):
                received = connection.recv(len(_ACCEPTED) - len(answer))
                if not received:
                    return False
                answer += received
            connection.sendall(_DISCONNECT)
    except OSError:
        return False
    return answer == _ACCEPTED
