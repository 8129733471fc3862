"""The commits of a range that the page reads for a question, such as one for release notes: of a checkout in a folder
that it may read, and nothing of it that lies above that folder."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from engine.backend import Corpus
from engine.corpus.git_range import at_known_paths, folder_and_range, read_range
from engine.corpus.walk.checkout import checkout_above
from engine.errors import UsageError


def read_commits(wanted: str, roots: Sequence[Path], *, origins: Collection[str], known: Collection[str]) -> Corpus:
    """Those that "FOLDER OLD..NEW" names; without a folder, of the checkout that the session's sources lie in, or else
    of the first root that lies in one.

    origins: where the sources lie on this machine. known: the paths of a session, where a commit has the one that it
    has there. Raises UsageError for a folder that may not be read, and as read_range does.
    """
    folder, span = folder_and_range(wanted)
    roots = [root.expanduser().resolve() for root in roots]
    place = inside_roots(folder, roots) if folder else _likely(roots, origins)
    top = _checkout(place)
    if top is not None and not _may_be_read(top, roots):
        raise UsageError(
            f"The checkout of {place} lies in {top}, where the page may not read.", f"Start it with --root {top}."
        )
    return at_known_paths(read_range(place, span), known)


def inside_roots(text: str, roots: Sequence[Path]) -> Path:
    """A file or folder of this machine that was typed, links followed. Raises UsageError for one that lies in none of
    the roots."""
    roots = [root.expanduser().resolve() for root in roots]
    given = Path(text.strip()).expanduser()
    places = [root / given for root in roots]  # given itself where it is absolute
    whole = next((place for place in places if os.path.lexists(place)), places[0] if places else given)
    try:
        path = whole.resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL in the path, links in a circle
        path = None
    if not text.strip() or path is None or not _may_be_read(path, roots):
        allowed = ", ".join(str(root) for root in roots)
        raise UsageError("The page may not read there.", f"It reads in {allowed}; --root adds a folder.")
    return path


def _likely(roots: Sequence[Path], origins: Collection[str]) -> Path:
    """Where a range is looked for that names no folder."""
    if not roots:
        raise UsageError("The page may read no folder of this machine.", "Start it with --root FOLDER.")
    tops = dict.fromkeys(_checkout(Path(origin).parent) for origin in origins)
    there = [top for top in tops if top is not None and _may_be_read(top, roots)]
    return there[0] if there else next((root for root in roots if _checkout(root) is not None), roots[0])


def _checkout(folder: Path) -> Path | None:
    """The root of the checkout that it is, or lies in."""
    return folder if os.path.lexists(folder / ".git") else checkout_above(folder)


def _may_be_read(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)
