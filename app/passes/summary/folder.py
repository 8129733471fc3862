"""The folder that a summary is written to: what of it is ours, and that nothing else in it is touched.

`summary.json` says which files Longdesk wrote, with their digests; one that somebody edited since is somebody's.
"""

import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from app.passes.summary.as_html import summary_page
from app.passes.summary.as_markdown import pages_as_markdown
from app.passes.summary.document import FORMAT, Summary, summary_from
from app.sources.joining import lies_there
from engine.corpus.walk.held import open_folder_as_it_lay, read_as_it_lay
from engine.errors import EngineFailed, UsageError, remedy_of, why

STATE = "summary.json"
_HTML = "summary.html"
_MOST_BYTES = 256 << 20  # of a state that is read
_NAMED = 3
_OURS = re.compile(r"summary\.html|(?:parts/)?[A-Za-z0-9_-][A-Za-z0-9._-]*\.md")


@dataclass(frozen=True, slots=True)
class Folder:
    """An --out folder that may be written to. session: whose summary lies there, if it was begun. given: what was
    summarized: paths as seen from the folder, and options. files: that Longdesk wrote, with the digests that are ours.
    """

    path: Path
    session: str | None = None
    given: Sequence[str] = ()
    summary: Summary | None = field(default=None, repr=False)
    files: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)


def open_folder(path: Path) -> Folder:
    """What lies there of a summary; the folder may be missing or empty.

    Raises UsageError for one that holds anything else, or a file of ours that was edited: neither is overwritten.
    """
    try:
        return _opened(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror or error}.", "Name another one with --out."
        ) from error


def _opened(path: Path) -> Folder:
    if not path.exists():
        return Folder(path)
    if not path.is_dir() or (path / "parts").is_symlink():
        raise UsageError(f"{path} is no folder.", "Name another one with --out.")
    state = _state(path)
    if state is None:
        if foreign := sorted(each.name for each in path.iterdir()):
            more = f" and {len(foreign) - _NAMED:,} more" if len(foreign) > _NAMED else ""
            raise UsageError(
                f"{path} holds what is no summary of Longdesk's: {', '.join(foreign[:_NAMED])}{more}. Nothing was "
                "written there.",
                "Name an empty or new folder with --out.",
            )
        return Folder(path)
    summary = _summary_of(state)
    files = _files_of(state)
    edited = [name for name, known in files.items() if (now := _digest(path / name)) is not None and now not in known]
    if edited:
        raise UsageError(
            f"{path / edited[0]} was edited since Longdesk wrote it. Nothing was written there.",
            "Move it out of the folder, or name another folder with --out.",
        )
    session, given = state.get("session"), state.get("given")
    return Folder(
        path,
        session if isinstance(session, str) else None,
        tuple(map(str, given)) if isinstance(given, list) else (),
        summary,
        files,
    )


def begin(folder: Folder, session: str, given: Sequence[str]) -> Folder:
    """Makes the folder, and writes down whose it is, so that a summary that breaks off goes on."""
    state = folder.summary.to_json() if folder.summary is not None else {"format": FORMAT, "version": 0}
    begun = Folder(folder.path, session, tuple(given), folder.summary, folder.files)
    _write_state(begun, {**state, "session": session}, folder.files)
    return begun


def write(
    folder: Folder, summary: Summary, origins: Mapping[str, str], stale: Mapping[str, Sequence[str]] = {}
) -> tuple[Path, ...]:
    """Writes the pages, each whole or not at all; removes those of an earlier run that are no more. The paths written.

    origins: where sources lie on this machine, by path. stale: as in as_markdown. Raises UsageError where a page's
    name is taken by a file that is not ours.
    """
    here = Path(os.path.realpath(folder.path))
    places = {path: Path(os.path.relpath(at, here)).as_posix() for path, at in origins.items() if lies_there(at)}
    texts = {**pages_as_markdown(summary, places, stale), _HTML: summary_page(summary, places, stale)}
    data = {name: text.encode("utf-8", "replace") for name, text in texts.items()}
    taken = [name for name in data if name not in folder.files and (folder.path / name).exists()]
    if taken:
        raise UsageError(
            f"{folder.path / taken[0]} is no file of Longdesk's, and was not overwritten.",
            "Move it, or name another folder with --out, and run the command again: what was read is kept.",
        )
    new = {name: (_bytes_digest(each),) for name, each in data.items()}
    both = {name: (*folder.files.get(name, ()), *new.get(name, ())) for name in {**folder.files, **new}}
    state = summary.to_json()
    _write_state(folder, state, both)  # first: whatever is written next is known to be ours
    for name, each in data.items():
        _put(folder.path, name, each)
    for name in folder.files.keys() - new.keys():
        if _digest(folder.path / name) in folder.files[name]:
            with suppress(OSError):
                (folder.path / name).unlink()
    _write_state(folder, state, new)
    return tuple(folder.path / name for name in data)


def _write_state(folder: Folder, state: Mapping[str, Any], files: Mapping[str, Sequence[str]]) -> None:
    known = {**state, "given": list(folder.given), "files": {name: list(each) for name, each in files.items()}}
    text = json.dumps(known, ensure_ascii=False, indent=1)
    if re.search("[\ud800-\udfff]", text):  # a path that is no UTF-8 is to be found again
        text = json.dumps(known, indent=1)
    _put(folder.path, STATE, f"{text}\n".encode())


def _state(path: Path) -> dict[str, Any] | None:
    data = read_as_it_lay(os.path.join(os.path.realpath(path), STATE), _MOST_BYTES)
    with suppress(ValueError, RecursionError):
        state = json.loads(data or b"null")
        if isinstance(state, dict) and state.get("format") == FORMAT:
            return state
    return None


def _summary_of(state: Mapping[str, Any]) -> Summary | None:
    """The summary in a state, which may be a stranger's: None where it cannot be written out, or outside of the folder
    alone."""
    try:
        summary = summary_from(state)
        names = [*pages_as_markdown(summary, {}, summary.stale({}))]
        summary_page(summary, {})
        return summary if all(map(_OURS.fullmatch, names)) else None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None


def _files_of(state: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The files that a state names; it may be a stranger's, and nothing outside of the folder is ours."""
    files = state.get("files")
    return {
        name: tuple(map(str, known))
        for name, known in (files.items() if isinstance(files, dict) else ())
        if isinstance(known, list) and _OURS.fullmatch(name)
    }


def _put(folder: Path, name: str, data: bytes) -> None:
    """Beside it first, then in its place: a kill leaves the old file or the new one. A folder in it that became a link
    is not written through."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = Path(os.path.realpath(folder)) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        parent = open_folder_as_it_lay(str(path.parent))
        try:
            _replace(path, None if parent < 0 else parent, data)
        finally:
            if parent >= 0:
                os.close(parent)
    except OSError as error:
        remedy = remedy_of(error, "Name another folder with --out.")
        raise EngineFailed(f"{folder / name} cannot be written: {why(error)}.", remedy) from error


def _replace(path: Path, parent: int | None, data: bytes) -> None:
    """parent: the descriptor of the folder that it lies in; None where the system opens by name. Raises OSError."""
    name = path.name if parent is not None else str(path)
    beside = os.path.join(os.path.dirname(name), f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=parent), "wb") as file:
        file.write(data)
    os.replace(beside, name, src_dir_fd=parent, dst_dir_fd=parent)


def _digest(path: Path) -> str | None:
    data = read_as_it_lay(os.path.join(os.path.realpath(path.parent), path.name), _MOST_BYTES)
    return None if data is None else _bytes_digest(data)


def _bytes_digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
