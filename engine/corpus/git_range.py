"""The commits of a range such as v1.0..v2.0, a source each: its message and its diff.

git is never run on the checkout: see `order.git_changes`, whose way this is. The names of a range are looked up in the
checkout's files, so that git hears of ids alone; what is no name is refused before.
"""

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Timer

from engine.corpus.order.git_changes import (
    COMMIT_ID,
    NOTHING_RUNS,
    WITHOUT,
    Objects,
    environment,
    head_of,
    leads_out,
    make_repository,
    objects_of,
)
from engine.corpus.source import Corpus, Source, digest_text
from engine.corpus.walk.checkout import checkout_above, git_folders, lies_in, read_small
from engine.errors import SourceRefused, UsageError

MOST_COMMITS = 2_000
MOST_BYTES = 64 << 20
_MOST_SECONDS = 60.0
_MOST_REFS_BYTES = 64 << 20
_MOST_FILE = "8m"  # a larger one is said to differ, and not compared: git would hold it whole
_RANGE = re.compile(r"([^\s.][^\s]*?)?\.\.(?!\.)([^\s.][^\s]*)?")
_END = re.compile(r"([A-Za-z0-9_@][A-Za-z0-9_./+@-]*?)((?:[~^][0-9]{0,6})*)")
_SHORT_ID = re.compile(r"[0-9a-f]{4,64}")
_POINTER = re.compile(rb"ref: (refs/[^\0\n]+)")
_COMMIT = re.compile(r"commits/\d{4,}-([0-9a-f]{8})")
_FIELDS = "%H%x00%an%x00%aI%x00%s%x00%b"
_REMEDY = (
    "Name two commits that are there; or write a file with `git diff OLD..NEW > changes.diff`, and ask about that."
)


def read_range(path: Path, wanted: str, *, top: str | None = None) -> Corpus:
    """The commits of a range of the checkout that a folder lies in, the oldest first; of a folder below its root those
    that changed something there.

    top: a folder above which nothing is read, nor what git keeps elsewhere. Raises UsageError where there is no
    checkout, no git or no such range, SourceRefused where it is empty, too large, or git cannot read it.
    """
    folder = Path(os.path.abspath(path))
    root = folder if os.path.lexists(folder / ".git") else checkout_above(folder)
    folders = git_folders(str(root), top, stays=top is not None) if root is not None else None
    git = shutil.which("git")
    if root is None or folders is None or leads_out(folders[1], top):
        raise UsageError(f"{path} lies in no git checkout.", "Name a folder of one with --git.")
    if git is None:
        raise UsageError("git is not installed here.", "Install it, or ask about a folder of diffs.")
    ends = [_resolved(end, folders) for end in _ends(wanted)]
    head = next((id for id, _ in ends if COMMIT_ID.fullmatch(id.encode())), None) or head_of(*folders) or "0" * 40
    below = folder.relative_to(root).as_posix()
    with tempfile.TemporaryDirectory(prefix="longdesk-range-") as empty:
        make_repository(Path(empty), head, shallow=read_small(os.path.join(folders[1], "shallow")))
        span = "..".join(id + steps for id, steps in ends)
        mark = secrets.token_hex(16)
        try:
            with objects_of(folders[1], top) as objects:
                output = _log(git, empty, span, mark, objects, below if below != "." else None, wanted)
        except OSError as error:
            raise SourceRefused(f"git cannot read {wanted} ({error.strerror or error}).", _REMEDY) from error
    sources = tuple(_sources(output, mark))
    if not sources:
        raise SourceRefused(f"{wanted} has no commits.", "Write the older end first: OLD..NEW.")
    if len(sources) > MOST_COMMITS:
        raise SourceRefused(f"{wanted} has more than {MOST_COMMITS:,} commits.", "Name a smaller range.")
    return Corpus(sources)


def folder_and_range(wanted: str) -> tuple[str, str]:
    """What "src v1.0..v2.0" says: a folder, "" for none, and a range."""
    folder, _, span = wanted.strip().rpartition(" ")
    return folder.strip(), span


def at_known_paths(corpus: Corpus, known: Collection[str]) -> Corpus:
    """The commits of a range; those that a session has already, of another range, by the paths that they have there.
    known: its paths."""
    there = {found[1]: path for path in known if (found := _COMMIT.match(path))}
    sources = (
        replace(source, path=there.get(found[1], source.path)) if (found := _COMMIT.match(source.path)) else source
        for source in corpus.sources
    )
    return replace(corpus, sources=tuple(sources))


