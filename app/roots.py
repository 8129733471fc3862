"""The folders of this machine that the page may read, each held by descriptor from when it was first there.

What is typed is looked up by name, once, links followed; what that leads to is opened below the held folder, through no
link. So a root, or a folder in it, that is replaced by a link since leads nowhere.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from weakref import finalize

from engine.corpus.walk.held import (
    Given,
    given_at,
    identity_of,
    open_below,
    open_folder_as_it_lay,
    real_path,
    status_as_it_lay,
)
from engine.errors import UsageError


class Roots:
    """Folders as they were named: a relative one lies below the working directory, ~ is the user's home. Safe to use
    from several threads."""

    def __init__(self, named: Sequence[Path]) -> None:
        self._named = tuple(named)
        self._held: dict[Path, tuple[str, int]] = {}  # where each lay, and its descriptor
        self._lock = Lock()
        finalize(self, _close, self._held)
        self.folders()

    def folders(self) -> list[Path]:
        """Where they lie, links resolved, in their order: of one that is not there yet, where it would."""
        with self._lock:
            return [Path(self._place(named)) for named in self._named]

    def find(self, text: str) -> Path:
        """A file or folder that was typed, links followed. Raises UsageError for one that lies in none of them."""
        roots = self.folders()
        with suppress(OSError, ValueError, RuntimeError):  # a NUL in the path, links in a circle, no such user
            given = Path(text.strip()).expanduser()
            places = [root / given for root in roots]  # given itself where it is absolute
            whole = next((place for place in places if os.path.lexists(place)), places[0] if places else given)
            path = whole.resolve()
            if text.strip() and self.top_of(path) is not None:
                return path
        allowed = ", ".join(str(root) for root in roots)
        raise UsageError("The page may not read there.", f"It reads in {allowed}; --root adds a folder.")

    def top_of(self, path: Path) -> Path | None:
        """The folder of these that a path, its links resolved, lies in."""
        return next((root for root in self.folders() if path.is_relative_to(root)), None)

    def open(self, path: Path) -> Given:
        """What lies at such a path, see `held.Opener`. Raises UsageError where its folder is another one by now."""
        top = self.top_of(path)
        if top is None:
            raise PermissionError
        with self._lock:
            at, descriptor = next((held for held in self._held.values() if held[0] == str(top)), ("", -1))
        if not at:
            raise FileNotFoundError
        self._refuse_another(at, descriptor)
        return given_at(str(path), open_below(descriptor, str(path), at), at)

    def _place(self, named: Path) -> str:
        """Where a folder lies; from now on it is held, if it is there."""
        if named not in self._held:
            place = str(named)
            with suppress(RuntimeError):  # no such user
                place = str(named.expanduser())
            place = real_path(place) or os.path.abspath(place)
            try:
                self._held[named] = place, open_folder_as_it_lay(place)
            except (OSError, ValueError):
                return place
        return self._held[named][0]

    def _refuse_another(self, at: str, descriptor: int) -> None:
        with suppress(OSError):
            if descriptor < 0 or identity_of(status_as_it_lay(at)) == identity_of(os.fstat(descriptor)):
                return
        raise UsageError(f"{at} is not the folder that it was.", "Start Longdesk again to have the new one read.")


def _close(held: dict[Path, tuple[str, int]]) -> None:
    for _, descriptor in held.values():
        with suppress(OSError):
            os.close(descriptor)
