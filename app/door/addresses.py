"""By which names and addresses a server of ours is reached, and from where.

A page of a stranger's that is open in a browser on this machine can reach a port of it, also under a name of its own
that it lets point here (DNS rebinding). Such a request is known by the host that it asks for, and by the origin that
browsers name.
"""

import socket
from collections.abc import Collection
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from engine.errors import LongdeskError, UsageError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ANY = ("0.0.0.0", "::")


def is_own_host(header: str, host: str, names: Collection[str] = ()) -> bool:
    """Whether a Host header names a server that listens on this address, or that goes by one of these names.

    On the loopback, only that. Elsewhere also any IP address, which no name of a stranger's can stand for.
    """
    name = _name(f"//{header}")
    if not name:
        return False
    if name in _LOOPBACK or name == host.lower() or name in {each.lower() for each in names}:
        return True
    if is_loopback(host):
        return False
    with suppress(ValueError):
        ip_address(name)
        return True
    return False


def is_own_origin(origin: str, header: str) -> bool:
    """Whether an Origin header is that of a page which the server of this Host header sent."""
    with suppress(ValueError):
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc.lower() == header.lower()
    return False


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


def checked_names(names: Collection[str]) -> tuple[str, ...]:
    """Names as --allow takes them. Raises UsageError for what is no name: a URL, a port, a pattern."""
    for name in names:
        if not name or _name(f"//{name}") != name.lower() or not name.isascii() or any(sign in "*/@ " for sign in name):
            raise UsageError(f"{name!r} is no name of a host.", "--allow takes a name alone, such as desk.example.")
    return tuple(name.lower() for name in names)


def url_of(host: str, port: int, *, scheme: str = "http") -> str:
    """The address of a server on this machine, as a browser is given it."""
    name = "127.0.0.1" if host == "0.0.0.0" else "::1" if host == "::" else host
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A socket at this address; port 0 takes one that is free. Raises LongdeskError when it is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()
        except OSError:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        raise LongdeskError(
            f"Nothing can listen at {host}, port {port}: {error}.", "Choose another --port or --host."
        ) from None
    return listening


def _name(url: str) -> str:
    with suppress(ValueError):  # brackets that do not close, a port that is none
        parts = urlsplit(url)
        _ = parts.port
        if parts.username is None and parts.password is None:
            return (parts.hostname or "").lower()
    return ""
