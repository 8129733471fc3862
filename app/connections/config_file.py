"""The [engines.NAME] tables of config.toml, written: what else stands in the file stays as it is, comments too."""

import os
from contextlib import suppress
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from app.connections.keys import forget_key
from app.connections.named import KEYRING, NamedEngine
from engine.errors import UsageError


def write_engine(path: Path, engine: NamedEngine, *, replaces: bool = False) -> None:
    """Adds an engine to the file. replaces: or changes the one of its name, where it stands.

    Raises UsageError where there is one and it is not to be changed, and where the file cannot be read or written.
    """
    document = _read(path)
    if engine.name in document.get("engines", {}) and not replaces:
        raise UsageError(
            f"There is an engine {engine.name} already.", "Change it with --replace, or choose another name."
        )
    if "engines" not in document:
        document["engines"] = tomlkit.table(is_super_table=True)
    table = tomlkit.table()
    for name, value in engine.to_table().items():
        if isinstance(value, dict):
            inline = tomlkit.inline_table()
            inline.update(value)
            value = inline
        table[name] = value
    document["engines"][engine.name] = table
    _write(path, document)


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


def _read(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "Mend or remove it.") from None


def _write(path: Path, document: tomlkit.TOMLDocument) -> None:
    """Whole or not at all: whoever reads it meanwhile finds the one or the other."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        beside.write_text(tomlkit.dumps(document), encoding="utf-8")
        beside.chmod(mode)
        beside.replace(path.resolve())
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise UsageError(f"{path} cannot be written: {error.strerror}.", "See to the rights of its folder.") from None
