"""The pages of a summary, made of what was noted of the parts: those of a part from its notes as they are, those of the
whole written by the model from the notes, or put together where there is nothing to write."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from app.passes.summary.document import Page, PartRecord, Section, Statement
from app.passes.summary.forms import ASPECTS, Line
from engine.answer.citations import Citation
from engine.backend import Source

TITLES = {
    "purpose": "Purpose",
    "map": "Map of folders",
    "entry-points": "Entry points",
    "data-flow": "Data flow",
    "run-and-test": "How to run and test",
    "risks": "Risks",
    "glossary": "Glossary",
}
_OF_PURPOSE = 3  # lines on what a part does that the page on the whole's purpose is written from
_MOST_LINES = 4  # of a note that are sent at once


Said = tuple[Line, Citation | None]  # a line that a model wrote, and what was found to show it
Piece = tuple[Source, tuple[Statement, ...]]  # statements as they are sent to the model
Noted = Mapping[str, Sequence[Statement]]  # what was noted of a part under each aspect; its summary under ''


def noted_of(lines: Sequence[Said], part: str) -> dict[str, list[Statement]]:
    """What the passes over a part noted, each thing once: under the heading that says more than what it does."""
    section_of, made = dict[str, str](), dict[str, Statement]()
    for line, citation in lines:
        statement, told = Statement(line.text, citation, part), _told(line.text)
        if told not in made or (statement.is_shown and not made[told].is_shown):
            made[told] = statement
        if section_of.get(told, "purpose") == "purpose":
            section_of[told] = line.section
    found: dict[str, list[Statement]] = {"": [], **{aspect.key: [] for aspect in ASPECTS}}
    for told, section in section_of.items():
        found[section].append(made[told])
    return found


def part_page(record: PartRecord, noted: Noted, *, redone: bool) -> Page:
    sections = [Section("", (*noted[""],), record.key)]
    sections += [Section(aspect.heading, tuple(noted[aspect.key]), record.key) for aspect in ASPECTS]
    return Page(
        name=f"parts/{record.key}",
        title=record.label,
        sections=tuple(section for section in sections if section.statements),
        sources=dict(record.sources),
        redone=redone,
    )


def map_page(parts: Sequence[PartRecord], noted: Mapping[str, Noted], *, redone: bool) -> Page:
    """What lies where: of each part the model's sentence, and what its notes say it is for."""
    sections = []
    for part in parts:
        described = [Statement(part.description, None, part.key)] if part.description else []
        sections.append(Section(part.label, (*described, *noted[part.key][""]), part.key))
    return _whole("map", sections, parts, redone=redone)


def glossary_page(parts: Sequence[PartRecord], noted: Mapping[str, Noted], *, redone: bool) -> Page:
    """Every term once, in the alphabet's order."""
    terms = dict[str, Statement]()
    for part in parts:
        for each in noted[part.key]["glossary"]:
            term = _told(each.text.split(":")[0])
            if term not in terms or (each.is_shown and not terms[term].is_shown):
                terms[term] = each
    ordered = tuple(terms[term] for term in sorted(terms))
    return _whole("glossary", [Section("", ordered)] if ordered else [], parts, redone=redone)


def written_page(
    name: str, lines: Sequence[Statement], parts: Sequence[PartRecord], noted: Mapping[str, Noted], *, redone: bool
) -> Page:
    """A page of the whole: what the model wrote from the notes, then what was noted of each part."""
    sections = [Section("", tuple(lines))] if lines else []
    for part in parts:
        if of_part := tuple(aspect_of(name, noted[part.key])):
            sections.append(Section(part.label, of_part, part.key))
    return _whole(name, sections, parts, redone=redone)


def aspect_of(name: str, noted: Noted) -> list[Statement]:
    """What the notes of a part say that a page of the whole is about."""
    return [*noted[""], *noted[name][:_OF_PURPOSE]] if name == "purpose" else [*noted[name]]


def _whole(name: str, sections: Sequence[Section], parts: Sequence[PartRecord], *, redone: bool) -> Page:
    sources = {path: digest for part in parts for path, digest in part.sources.items()}
    return Page(name=name, title=TITLES[name], sections=tuple(sections), sources=sources, redone=redone)


# notes on their way to the model


def notes_for(
    name: str, parts: Sequence[PartRecord], noted: Mapping[str, Noted], fits: Callable[[Source], bool]
) -> Iterator[Piece]:
    """What a page is written from, part by part, in pieces that a call can read; with the statements of each."""
    for part in parts:
        statements = aspect_of(name, noted[part.key])
        for at in range(0, len(statements), _MOST_LINES):
            some = tuple(statements[at : at + _MOST_LINES])
            yield as_source(f"note of {part.label}", some, fits), some


def as_source(name: str, statements: Sequence[Statement], fits: Callable[[Source], bool]) -> Source:
    """Statements as they are sent, with the words that show them where there is room for these."""
    made = _source(name, "".join(f"- {each.text}\n{_words(each.citation)}" for each in statements))
    return made if fits(made) else _source(name, "".join(f"- {each.text}\n" for each in statements))


def statements_of(lines: Sequence[Said]) -> list[Statement]:
    """What a model wrote of the whole, each thing once."""
    found = dict[str, Statement]()
    for line, citation in lines:
        found.setdefault(_told(line.text), Statement(line.text, citation))
    return [*found.values()]


def with_parts(statements: Sequence[Statement], of: Mapping[str, str]) -> tuple[Statement, ...]:
    """The same, each with the part that its words stand in. of: of each path, the key of its part."""
    return tuple(
        replace(each, part=of.get(each.citation.path or "", "")) if each.citation is not None else each
        for each in statements
    )


def _words(citation: Citation | None) -> str:
    if citation is None or not citation.quote or citation.path is None:
        return ""
    return f'  "{" ".join(citation.quote.split())}" ({citation.path})\n'


def _source(name: str, text: str) -> Source:
    return Source.written(name, text)


def _told(text: str) -> str:
    """By which two statements count as one."""
    return " ".join(text.lower().split()).rstrip(".")
