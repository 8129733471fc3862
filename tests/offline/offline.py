"""Nothing but this machine: a look-up of another name and a connection to another address fail, and are written down.

An audit hook, which sees what any library does by Python's sockets and cannot be taken off again. It is there in every
Python that has this folder on PYTHONPATH, as all that tests start have, and in the tests' own. Names below .invalid,
which nobody can have, fail without a word: they are for tests of what does not answer.
"""

import os
import sys
from typing import Any

LOG = "LONGDESK_TESTS_OFFLINE"  # the file that it is written down in
_HERE = ("127.", "::1", "::ffff:127.", "0.0.0.0", "localhost", "ip6-localhost")
_NOWHERE = ("", "::", "<broadcast>", "testserver")
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_SENDS = ("socket.connect", "socket.sendto", "socket.sendmsg")


def is_here(host: object) -> bool:
    """Whether a name or address is this machine's own."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    return host is None or (isinstance(host, str) and (host in _NOWHERE or host.lower().startswith(_HERE)))


def _watch(event: str, given: tuple[Any, ...]) -> None:
    if not event.startswith("socket."):
        return
    if event in _LOOK_UPS:
        host = given[0][0] if event == "socket.getnameinfo" else given[0]
    elif event in _SENDS and isinstance(given[1], tuple):  # others are of unix sockets, and of the system's own
        host = given[1][0]
    else:
        return
    if is_here(host):
        return
    if not str(host).rstrip(".").endswith(".invalid"):
        _write_down(f"{event} {host!r}")
    raise OSError(101, f"Tests make no network calls: {event} {host!r}")


def _write_down(what: str) -> None:
    if path := os.environ.get(LOG):
        line = f"{what} by {' '.join(sys.orig_argv)[:200]!r} in {os.environ.get('PYTEST_CURRENT_TEST', '')}\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, line.encode("utf-8", "replace"))
        os.close(descriptor)


sys.addaudithook(_watch)
