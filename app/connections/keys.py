"""The keys of engines: out of the environment, or out of the system's keyring. No other place ever holds one.

A key in the keyring is kept for a name and the host that it was entered for: an engine whose address is changed to
another host asks for it anew, and no other host is ever sent it.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from app.connections.named import FROM_ENVIRONMENT, KEYRING, NamedEngine
from engine.errors import UsageError, keep_secret
from engine.remote.address import Entered

_SERVICE = "longdesk"
_MOST_CHARACTERS = 16_384
_Found = TypeVar("_Found")


def key_of(engine: NamedEngine, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key that its server is sent, None for none. From then on it is shown nowhere.

    Raises UsageError where it is to have one and there is none, or no keyring to ask.
    """
    if not engine.key:
        return None
    name = engine.name
    if (variable := engine.variable) is not None:
        key = environment.get(variable, "").strip()
        if not key:
            raise UsageError(
                f"The key of {name} is to be in the environment variable {variable}, which is not set.",
                f"Set it before Longdesk is started, or keep the key in the keyring: `longdesk engines key {name}`.",
            )
    else:
        key = (_ask(lambda: _keyring().get_password(_SERVICE, _account(engine)), engine) or "").strip()
        if not key:
            raise UsageError(
                f"The keyring has no key of {name} for {engine.origin}.",
                f"Enter it on the page Connections, or with `longdesk engines key {name}`.",
            )
    keep_secret(key)
    return _sendable(key, name)


def entered(engine: NamedEngine) -> Entered | None:
    """What engine.remote is told of an engine that has a name, its key too; None for an address alone, which takes the
    key that goes with it. Raises as key_of does."""
    if not engine.name:
        return None
    again = f"`longdesk engines key {engine.name}` keeps the right one"
    remedy = f"Put the right one into {engine.variable}." if engine.variable else f"{again} in the keyring."
    return Entered(
        key=key_of(engine), window=engine.window, prices=engine.prices, ca_file=engine.ca_file, key_remedy=remedy
    )


def store_key(engine: NamedEngine, key: str) -> None:
    """Keeps a key in the system's keyring. Raises UsageError for what can be no key, and where there is no keyring."""
    key, name = key.strip(), engine.name
    if not key:
        raise UsageError("The key is empty: nothing was kept.", f"Enter it: `longdesk engines key {name}`.")
    keep_secret(key)
    _sendable(key, name)

    def store() -> bool:
        _keyring().set_password(_SERVICE, _account(engine), key)
        return bool(_keyring().get_password(_SERVICE, _account(engine)) == key)

    if not _ask(store, engine):
        raise UsageError("The keyring took the key and does not give it back: nothing is kept.", _instead(engine))


def forget_key(engine: NamedEngine) -> bool:
    """Takes a key out of the keyring; whether there was one. Raises UsageError where there is no keyring."""

    def forget() -> bool:
        if _keyring().get_password(_SERVICE, _account(engine)) is None:
            return False
        _keyring().delete_password(_SERVICE, _account(engine))
        return True

    return _ask(forget, engine)


def has_key(engine: NamedEngine, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the key that it is to have is there; True for one that needs none. Raises nothing."""
    try:
        key_of(engine, environment)
    except UsageError:
        return False
    return True


def source_words(engine: NamedEngine) -> str:
    """Where its key comes from, in words."""
    if engine.variable is not None:
        return f"key from {engine.variable}"
    return "key from the keyring" if engine.key == KEYRING else "no key"


def _account(engine: NamedEngine) -> str:
    return f"{engine.name} {engine.origin}"


def _keyring() -> Any:
    import keyring  # it looks for the system's services, which nothing else needs

    return keyring


def _ask(act: Callable[[], _Found], engine: NamedEngine) -> _Found:
    """What the keyring says. Raises UsageError where there is none that works: it may be any system's."""
    try:
        return act()
    except UsageError:
        raise
    except Exception as error:  # each system's has errors of its own: D-Bus, Windows, macOS
        kind = type(error).__name__
        is_none = kind == "NoKeyringError"
        fact = "There is no keyring on this machine" if is_none else f"The keyring does not work ({kind})"
        raise UsageError(f"{fact}, so it cannot hold the key of {engine.name}.", _instead(engine)) from None


def _instead(engine: NamedEngine) -> str:
    name = engine.name
    return (
        f'Put the key into an environment variable, and write key = "{FROM_ENVIRONMENT}VARIABLE" below '
        f"[engines.{name}] in config.toml, or `longdesk engines add {name} {engine.url} --key-env VARIABLE --replace`."
    )


def _sendable(key: str, name: str) -> str:
    """Raises UsageError for what no header can carry; the key is not in the error."""
    if len(key) > _MOST_CHARACTERS or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"The key of {name} has signs in it that no key has, such as a blank or a line end within it.",
            f"Enter it again: `longdesk engines key {name}`.",
        )
    return key
