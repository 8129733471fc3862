"""Where engines with a name are kept: their tables in config.toml, whose other lines stay as they are, comments too;
their keys in the environment or in the system's keyring, and nowhere else.

A key in the keyring is kept for a name and the host that it was entered for: an engine whose address is changed to
another host asks for it anew, and no other host is ever sent it.
"""

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

from app.connections.named import FROM_ENVIRONMENT, KEYRING, NamedEngine, engine_named
from engine.errors import MAKE_ROOM, LongdeskError, UsageError, is_full, keep_secret, why
from engine.remote.address import Entered, is_sendable

if TYPE_CHECKING:
    import tomlkit

_SERVICE = "longdesk"
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


def opened_as(model: str, engines: Sequence[NamedEngine]) -> tuple[str, Entered | None]:
    """The address of the engine over HTTP that a --model value names, and what was entered of it. Raises as
    engine_named and key_of do."""
    engine = engine_named(model, engines)
    return engine.address, entered(engine)


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
    if not is_sendable(key):
        raise UsageError(
            f"The key of {name} has signs in it that no key has, such as a blank or a line end within it.",
            f"Enter it again: `longdesk engines key {name}`.",
        )
    return key


def write_engine(path: Path, engine: NamedEngine, *, replaces: bool = False) -> None:
    """Adds an engine to the file. replaces: or changes the one of its name, where it stands.

    Raises UsageError where there is one and it is not to be changed, and where the file cannot be read or written.
    """
    document = _read(path)
    if engine.name in document.get("engines", {}) and not replaces:
        raise UsageError(
            f"There is an engine {engine.name} already.", "Change it with --replace, or choose another name."
        )
    wanted = {**_values(document).get("engines", {}), engine.name: engine.to_table()}
    try:
        _put(document, engine)
    except (TypeError, ValueError):  # of a file that has them within braces
        document.pop("engines")
    if _values(document).get("engines") != wanted:
        document.pop("engines", None)
        document["engines"] = _table(wanted)
    _write(path, document)


def _put(document: "tomlkit.TOMLDocument", engine: NamedEngine) -> None:
    """Where the engine stands already, what is said of it is changed there, with the comments beside it."""
    values = engine.to_table()
    if "engines" not in document:
        document["engines"] = _table({engine.name: values})
        return
    engines: Any = document["engines"]
    if engine.name not in engines:
        engines[engine.name] = _table(values)
        return
    for name in [name for name in engines[engine.name] if name not in values]:
        del engines[engine.name][name]
    for name, value in _table(values).items():
        engines[engine.name][name] = value


def _table(values: Mapping[str, Any]) -> Any:
    """Tables of tables as tables, those in them within braces."""
    import tomlkit

    has_tables = all(isinstance(value, dict) and "url" in value for value in values.values())
    table = tomlkit.table(is_super_table=has_tables)
    for name, value in values.items():
        inner: Any = value
        if isinstance(value, dict):
            inner = _table(value) if has_tables else tomlkit.inline_table()
            if not has_tables:
                inner.update(value)
        table[name] = inner
    return table


def _values(document: "tomlkit.TOMLDocument") -> dict[str, Any]:
    """What a file says, as whoever reads settings reads it."""
    return tomllib.loads(document.as_string())


def drop_engine(path: Path, engine: NamedEngine) -> None:
    """Takes an engine out of the file, and its key out of the keyring. Raises as write_engine does."""
    document = _read(path)
    engines = document.get("engines", {})
    if engine.name in engines:
        del engines[engine.name]
        if not engines:
            del document["engines"]
        _write(path, document)
    if engine.key == KEYRING:
        with suppress(UsageError):  # there is no keyring, so no key is in it
            forget_key(engine)


def _read(path: Path) -> "tomlkit.TOMLDocument":
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "Mend or remove it.") from None


def _write(path: Path, document: "tomlkit.TOMLDocument") -> None:
    """Whole or not at all: whoever reads it meanwhile finds the one or the other."""
    import tomlkit

    beside = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        beside.write_text(tomlkit.dumps(document), encoding="utf-8")
        beside.chmod(mode)
        beside.replace(path.resolve())
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> LongdeskError:
    if is_full(error):
        return LongdeskError(f"{path} cannot be written: {why(error)}. It is as it was.", MAKE_ROOM)
    return UsageError(f"{path} cannot be written: {why(error)}.", "See to the rights of its folder.")
