"""What a git checkout says about ignoring, read from its files. git itself is never run on it: a config in the folder
could make it run a program. Matching is left to `ignore`, the .gitignore files below the given folder to `folder_walk`,
what its commits say to `git_changes`."""

import os
from pathlib import Path

from engine.corpus.walk.ignore import Level, find_ignoring, parse

MAX_IGNORE_BYTES = 1024 * 1024
_EXCLUDE_ORIGIN = ".git/info/exclude"


def level_from(data: bytes | None, n_base: int, origin: str, above: Level | None) -> Level | None:
    """The patterns in `data` on top of `above`; `above` alone where there are none."""
    patterns = parse(data) if data else None
    return Level(patterns, n_base, origin, above) if patterns and patterns.patterns else above


def level_of_checkout(data: bytes | None, n_base: int) -> Level | None:
    """The lowest level of a checkout, from the content of its info/exclude."""
    return level_from(data, n_base, _EXCLUDE_ORIGIN, None)


def level_above(folder: Path) -> tuple[Level | None, bytes]:
    """The patterns in force from the root of the checkout that `folder` lies in down to the folder above it, and the
    path from that root to `folder`, with a slash at its end; (None, b"") outside of any checkout.

    `folder` is absolute and resolved. Where it is ignored itself, its being named outranks those patterns.
    """
    checkout = next((parent for parent in folder.parents if os.path.lexists(parent / ".git")), None)
    if checkout is None or os.path.lexists(folder / ".git"):
        return None, b""
    level = level_of_checkout(read_exclude(str(checkout)), 0)
    at, prefix = checkout, b""
    for component in folder.relative_to(checkout).parts:
        origin = f"{os.path.relpath(at, folder)}/.gitignore".replace(os.sep, "/")
        level = level_from(read_small(str(at / ".gitignore")), len(prefix), origin, level)
        at, name = at / component, os.fsencode(component)
        if find_ignoring(level, prefix + name, name, is_folder=True):
            level = None
        prefix += name + b"/"
    return level, prefix


def read_exclude(folder: str) -> bytes | None:
    """The info/exclude of the checkout whose root is `folder`, be it a worktree or a submodule; or None."""
    folders = git_folders(folder)
    return read_small(os.path.join(folders[1], "info", "exclude")) if folders else None


def git_folders(folder: str) -> tuple[str, str] | None:
    """Where git keeps what belongs to the checkout whose root is `folder`, and what all its worktrees share; None where
    its .git is a file that points nowhere."""
    git = os.path.join(folder, ".git")
    if not os.path.isfile(git):
        return git, git
    pointer = read_small(git) or b""
    if not pointer.startswith(b"gitdir:"):
        return None
    git = os.path.join(folder, os.fsdecode(pointer.removeprefix(b"gitdir:").strip()))
    common = read_small(os.path.join(git, "commondir"))
    return git, os.path.join(git, os.fsdecode(common.strip())) if common else git


def read_small(path: str) -> bytes | None:
    """The bytes of a plain file of up to MAX_IGNORE_BYTES; None for anything else. Follows no link, as git."""
    try:
        if not os.path.isfile(path) or os.path.islink(path) or os.path.getsize(path) > MAX_IGNORE_BYTES:
            return None
        with open(path, "rb") as file:
            return file.read(MAX_IGNORE_BYTES)
    except (OSError, ValueError):  # ValueError: a NUL in a path that a .git file points to
        return None