def _ends(wanted: str) -> tuple[str, str]:
    """The two ends of a range; one that is left out is the commit that is checked out."""
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or "..." in wanted or not (found[1] or found[2]):
        raise UsageError(
            f"{wanted} is no range of commits.", "Write it as OLD..NEW, such as v1.0..v2.0 or HEAD~20..HEAD."
        )
    return found[1] or "HEAD", found[2] or "HEAD"


def _resolved(end: str, folders: tuple[str, str]) -> tuple[str, str]:
    """The id of what an end names, or its beginning, and the steps back from there."""
    found = _END.fullmatch(end)
    if found is None or ".." in end or "@{" in end:
        raise UsageError(f"{end} names no commit.", "Write a tag, a branch or an id, with ~N for N commits before.")
    name, steps = found[1], found[2]
    id = head_of(*folders) if name in ("HEAD", "@") else _id_of(name, folders[1])
    if id is None and _SHORT_ID.fullmatch(name):
        id = name
    if id is None:
        raise UsageError(f"The checkout has no commit {end}.", _REMEDY)
    return id, steps


def _id_of(name: str, common: str) -> str | None:
    """The id of a tag or a branch, as git looks for it."""
    places = [f"{prefix}{name}" for prefix in ("", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/")]
    places = [place for place in places if place.startswith("refs/")]
    packed = read_small(os.path.join(common, "packed-refs"), _MOST_REFS_BYTES) or b""
    known = {of: id for id, _, of in (line.partition(b" ") for line in packed.splitlines())}
    for place in places:
        value = _loose(place, common) or known.get(place.encode(), b"")
        pointer = _POINTER.fullmatch(value)  # of one such as origin/HEAD
        if pointer is not None:
            value = _loose(os.fsdecode(pointer[1]), common) or known.get(pointer[1], b"")
        if COMMIT_ID.fullmatch(value):
            return value.decode()
    return None


def _loose(place: str, common: str) -> bytes:
    path = os.path.join(common, place)
    return (read_small(path) or b"").strip() if ".." not in place and lies_in(path, common) else b""


def _log(git: str, repository: str, span: str, mark: str, objects: Objects, below: str | None, wanted: str) -> bytes:
    """What git's log says of a range. Raises SourceRefused."""
    what = [
        *("--reverse", "--patch", "--no-color", "--encoding=UTF-8", "--find-renames", "--submodule=short"),
        *(f"--max-count={MOST_COMMITS + 1}", f"--format={mark}{_FIELDS}%x00"),
    ]
    options = ["--no-pager", f"--git-dir={repository}", "--literal-pathspecs", *NOTHING_RUNS]
    options += ["-c", f"core.bigFileThreshold={_MOST_FILE}"]
    with subprocess.Popen(
        [git, *options, "log", *what, *WITHOUT, "--end-of-options", span, "--", *([below] if below else [])],
        env=environment(repository, objects.path),
        pass_fds=objects.descriptors,
        cwd=repository,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        clock = Timer(_MOST_SECONDS, process.kill)
        clock.daemon = True
        clock.start()
        try:
            output = process.stdout.read(MOST_BYTES + 1)
        except BaseException:  # Ctrl-C
            process.kill()
            raise
        finally:
            is_late = not clock.is_alive()
            clock.cancel()
        if len(output) > MOST_BYTES:
            process.kill()
    if len(output) > MOST_BYTES:
        raise SourceRefused(f"The changes of {wanted} are over {MOST_BYTES >> 20} MiB.", "Name a smaller range.")
    if is_late:
        raise SourceRefused(f"git took over {_MOST_SECONDS:.0f} s to read {wanted}.", "Name a smaller range.")
    if process.returncode != 0:
        raise SourceRefused(f"git cannot read {wanted}.", _REMEDY)
    return output


def _sources(output: bytes, mark: str) -> Iterator[Source]:
    for number, piece in enumerate(output.split(mark.encode())[1:], 1):
        whole = piece.decode("utf-8", "replace")
        n_bad = whole.count("\ufffd") - piece.count("\ufffd".encode())
        id, author, date, subject, body, diff = whole.split("\0", 5)
        head = f"commit {id}\nAuthor: {author}\nDate: {date}\n\n{subject}\n"
        text = "\n".join(part for part in (head, body.strip() and f"{body.strip()}\n", diff.strip("\n")) if part) + "\n"
        slug = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[:48].strip("-")
        yield Source(
            path=f"commits/{number:04}-{id[:8]}{slug and '-' + slug}.diff",
            kind="text",
            text=text,
            n_bytes=len(text.encode("utf-8", "surrogatepass")),
            digest=digest_text(text),
            encoding="utf-8",
            notes=(f"Not quite UTF-8: {n_bad:,} {'place was' if n_bad == 1 else 'places were'} replaced by \ufffd.",)
            if n_bad
            else (),
        )
