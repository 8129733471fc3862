"""The skeleton of a corpus: its tree, README, package files, imports and signatures, in as much detail as there is room
for. What was left out of it is said."""

import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.passes.summary.outline import Outline
from engine.backend import Source

_NAME = "skeleton"  # of the source that it is sent as
_PACKAGE_FILES = {
    *(
        "pyproject.toml",
        "setup.cfg",
        "setup.py",
        "requirements.txt",
        "package.json",
        "Cargo.toml",
        "go.mod",
        "Makefile",
    ),
    *("Dockerfile", "docker-compose.yml", "compose.yaml", "pom.xml", "build.gradle", "build.gradle.kts", "Gemfile"),
    *("CMakeLists.txt", "meson.build", "composer.json", "mix.exs", "Package.swift", "tox.ini", "Justfile", "justfile"),
}
_SHORTEST = 300  # characters of a README or package file
_MOST_FILES = 12  # READMEs and package files that are shown


@dataclass(frozen=True, slots=True)
class Skeleton:
    """As it is sent. left_out: a sentence on what of it had no room, '' where all had."""

    source: Source
    left_out: str = ""


def skeleton_of(
    sources: Sequence[Source], outlines: Mapping[str, Outline], fits: Callable[[Source], bool]
) -> Skeleton | None:
    """The most detailed one that fits; None where not even the names at the top do."""
    for said, lines, n_characters in _levels(sources, outlines):
        text = "\n".join([*lines, *_shown(sources, n_characters)])
        made = Source.written(_NAME, text)
        if fits(made):
            left_out = f"The plan was made from a skeleton without {said}: more has no room in a pass."
            return Skeleton(made, left_out if said else "")
    return None


def _levels(sources: Sequence[Source], outlines: Mapping[str, Outline]) -> Iterator[tuple[str, Sequence[str], int]]:
    """From the most detailed one: what is left out, the lines of the tree, and the characters of each file shown."""
    whole = [line for source in sources for line in _file(source, outlines[source.path], nested=True)]
    yield "", whole, 3_000
    yield "", whole, 1_500
    top = [line for source in sources for line in _file(source, outlines[source.path], nested=False)]
    yield "methods", top, 1_500
    yield "imports and signatures", [_named(source) for source in sources], 1_000
    yield "imports and signatures", [_named(source) for source in sources], _SHORTEST
    deepest = max((source.path.count("/") for source in sources), default=0)
    for depth in range(deepest, 0, -1):
        yield "the names of files", _folders(sources, depth), _SHORTEST
    yield "all but the folders at the top", _folders(sources, 1)[:40], 0


def _file(source: Source, outline: Outline, *, nested: bool) -> Iterator[str]:
    yield _named(source)
    if outline.imports:
        names = dict.fromkeys(name if name.startswith(".") else name.split(".")[0] for name in outline.imports)
        yield f"  imports {', '.join(list(names)[:12])}"
    for signature in outline.signatures:
        if nested or not signature.startswith(" "):
            yield f"  {signature}"


def _named(source: Source) -> str:
    return f"{source.path} (lines: {source.text.count(chr(10)) + 1:,})"


def _folders(sources: Sequence[Source], depth: int) -> list[str]:
    counts = Counter("/".join(posixpath.dirname(source.path).split("/")[:depth]) for source in sources)
    return [f"{folder or '.'}/ (files: {n_files:,})" for folder, n_files in sorted(counts.items())]


def _shown(sources: Sequence[Source], n_characters: int) -> Iterator[str]:
    """READMEs and package files, those at the top first; of each its beginning."""
    wanted = [source for source in sources if _is_shown(posixpath.basename(source.path))]
    if not n_characters:
        return
    for source in sorted(wanted, key=lambda source: source.path.count("/"))[:_MOST_FILES]:
        text = source.text[:n_characters]
        cut = "" if len(text) == len(source.text) else "\n[...]"
        yield f"\n== {source.path} ==\n{text}{cut}"


def _is_shown(name: str) -> bool:
    return name in _PACKAGE_FILES or name.lower().startswith("readme")
