"""Loopback ports: free ones, and who listens on one."""

import random
import socket
from pathlib import Path

#: Below Linux's range for outgoing connections (32768 and up): a client that keeps dialling a stopped server
#: can neither take the server's port as its own nor connect to itself.
CANDIDATES = range(15_000, 32_000)

#: So many taken ports in a row mean that something else is wrong.
TRIES = 200


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago; another process may take one, so a start must be able to retry."""
    found: list[int] = []
    for port in random.Random().sample(CANDIDATES, TRIES):
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"No free loopback port found between {CANDIDATES.start} and {CANDIDATES.stop}.")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listens(pid: int, port: int) -> bool:
    """Whether this very process listens on the port: a stranger's server that took it first does not count."""
    sockets = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in sockets]
    inodes = {f"socket:[{each[9]}]" for each in fields if each[1].endswith(f":{port:04X}") and each[3] == "0A"}
    try:
        return any(_target(file) in inodes for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # the process has ended.
        return False


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed since it was listed.
        return ""
