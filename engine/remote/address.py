"""Where a server is: the address that a --model value names, and the key that goes with it.

A key is never a part of an address: addresses are stored with sessions, printed and exported.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from engine.answer.cost import Prices
from engine.errors import UsageError, keep_secret

_SCHEMES = ("http", "https")
_API, _CALLS = "/v1", ("/chat/completions", "/completions", "/models")
_OWN_KEY, _OPENAI_KEY = "LONGDESK_API_KEY", "OPENAI_API_KEY"
_MOST_CHARACTERS = 16_384  # of a key
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """A server: base is the URL of its API, mostly with /v1 at its end; root what stands before that, where an engine's
    own calls are. model: the name behind the #, "" where none was given. ca_file: certificates that are trusted in
    place of the system's. key_remedy: what to do where it does not take the key."""

    root: str
    base: str
    model: str = ""
    ca_file: Path | None = None
    key_remedy: str = f"Put the right one into {_OWN_KEY}."

    @property
    def host(self) -> str:
        """Host and port, for sentences."""
        return urlsplit(self.base).netloc

    @property
    def is_secure(self) -> bool:
        return self.base.startswith("https:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What the user entered of a server, beside its address. key: that it is sent, None for none. window: tokens, in
    place of what it says; prices: likewise. ca_file, key_remedy: see Address."""

    key: str | None = field(default=None, repr=False)
    window: int | None = None
    prices: Prices | None = None
    ca_file: Path | None = None
    key_remedy: str = ""


NOTHING_ENTERED = Entered()


def is_address(name: str) -> bool:
    """Whether a --model value names a server."""
    return name.casefold().startswith(("http://", "https://"))


def read_address(name: str) -> Address:
    """The server that a --model value names: http://host:port, http://host:port/v1, or one of the API's calls, each
    with #model at its end.

    Raises UsageError for what is no address, and for one with a password in it.
    """
    try:
        parts = urlsplit(name)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        bare = name.partition("://")[2].partition("/")[0]
        if "[" not in bare and bare.count(":") > 1:
            fact = f"{name} is no address: an IPv6 address wants brackets."
            raise UsageError(fact, "Write it as http://[::1]:port.") from None
        raise UsageError(f"{name} is no address: {error}.", "Write it as http://host:port.") from None
    if parts.scheme not in _SCHEMES or not host:
        raise UsageError(f"{name} is no address of a server.", "Write it as http://host:port.")
    if parts.username is not None or parts.password is not None or parts.query:
        raise UsageError(
            "The address of the server holds more than host, port and path.",
            f"Leave name, password and key out: a key goes into the environment, as {_OWN_KEY}.",
        )
    shown = f"[{host}]" if ":" in host else host
    at = f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")
    path = parts.path.rstrip("/")
    for call in _CALLS:  # as it stands in an example of how the API is called
        path = path.removesuffix(call).rstrip("/")
    model = unquote(parts.fragment)
    if path.endswith(_API):
        return Address(at + path.removesuffix(_API), at + path, model)
    return Address(at + path, at + path + _API, model)


def key_for(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key for the server at this URL, None where there is none.

    LONGDESK_API_KEY goes to whatever server is named; OPENAI_API_KEY to none that would be sent it in the clear, but
    for those on this machine. Raises UsageError for what no header can carry; the key is not in the error.
    """
    if own := environment.get(_OWN_KEY, "").strip():
        return _sendable(own, _OWN_KEY)
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in _LOOPBACK:
        return _sendable(environment.get(_OPENAI_KEY, "").strip(), _OPENAI_KEY) or None
    return None


def _sendable(key: str, variable: str) -> str:
    if is_sendable(key):
        return key
    keep_secret(key)
    raise UsageError(
        f"The key in {variable} has signs in it that no key has, such as a blank or a line end within it.",
        f"Set {variable} anew.",
    )


def is_sendable(key: str) -> bool:
    """Whether a header can carry a key."""
    return len(key) <= _MOST_CHARACTERS and key.isascii() and (not key or key.isprintable()) and " " not in key
