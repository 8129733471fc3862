"""What a git checkout says about ignoring, read from its files. git itself is never run on it: a config in the folder
could make it run a program. Matching is left to `ignore`, the .gitignore files below the given folder to `folder_walk`,
what is tracked to `git_index`, what its commits say to `git_changes`."""

import os
import re
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from engine.corpus.walk.held import open_folder_as_it_lay as open_folder_as_it_lay
from engine.corpus.walk.held import read_as_it_lay, real_path
from engine.corpus.walk.ignore import MAX_IGNORE_BYTES as MAX_IGNORE_BYTES
from engine.corpus.walk.ignore import Level, find_ignoring, parse, why_unheeded

EXCLUDE = "info/exclude"
_MAX_SMALL = 1024 * 1024


def level_from(data: bytes | None, n_base: int, origin: str, above: Level | None) -> Level | None:
    """The patterns in `data` on top of `above`; `above` alone where there are none, or too many."""
    patterns = parse(data) if data and why_unheeded(data) is None else None
    if patterns is None or not patterns.patterns:
        return above
    weight = patterns.weight + above.weight if above is not None else patterns.weight
    return Level(patterns, n_base, origin, above, weight)


def level_of_checkout(data: bytes | None, n_base: int) -> Level | None:
    """The lowest level of a checkout, from the content of its info/exclude."""
    return level_from(data, n_base, f".git/{EXCLUDE}", None)


def checkout_above(folder: Path, top: str | None = None) -> Path | None:
    """The root of the checkout that `folder` lies in, not being one itself; None outside of any. top: a folder above
    which nobody looks."""
    if os.path.lexists(folder / ".git") or str(folder) == top:
        return None
    for parent in folder.parents:
        if os.path.lexists(parent / ".git"):
            return parent
        if str(parent) == top:
            break
    return None


def level_above(checkout: Path, folder: Path, *, top: str | None = None) -> tuple[Level | None, bytes]:
    """The patterns in force from the root of the checkout that `folder` lies in down to the folder above it, and the
    path from that root to `folder`, with a slash at its end.

    Both are absolute and resolved. Where `folder` is ignored itself, its being named outranks those patterns. top: see
    `checkout_above`.
    """
    level = level_of_checkout(read_in_git(str(checkout), EXCLUDE, within=top, stays=top is not None), 0)
    at, prefix = checkout, b""
    for component in folder.relative_to(checkout).parts:
        origin = f"{os.path.relpath(at, folder)}/.gitignore".replace(os.sep, "/")
        level = level_from(read_as_it_lay(str(at / ".gitignore"), MAX_IGNORE_BYTES), len(prefix), origin, level)
        at, name = at / component, os.fsencode(component)
        if find_ignoring(level, prefix + name, name, is_folder=True):
            level = None
        prefix += name + b"/"
    return level, prefix


def read_in_git(
    checkout: str,
    name: str,
    *,
    within: str | None = None,
    stays: bool = False,
    max_bytes: int = _MAX_SMALL,
) -> bytes | None:
    """A file of the .git of the checkout whose root is this folder, be it a worktree or a submodule; b"" where there is
    none of that name, None where it cannot be told, for it lies elsewhere or is none to be read.

    name: EXCLUDE, or a file of the checkout alone, such as "index". within, stays: see git_folders.
    """
    folders = git_folders(checkout, within, stays=stays)
    if folders is None:
        return None
    path = os.path.join(folders[name == EXCLUDE], name)
    if not os.path.lexists(path):
        return b""
    return read_as_it_lay(path, max_bytes)


def git_folders(folder: str, within: str | None = None, *, stays: bool = False) -> tuple[str, str] | None:
    """Where git keeps what belongs to the checkout whose root is `folder`, and what all its worktrees share, both with
    their links resolved: what lies in them is opened through none. None where its .git leads nowhere or elsewhere.

    within: a folder that the user gave; `folder` itself where None. A .git that is a file or a link may point at any
    place. It is followed out of that folder only where the other side says the same: where a repository has this very
    folder as a worktree or a submodule of its own. A file in a stranger's folder cannot bring that about. stays: it is
    followed out of that folder in no case.
    """
    git, within = os.path.join(folder, ".git"), within or folder
    target = _target(git, folder)
    real = real_path(target) if target is not None else None
    if real is None or not (lies_in(real, within) or (not stays and _is_claimed(real, folder))):
        return None
    common = read_small(os.path.join(real, "commondir"))
    if common is None:
        return real, real
    said = os.path.join(real, os.fsdecode(common.strip()))
    shared = None if _is_remote(said) else real_path(said)
    if shared is None or not (
        lies_in(shared, within) or (not stays and lies_in(real, os.path.join(shared, "worktrees")))
    ):
        return None
    return real, shared


def _target(git: str, folder: str) -> str | None:
    """Where a .git is, or says that it is; None where it is nothing of git's. It is not waited for, be it a pipe."""
    try:
        mode = os.stat(git).st_mode
    except (OSError, ValueError):
        return None
    if S_ISDIR(mode):
        return git
    pointer = read_small(git) if S_ISREG(mode) else None
    if pointer is None or not pointer.startswith(b"gitdir:"):
        return None
    target = os.fsdecode(pointer.removeprefix(b"gitdir:").strip())
    return None if _is_remote(target) else os.path.join(folder, target)


def _is_remote(path: str) -> bool:
    """Whether a path names another machine, as Windows reads it; even looking there would tell that one something."""
    return path.replace("\\", "/").startswith("//")


def _is_claimed(git: str, folder: str) -> bool:
    """Whether what git keeps there says that it belongs to this checkout."""
    back = read_small(os.path.join(git, "gitdir"))
    if back is not None:
        return _is_same(os.path.join(git, os.fsdecode(back.strip())), os.path.join(folder, ".git"))
    worktree = _WORKTREE.search(read_small(os.path.join(git, "config")) or b"")
    return worktree is not None and _is_same(os.path.join(git, os.fsdecode(worktree[1].strip(b'" \t'))), folder)


_WORKTREE = re.compile(rb"^[ \t]*worktree[ \t]*=[ \t]*([^\r\n]+)", re.MULTILINE | re.IGNORECASE)


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.realpath(path) == os.path.realpath(other)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False


def lies_in(path: str, folder: str) -> bool:
    """Whether a path leads to a place in this folder, its links followed."""
    try:
        real, inside = os.path.realpath(path), os.path.realpath(folder)
    except (OSError, ValueError):
        return False
    return real == inside or real.startswith(inside.rstrip(os.sep) + os.sep)


def read_small(path: str, max_bytes: int = _MAX_SMALL) -> bytes | None:
    """The bytes of a plain file of up to max_bytes; None for anything else. Follows no link, as git, but for those on
    the way to its folder."""
    above, name = os.path.split(path)
    folder = real_path(above)
    return None if folder is None or not name else read_as_it_lay(os.path.join(folder, name), max_bytes)
