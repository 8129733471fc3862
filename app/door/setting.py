"""How the page is to be reached, and what lets in: what `up` was told, on its way to the server's process."""

import json
import os
import ssl
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.door.addresses import checked_names, is_loopback, url_of
from app.door.keys import PASSWORD_VARIABLE, hash_password, read_password
from engine.errors import UsageError, why_unread

_VARIABLE = "LONGDESK_DOOR"
_NEEDED = ("redirect_uri", "cookie_secret")
_NEEDED_OF_PROVIDER = ("client_id", "client_secret", "server_metadata_url")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """host, port: where the server listens. names: further names that it goes by. password: its hash, "" for none.
    members: who may sign in, by address or by domain ("@desk.example"). provider: of several, the one that is asked.
    certificate, key: files for TLS, "" without. token: what lets in this time alone, where none can be kept."""

    host: str = "127.0.0.1"
    port: int = 8501
    names: tuple[str, ...] = ()
    password: str = ""
    members: tuple[str, ...] = ()
    provider: str = "default"
    certificate: str = ""
    key: str = ""
    token: str = ""

    @property
    def way(self) -> str:
        """What lets in: "token", "password" or "sign-in"."""
        return "sign-in" if self.members else "password" if self.password else "token"

    @property
    def is_encrypted(self) -> bool:
        return bool(self.certificate)

    @property
    def cookie(self) -> str:
        """Cookies do not tell the ports of a host apart, so their names do."""
        return f"longdesk-{self.port}"

    @property
    def url(self) -> str:
        return url_of(self.host, self.port, scheme="https" if self.is_encrypted else "http")

    def put(self, environment: MutableMapping[str, str]) -> None:
        """Leaves it for the server's process, and nothing else that is secret."""
        environment.pop(PASSWORD_VARIABLE, None)
        environment[_VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def taken(cls, port: int, environment: MutableMapping[str, str] = os.environ) -> "Door":
        """What was put there; it is there no more for what the server starts."""
        given: dict[str, Any] = json.loads(environment.pop(_VARIABLE, "{}"))
        several = {name: tuple(given.get(name, ())) for name in ("names", "members")}
        return cls(**{**given, "port": port, **several})

    def may_sign_in(self, user: Mapping[str, Any]) -> bool:
        """Whether somebody who has signed in is one of those that may."""
        email = str(user.get("email") or "").lower()
        if not user.get("is_logged_in") or user.get("email_verified", True) is not True or email.count("@") != 1:
            return False
        return email in self.members or f"@{email.partition('@')[2]}" in self.members


def secrets_file(home: Path) -> Path:
    """Where sign-in is set up."""
    return home / "secrets.toml"


def door_of(
    home: Path,
    *,
    host: str,
    port: int,
    names: tuple[str, ...] = (),
    password_file: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    ask: Callable[[], str] | None = None,
) -> Door:
    """What was asked for, checked. ask: a password from whoever sits there, None where nobody does.

    Raises UsageError for what would let in everybody who reaches this machine, and for what cannot be used.
    """
    members, provider = _sign_in(secrets_file(home))
    password = read_password(password_file) if password_file is not None else ""
    if not password and (given := environment.get(PASSWORD_VARIABLE)):
        password = hash_password(given)
    if password and members:
        raise UsageError(
            "Both a password and sign-in are set up.",
            f"Leave the password out, or take [auth] out of {secrets_file(home)}.",
        )
    if not is_loopback(host) and not password and not members:
        if ask is None:
            raise UsageError(
                f"At {host} other machines reach the page, and nothing would keep them out.",
                f"Give --password-file FILE, set {PASSWORD_VARIABLE}, or set up sign-in in {secrets_file(home)}.",
            )
        password = hash_password(ask())
    _check_encryption(certificate, key)
    return Door(
        host=host,
        port=port,
        names=checked_names(names),
        password=password,
        members=members,
        provider=provider,
        certificate=str(certificate.absolute()) if certificate else "",
        key=str(key.absolute()) if key else "",
    )


def _sign_in(path: Path) -> tuple[tuple[str, ...], str]:
    """Who may sign in, and with which provider, as a file says; nobody where it has no [auth]."""
    try:
        with path.open("rb") as file:
            given = tomllib.load(file)
    except FileNotFoundError:
        return (), "default"
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {why_unread(error)}.", "Mend or remove it.") from None
    auth = given.get("auth")
    if auth is None:
        return (), "default"
    auth, own = _table(auth), _table(given.get("longdesk"))
    members, provider = own.get("members"), str(own.get("provider", "default"))
    section = auth if provider == "default" and provider not in auth else _table(auth.get(provider))
    missing = [name for name in _NEEDED if not auth.get(name)]
    missing += [name for name in _NEEDED_OF_PROVIDER if not section.get(name)]
    if missing:
        raise UsageError(
            f"{path} sets up sign-in without {', '.join(missing)}.", "docs/command-line.md has an example."
        )
    if find_spec("authlib") is None:
        raise UsageError(f"{path} sets up sign-in, and Authlib is not installed.", "Run `pip install Authlib`.")
    if (
        not isinstance(members, list)
        or not members
        or not all(isinstance(each, str) and "@" in each for each in members)
    ):
        raise UsageError(
            f"{path} does not say who may sign in.", 'Add `members = ["me@desk.example"]` below a line `[longdesk]`.'
        )
    if os.name != "nt" and path.stat().st_mode & 0o077:
        raise UsageError(f"{path} can be read by others.", f"Run `chmod 600 {path}`.")
    return tuple(each.lower() for each in members), provider


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _check_encryption(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise UsageError("TLS takes a certificate and its key.", "Give both --tls-cert and --tls-key, or neither.")
    if certificate is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=lambda: "")  # one with a password would ask for it later
    except (OSError, ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"{certificate} and {key} cannot be used for TLS: {error}.",
            "They are PEM files, the key without a password.",
        ) from None
