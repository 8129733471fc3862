"""The commits of a range that the page reads for a question, such as one for release notes: of a checkout in a folder
that it may read, and nothing of it that lies above that folder or elsewhere."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from app.roots import Roots
from engine.backend import Corpus
from engine.corpus.git_range import at_known_paths, folder_and_range, read_range
from engine.corpus.walk.checkout import checkout_above
from engine.errors import UsageError


def read_commits(
    wanted: str, roots: Roots | Sequence[Path], *, origins: Collection[str], known: Collection[str]
) -> Corpus:
    """Those that "FOLDER OLD..NEW" names; without a folder, of the checkout that the session's sources lie in, or else
    of the first root that lies in one.

    origins: where the sources lie on this machine. known: the paths of a session, where a commit has the one that it
    has there. Raises UsageError for a folder that may not be read, and as read_range does.
    """
    folder, span = folder_and_range(wanted)
    roots = roots if isinstance(roots, Roots) else Roots(roots)
    place = roots.find(folder) if folder else _likely(roots, origins)
    top = _checkout(place)
    if top is not None and roots.top_of(top) is None:
        raise UsageError(
            f"The checkout of {place} lies in {top}, where the page may not read.", f"Start it with --root {top}."
        )
    return at_known_paths(read_range(place, span, top=str(roots.top_of(place) or place)), known)


def _likely(roots: Roots, origins: Collection[str]) -> Path:
    """Where a range is looked for that names no folder."""
    folders = roots.folders()
    if not folders:
        raise UsageError("The page may read no folder of this machine.", "Start it with --root FOLDER.")
    tops = dict.fromkeys(_checkout(Path(origin).parent) for origin in origins)
    there = [top for top in tops if top is not None and roots.top_of(top) is not None]
    return there[0] if there else next((root for root in folders if _checkout(root) is not None), folders[0])


def _checkout(folder: Path) -> Path | None:
    """The root of the checkout that it is, or lies in."""
    return folder if os.path.lexists(folder / ".git") else checkout_above(folder)
