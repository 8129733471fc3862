"""A session's sources as folders. Drawing them is left to parts.sources."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from storage.records import SourceLink


@dataclass(frozen=True, slots=True)
class File:
    """A source in its folder. n_tokens is None while it cannot be counted."""

    name: str
    link: SourceLink
    n_tokens: int | None


@dataclass(slots=True)
class Folder:
    """A folder: path ends with a slash, "" is the root. Counts take in everything below."""

    name: str
    path: str
    folders: dict[str, "Folder"] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    n_sources: int = 0
    n_enabled: int = 0
    n_tokens: int = 0
    sent_tokens: int = 0

    def sources(self) -> Iterator[SourceLink]:
        """All sources below."""
        for folder in self.folders.values():
            yield from folder.sources()
        yield from (file.link for file in self.files)


def build_tree(links: Iterable[SourceLink], tokens: Mapping[str, int]) -> Folder:
    """The root folder of these sources, with the tokens of each by its path."""
    root = Folder("", "")
    for link in links:
        *parents, name = link.path.split("/")
        n_tokens = tokens.get(link.path)
        folder = root
        _count(folder, link, n_tokens or 0)
        for parent in parents:
            path = f"{folder.path}{parent}/"
            folder = folder.folders.setdefault(parent, Folder(parent, path))
            _count(folder, link, n_tokens or 0)
        folder.files.append(File(name, link, n_tokens))
    return root


def _count(folder: Folder, link: SourceLink, n_tokens: int) -> None:
    folder.n_sources += 1
    folder.n_tokens += n_tokens
    if link.enabled:
        folder.n_enabled += 1
        folder.sent_tokens += n_tokens
