"""A summary as a value: its pages, each statement with what shows it, the parts of the codebase, and how it was read.
How it is written out is left to the modules beside this one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from engine.answer.citations import Citation, Status, citation_from
from engine.corpus.wording import counted, listed

FORMAT, VERSION = "longdesk summary", 1
Digests = Mapping[str, str]  # of sources, by path


@dataclass(frozen=True, slots=True)
class Statement:
    """A line of a page. part: the key of the part that it was noted of, '' for the whole. citation: None where nobody
    looked for words."""

    text: str
    citation: Citation | None = None
    part: str = ""

    @property
    def is_shown(self) -> bool:
        """Whether words of the sources stand behind it."""
        return self.citation is not None and self.citation.status is Status.VERIFIED


@dataclass(frozen=True, slots=True)
class Section:
    """heading: '' at the top of a page. part: the key of the part that it is about, '' for none."""

    heading: str
    statements: tuple[Statement, ...]
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """name: unique, of a file without its suffix. sources: what it stands on. why_not: a sentence on why it is not
    published, '' where it is. redone: whether anything of it was written in the last run."""

    name: str
    title: str
    sections: tuple[Section, ...]
    sources: Digests = field(repr=False)
    why_not: str = ""
    redone: bool = True

    @property
    def is_published(self) -> bool:
        return not self.why_not

    @property
    def statements(self) -> Iterator[Statement]:
        return (each for section in self.sections for each in section.statements)

    def changed_since(self, now: Digests) -> tuple[str, ...]:
        """Its sources that are not as they were: the page is stale."""
        return tuple(path for path, digest in self.sources.items() if now.get(path) != digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRecord:
    """A part of the codebase. label: where it lies. name, description: the model's, '' where it gave none. n_passes:
    that read it. imports: how often its files import those of others, by key."""

    key: str
    label: str
    name: str
    description: str
    sources: Digests = field(repr=False)
    n_tokens: int
    n_passes: int
    imports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the sources were read. n_once: of n_sources, those of which every character was read exactly once.

    n_kept: passes that were there from before. n_calls, n_whole: replies asked for, and those that are whole in their
    form: the others were cut by their length, and their last line left out. read_tokens, reused_tokens: of prompts.
    """

    n_sources: int
    n_once: int
    n_tokens: int
    n_passes: int
    n_kept: int
    n_calls: int
    n_whole: int
    read_tokens: int
    reused_tokens: int
    seconds: float

    @property
    def sentence(self) -> str:
        """ "Read in 12 passes, 412 of 412 sources, each once"."""
        kept = f", {self.n_kept:,} of them kept from before" if self.n_kept else ""
        return (
            f"Read in {counted(self.n_passes, 'pass', 'passes')}{kept}, {self.n_once:,} of "
            f"{counted(self.n_sources, 'source')}, each once"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """evidence: why no words are looked for with this model, '' where they are. left_out: a sentence on what the plan
    did not see. skipped: paths and reasons of what was not read; unseen: of them, those that a model which sees would
    be sent. model_digest: tells models of one name apart, '' where it was not kept."""

    title: str
    model: str
    created: str
    session: str
    room: int
    purpose: str
    pages: tuple[Page, ...]
    parts: tuple[PartRecord, ...]
    reading: Reading
    evidence: str = ""
    left_out: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    unseen: tuple[str, ...] = ()
    model_digest: str = ""

    @property
    def digests(self) -> Digests:
        """Of every source as it was read."""
        return {path: digest for part in self.parts for path, digest in part.sources.items()}

    def stale(self, now: Digests) -> dict[str, tuple[str, ...]]:
        """Pages that are not of these sources, by name, with what changed; new sources are the map's."""
        found = {page.name: changed for page in self.pages if (changed := page.changed_since(now))}
        known = {*self.digests, *self.unseen}
        if new := tuple(path for path in now if path not in known):
            found["map"] = (*found.get("map", ()), *new)
        return found

    def page(self, name: str) -> Page | None:
        return next((page for page in self.pages if page.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """As it is stored, and printed."""
        pages = [{**_plain(page), "sections": [_section(each) for each in page.sections]} for page in self.pages]
        known = {name: getattr(self, name) for name in _PLAIN}
        skipped = [{"path": path, "reason": reason} for path, reason in self.skipped]
        return {
            "format": FORMAT,
            "version": VERSION,
            **known,
            "reading": asdict(self.reading),
            "parts": [_plain(part) for part in self.parts],
            "pages": pages,
            "skipped": skipped,
            "unseen": list(self.unseen),
            "model_digest": self.model_digest,
        }


_PLAIN = ("title", "model", "created", "session", "room", "purpose", "evidence", "left_out")


def summary_from(kept: Mapping[str, Any]) -> Summary:
    """The way back from to_json. Raises KeyError, TypeError or ValueError for what is none."""
    if kept["format"] != FORMAT or kept["version"] != VERSION:
        raise ValueError("another format")
    pages = tuple(
        Page(
            **{name: page[name] for name in ("name", "title", "sources", "why_not", "redone")},
            sections=tuple(_section_from(each) for each in page["sections"]),
        )
        for page in kept["pages"]
    )
    return Summary(
        **{name: kept[name] for name in _PLAIN},
        pages=pages,
        parts=tuple(PartRecord(**part) for part in kept["parts"]),
        reading=Reading(**kept["reading"]),
        skipped=tuple((each["path"], each["reason"]) for each in kept["skipped"]),
        unseen=tuple(kept.get("unseen", ())),
        model_digest=str(kept.get("model_digest", "")),
    )


def unpublished(page: Page, *, looked: bool) -> Page:
    """The page; with why it is not published where nothing of it is shown. looked: whether words were looked for."""
    n_statements = sum(1 for _ in page.statements)
    if not n_statements:
        return replace(page, why_not="The notes of the parts say nothing about it.")
    if looked and not any(each.is_shown for each in page.statements):
        few = "its only statement" if n_statements == 1 else f"any of its {n_statements:,} statements"
        return replace(page, why_not=f"No words of the sources were found that show {few}.")
    return page


def stale_sentence(changed: Sequence[str]) -> str:
    return f"Stale: {listed(changed)} changed since this was written."


def _plain(value: Page | PartRecord) -> dict[str, Any]:
    names = [name for name in value.__slots__ if name != "sections"]
    return {name: dict(at) if isinstance(at := getattr(value, name), Mapping) else at for name in names}


def _section(section: Section) -> dict[str, Any]:
    return {
        "heading": section.heading,
        "part": section.part,
        "statements": [
            {"text": each.text, "part": each.part, "citation": each.citation and each.citation.to_json()}
            for each in section.statements
        ],
    }


def _section_from(kept: Mapping[str, Any]) -> Section:
    statements = tuple(
        Statement(each["text"], each["citation"] and citation_from(each["citation"]), each["part"])
        for each in kept["statements"]
    )
    return Section(kept["heading"], statements, kept["part"])
