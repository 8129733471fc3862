"""Which sources of a corpus import which others, as far as their names tell."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from app.passes.summary.outline import PYTHON, Outline
from engine.backend import Source

_INDEX = {"__init__", "index", "mod"}  # files that stand for their folder


class Imports:
    """Finds what is meant by what a file imports."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._paths = {source.path for source in sources}
        self._packages = {posixpath.dirname(path) for path in self._paths if path.endswith("/__init__.py")}
        self._modules = dict[str, str]()
        self._by_end = defaultdict[str, list[str]](list)
        self._meant = dict[str, str | None]()
        for source in sources:
            if PurePosixPath(source.path).suffix in PYTHON:
                for name in self._names(source):
                    self._modules.setdefault(name, source.path)
            elif parts := _parts(source.path):
                self._by_end[parts[-1]].append(source.path)

    def of(self, path: str, outline: Outline) -> tuple[str, ...]:
        """The other sources that a file imports, each once."""
        is_python = PurePosixPath(path).suffix in PYTHON
        found = (self._python(path, name) if is_python else self._other(path, name) for name in outline.imports)
        return tuple(dict.fromkeys(each for each in found if each is not None and each != path))

    def _names(self, source: Source) -> Iterator[str]:
        """What a Python file's module may be called: from the outermost folder on that is a package, from the top of
        what was given, or from the folder that was given."""
        path, parts = source.path, _parts(source.path)
        folder, n_within = posixpath.dirname(path), 0
        while folder and folder in self._packages:
            folder, n_within = posixpath.dirname(folder), n_within + 1
        if n_within:
            yield ".".join(parts[len(folder.split("/")) if folder else 0 :])
        if not source.folder or "__init__.py" not in self._paths:
            yield ".".join(parts)
        yield ".".join(([source.folder] if source.folder else []) + (parts if path != "__init__.py" else []))

    def _python(self, path: str, name: str) -> str | None:
        if name.startswith("."):
            stripped = name.lstrip(".")
            folder = posixpath.dirname(path)
            for _ in range(len(name) - len(stripped) - 1):
                folder = posixpath.dirname(folder)
            at = posixpath.join(folder, *stripped.split(".")) if stripped else folder
            for stem in (at, posixpath.dirname(at)):
                for known in (f"{stem}.py", f"{stem}.pyi", posixpath.join(stem, "__init__.py")):
                    if known in self._paths:
                        return known
            return None
        names, folder = name.split("."), posixpath.dirname(path)
        beside = posixpath.join(folder, f"{names[0]}.py")
        if folder not in self._packages and beside in self._paths and beside != path:  # a script's own folder
            return beside
        beginnings = (".".join(names[:n]) for n in range(len(names), 0, -1))
        return next((self._modules[at] for at in beginnings if at in self._modules), None)

    def _other(self, path: str, name: str) -> str | None:
        if name.startswith("."):
            at = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
            return next((known for known in self._near(at, PurePosixPath(path).suffix) if known in self._paths), None)
        parts = [part for part in re.split(r"[./:\\]+", posixpath.splitext(name)[0] if "/" in name else name) if part]
        if name in self._paths or (beside := posixpath.join(posixpath.dirname(path), name)) in self._paths:
            return name if name in self._paths else beside
        if name not in self._meant:  # the same in thousands of files
            self._meant[name] = self._by_parts(name, parts)
        return self._meant[name]

    def _by_parts(self, name: str, parts: Sequence[str]) -> str | None:
        """The one file whose path ends in these."""
        for n in range(len(parts), 1 if "." not in name else 0, -1):
            fitting = [known for known in self._by_end.get(parts[n - 1], ()) if _parts(known)[-n:] == parts[:n]]
            if len(fitting) == 1:
                return fitting[0]
        return None

    def _near(self, at: str, suffix: str) -> Iterator[str]:
        yield at
        stem = posixpath.splitext(at)[0]
        for end in dict.fromkeys((suffix, ".ts", ".tsx", ".js", ".jsx", ".vue")):
            yield from (f"{at}{end}", f"{stem}{end}", f"{at}/index{end}")


def between(groups: Mapping[str, str], imports: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], int]:
    """How often files of one group import files of another. groups: of each path, its group."""
    counts = defaultdict[tuple[str, str], int](int)
    for path, imported in imports.items():
        for other in imported:
            if groups[path] != groups[other]:
                counts[groups[path], groups[other]] += 1
    return dict(counts)


def _parts(path: str) -> list[str]:
    """A path's names, without its suffix, and without the name of a file that stands for its folder."""
    *folders, name = path.split("/")
    stem = name.split(".")[0] or name
    return folders if stem in _INDEX and folders else [*folders, stem]
