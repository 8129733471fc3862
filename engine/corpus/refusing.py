"""What is said where nothing of what was given can be read: why, and what to do about it at that door."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from engine.corpus.rules import NESTED_ZIP, ZIP_IN_ZIP, ZIP_TOO_DEEP
from engine.corpus.source import Cause, Corpus, Skipped
from engine.corpus.walk.streams import stream_name
from engine.corpus.wording import printable
from engine.errors import SourceRefused

_NAMED = 3  # of what was skipped, when nothing is left


def refuse_empty(corpus: Corpus, paths: Sequence[Path], *, on_page: bool = False) -> None:
    """Nothing where the corpus holds a source. Errors: SourceRefused where it holds none, saying why, and what to do
    at that door."""
    if corpus.sources:
        return
    given = ", ".join(printable(str(path)) for path in paths)
    if not corpus.skipped:
        raise SourceRefused(f"There are no files in {given}.", "Give a file, a folder or a zip that holds some.")
    zipped = all(path.suffix.lower() == ".zip" for path in paths)
    if len(corpus.skipped) == 1:
        skipped = corpus.skipped[0]
        remedy = _remedy_for(skipped, zipped=zipped, on_page=on_page)
        raise SourceRefused(f"{skipped.path} was skipped: {skipped.reason}.", remedy)
    counts = Counter(map(_in_a_word, corpus.skipped)).most_common(3)
    causes = ", ".join(f"{n_files:,} {cause}" for cause, n_files in counts)
    n_skipped, reasons = len(corpus.skipped), _first_reasons(corpus.skipped)
    fact = f"Nothing to read is left of {given}: all {n_skipped:,} entries were skipped ({causes}).{reasons}"
    if any(skipped.can_include for skipped in corpus.skipped):
        back = "Give what you need by itself" if on_page else "Bring back what you need by naming it"
        back = "Unpack it and give what you need by itself" if zipped else back
        raise SourceRefused(fact, f"{back}, or give other files.")
    raise SourceRefused(fact, "Give other files: text, PDF or images.")


def _first_reasons(skipped: Sequence[Skipped]) -> str:
    named = "".join(f" {one.path}: {one.reason}." for one in skipped[:_NAMED])
    return named + (f" So are {len(skipped) - _NAMED:,} more." if len(skipped) > _NAMED else "")


def _in_a_word(skipped: Skipped) -> str:
    return "archives" if skipped.reason in (NESTED_ZIP, ZIP_IN_ZIP, ZIP_TOO_DEEP) else _CAUSES[skipped.cause]


def named_by_hand(skipped: Sequence[Skipped], paths: Sequence[Path]) -> tuple[Skipped, ...]:
    """Those that were given themselves, not found in a folder or a zip; what is called alike there counts as such."""
    names = {name for path in paths for name in _names(path)}
    return tuple(one for one in skipped if one.path in names)


def _names(path: Path) -> tuple[str, str]:
    """The paths by which a file that is given itself goes: its name, below its folder's where that is taken."""
    given = Path(os.path.abspath(path))
    name = printable(stream_name(path) if stream_name(path) != path.name else given.name)
    return name, f"{printable(given.parent.name or 'root')}/{name}"


def _remedy_for(skipped: Skipped, *, zipped: bool, on_page: bool) -> str:
    """zipped: it lies in a zip, where nothing can be named by itself."""
    if skipped.cause is Cause.EXCLUDED:
        return 'Empty the field "Leave out what matches".' if on_page else "Leave that --exclude away."
    if ";" in skipped.reason:  # behind it stands what to do
        return ""
    if not skipped.can_include:
        return "Give another file."
    if zipped:
        return "Unpack the zip and give the file by itself, or give another one."
    return f"{'Give it by itself' if on_page else 'Bring it back by naming it'}, or give another file."


_CAUSES = {
    Cause.EMPTY: "empty",
    Cause.BINARY: "not text",
    Cause.TOO_LARGE: "too large",
    Cause.ENCRYPTED: "behind a password",
    Cause.BROKEN: "damaged",
    Cause.UNREADABLE: "not readable",
    Cause.IGNORED: "ignored by .gitignore",
    Cause.EXCLUDED: "left out by --exclude",
    Cause.GENERATED: "left out by default",
    Cause.LINK: "links",
    Cause.UNSAFE: "unsafe",
    Cause.NO_TEXT: "without text",
    Cause.NO_PAGE: "without a page that --draw-pages names",
    Cause.NO_VISION: "images that the model cannot see",
    Cause.GONE: "not there any more",
}
