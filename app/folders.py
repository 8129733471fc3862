"""Folders on their way from browsers: what of a list is wanted, and the files, whole or not at all.

A tab of the page has a token, under which one folder at a time may come: a list of its files first, then the contents
of those that rules stand in, then the files that are wanted, in one request. What has arrived whole waits until the
page takes it. HTTP is left to `server`, reading the files to `intake`.
"""

import json
import secrets
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

from app.arrival import AGAIN, Arrival, Coming, Frames, Receiving
from app.uploads import private_folder
from engine.corpus.rules import DEFAULT_RULES, Rules
from engine.corpus.source import Cause
from engine.corpus.walk.listed_tree import choose, rule_files
from engine.errors import InputRefused, SourceRefused, UsageError, remedy_of, why

MAX_BYTES = DEFAULT_RULES.max_archive_bytes  # of a folder, as of a zip
_MAX_FILES = DEFAULT_RULES.max_archive_entries
_MAX_EXTRA_BYTES = 16 * 1024 * 1024  # of what is left out and sent all the same, so that it can be brought back
_MAX_TABS = 1_000
_WAITS_S = 3600.0


@dataclass(slots=True)
class _Tab:
    """What a token stands for."""

    home: Path
    exclude: tuple[str, ...]
    coming: Coming | None = None
    arrived: Arrival | None = None
    arrived_at: float = 0.0


class Folders:
    """All tabs of a process, and what is coming to each. Safe to use from several threads."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._tabs: dict[str, _Tab] = {}
        self._lock = Lock()

    def expect(self, token: str, home: Path, exclude: tuple[str, ...]) -> None:
        """From now on a folder may come under this token. exclude: what the user wants left out of it."""
        with self._lock:
            tab = self._tabs.pop(token, None) or _Tab(home, exclude)
            tab.exclude = exclude
            self._tabs[token] = tab  # at the end: the last that would be forgotten
            self._sweep()

    def take(self, token: str) -> Arrival | None:
        """What has arrived; it is the caller's from now on."""
        with self._lock:
            tab = self._tabs.get(token)
            arrived = tab.arrived if tab else None
            if tab:
                tab.arrived = None
        return arrived

    def close(self) -> None:
        """Deletes what nobody took."""
        with self._lock:
            for tab in self._tabs.values():
                if tab.arrived:
                    tab.arrived.discard()
            self._tabs.clear()

    def begin(self, token: str, body: bytes) -> dict[str, Any]:
        """Takes the list of a folder, which is expected from now on, instead of any before. Returns the id of what is
        coming, and the places of the files with rules.

        body: JSON, {"files": [path...], "closed": [path...]}. Errors: InputRefused, UsageError.
        """
        files, closed = _parse_list(body)
        with self._lock:
            tab = self._tab(token)
            tab.coming = Coming(secrets.token_urlsafe(12), files, closed, tab.exclude)
            return {"id": tab.coming.id, "rules": rule_files(files)}

    def judge(self, token: str, id: str, body: bytes) -> dict[str, Any]:
        """Takes the files with rules. Returns what to send: the places of the files that are wanted, of those that may
        be sent as well, and the limits. Errors: InputRefused, UsageError."""
        coming = self._coming(token, id)
        contents: dict[int, BytesIO] = {}

        def open_sink(at: int, n_bytes: int) -> BytesIO:
            return contents.setdefault(at, BytesIO())

        frames = Frames(open_sink)
        frames.feed(body)
        frames.finish()
        coming.rules = {at: sink.getvalue() for at, sink in contents.items()}
        coming.chosen = choose(coming.files, coming.rules, Rules(exclude=coming.exclude), closed=coming.closed)
        wanted = coming.wanted
        if len(wanted) > _MAX_FILES:
            fact = f"{len(wanted):,} files, over the limit of {_MAX_FILES:,} for a folder."
            raise SourceRefused(fact, "Leave some out, or give its folders one by one.")
        return {
            "send": wanted,
            "extra": list(coming.extras),
            "extra_bytes": _MAX_EXTRA_BYTES,
            "closed": [one.skipped.path for one in coming.left_out if one.skipped.cause is Cause.UNREADABLE],
            "left_out": sum(one.n_files for one in coming.left_out),
            "max_file_bytes": DEFAULT_RULES.max_file_bytes,
            "max_bytes": self._max_bytes,
        }

    def receive(self, token: str, id: str) -> "Receiving":
        """A place for the files. Errors: UsageError where they are on their way already or were not announced,
        SourceRefused where there is no place."""
        coming = self._coming(token, id)
        with self._lock:
            tab = self._tab(token)
            if coming.begun:
                raise UsageError("This folder is on its way already.")
            coming.begun = True
        try:
            return Receiving(coming, private_folder(tab.home), self._max_bytes, lambda done: self._end(token, id, done))
        except OSError as error:
            self._end(token, id, None)
            raise SourceRefused(f"There is no place for the folder ({why(error)}).", remedy_of(error, AGAIN)) from error

    def cancel(self, token: str, id: str) -> None:
        """Forgets what is coming. Files that are on their way are refused at their end."""
        self._end(token, id, None)

    def _end(self, token: str, id: str, arrived: Arrival | None) -> bool:
        """Ends what is coming. Returns whether it was still wanted; what arrived then waits to be taken."""
        with self._lock:
            tab = self._tabs.get(token)
            if tab is None or tab.coming is None or tab.coming.id != id:
                return False
            tab.coming = None
            if arrived is not None:
                if tab.arrived:
                    tab.arrived.discard()
                tab.arrived, tab.arrived_at = arrived, time.monotonic()
            return True

    def _tab(self, token: str) -> _Tab:
        tab = self._tabs.get(token)
        if tab is None:
            raise UsageError("Longdesk does not know this tab.", "Load the page again, then give the folder again.")
        return tab

    def _coming(self, token: str, id: str) -> Coming:
        with self._lock:
            coming = self._tab(token).coming
            if coming is None or coming.id != id:
                raise UsageError("This folder is not expected any more.", AGAIN)
            coming.touched = time.monotonic()
            return coming

    def _sweep(self) -> None:
        """Forgets what waits for too long, and the tabs that were not seen for the longest time."""
        now = time.monotonic()
        for tab in self._tabs.values():
            if tab.arrived and now - tab.arrived_at > _WAITS_S:
                tab.arrived.discard()
                tab.arrived = None
            if tab.coming and not tab.coming.begun and now - tab.coming.touched > _WAITS_S:
                tab.coming = None
        for token in list(self._tabs)[: max(0, len(self._tabs) - _MAX_TABS)]:
            tab = self._tabs.pop(token)
            if tab.arrived:
                tab.arrived.discard()


def _parse_list(body: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        said = json.loads(body)
        files = tuple(map(_path, said["files"]))
        closed = tuple(_path(path) for path in said.get("closed", ()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputRefused("The browser sent what Longdesk does not understand.", AGAIN) from None
    if not files and not closed:
        raise SourceRefused("There is nothing in the folder.", "An empty folder cannot be asked about.")
    if len(set(files)) < len(files):
        raise InputRefused("Two of the files go by the same path.", AGAIN)
    return files, closed


def _path(text: Any) -> str:
    """A path of the list. Half a character of UTF-16, which a file of Windows may have in its name, becomes a "?"."""
    if not isinstance(text, str):
        raise TypeError
    path = text.encode("utf-8", "replace").decode()
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise InputRefused("A path leads out of the folder.", AGAIN)
    return path


FOLDERS = Folders()
"""Those of this process: the web server's requests and the page's script meet here."""
