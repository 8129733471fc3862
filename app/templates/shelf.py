"""Shelf: the templates that there are, ours and the user's own, which come first where a name is the same; and what a
question calls that begins with /name.

A file that is no template is a fault with a sentence; the others serve as if it were not there.
"""

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from app.templates.template import MOST_BYTES, NAME, read_template
from app.templates.template import Blank as Blank  # whoever lists them needs these
from app.templates.template import Template as Template
from engine.errors import InputRefused, LongdeskError, UsageError

_OURS = Path(__file__).with_name("ours")
_SUFFIX = ".md"
_MOST_FILES = 500
_CALL = re.compile(r"/([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?=\s|\Z)")
_RANGE = re.compile(r"[^\s.]\S*?\.\.(?:[^\s.]\S*)?")  # of commits
_CODE = re.compile(
    r"\.(py|js|mjs|ts|tsx|jsx|java|kt|c|h|cc|cpp|hpp|cs|go|rs|rb|php|swift|scala|sh|ps1|sql|lua|pl|r|jl|m|hs|ml|exs?|erl"
    r"|clj|dart|vue|svelte|zig|nim|f90|asm|s?css|tf|proto)"
)
_DIFF = frozenset((".diff", ".patch"))


class Placed(Protocol):
    """A source as far as it is looked at here: a link of a session, or what was read for it."""

    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that is no template. name: that it would be called by. sentence: what is wrong, and the remedy."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a question calls: a template, with what it fills in. also: see Template.fill."""

    template: Template
    values: Mapping[str, str]
    also: str = ""

    @property
    def missing(self) -> bool:
        """Whether a blank has to be filled in yet."""
        return any(not self.values.get(name, "").strip() for name in self.template.needs)

    def line(self) -> str:
        """The question that calls so, as it would be typed."""
        blanks = "".join(f"\n{name}: {value}" for name, value in self.values.items())
        return f"/{self.template.name}{' ' + self.also if self.also else ''}{blanks}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A question that a template made. template: its name. sources: the kinds that it is about, none for all. commits:
    see Template.commits. settings: see Template."""

    text: str
    template: str
    sources: tuple[str, ...] = ()
    commits: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


class Shelf:
    """The templates in a folder of the user's and ours, looked at anew each time they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> tuple[Template, ...]:
        """By name; the user's own in place of ours."""
        return tuple(sorted(self._found()[0].values(), key=lambda each: each.name))

    def faults(self) -> tuple[Fault, ...]:
        """The files of the user's that are no templates."""
        return self._found()[1]

    def find(self, name: str) -> Template:
        """The template of this name. Raises UsageError without it, InputRefused where its file is none."""
        templates, faults = self._found()
        wanted = name.strip().removeprefix("/").lower()
        if not wanted:
            raise UsageError("No template is named.", "`longdesk templates list` shows them.")
        if wanted in templates and not any(fault.name == wanted for fault in faults):
            return templates[wanted]
        if any(sign in name.strip().removeprefix("/") for sign in "/\\") or name.lower().endswith(_SUFFIX):
            own = PurePosixPath(name.replace("\\", "/")).stem
            raise UsageError(
                f"A template is called by its name, not by a path: {name}.",
                f"Put the file into {self.folder}, and write `{own}`.",
            )
        for fault in faults:
            if fault.name == wanted:
                raise InputRefused(fault.sentence)
        close = get_close_matches(wanted, templates, n=1)
        remedy = f"Did you mean {close[0]}?" if close else "`longdesk templates list` shows them."
        raise UsageError(f"There is no template {name.strip()}.", remedy)

    def fill(self, name: str, values: Mapping[str, str], also: str = "") -> Filled:
        """The question that a template makes. Raises as find and Template.fill do."""
        template = self.find(name)
        text = template.fill(values, also)
        return Filled(
            text=text,
            template=template.name,
            sources=template.sources,
            commits=template.commits(values),
            settings=template.settings,
        )

    def call(self, question: str) -> Call | None:
        """What a question calls that begins with /name: "/compare by: price". None for any other question, which is
        asked as it stands. Raises as find does, and UsageError for a name that is nearly one of a template, for a blank
        that is filled in twice."""
        found = _CALL.match(question)
        if found is None:
            return None
        templates, faults = self._found()
        wanted, rest = found[1].lower(), question[found.end() :]
        if wanted not in {*templates, *(fault.name for fault in faults)}:
            close = get_close_matches(wanted, templates, n=1, cutoff=0.8)
            if not close:
                return None
            raise UsageError(
                f"There is no template /{found[1]}. Did you mean /{close[0]}?",
                "A question that begins so is asked as it stands with a space in front.",
            )
        template = self.find(wanted)
        values, also = _values(template, rest)
        return Call(template, values, also)

    def called(self, question: str) -> Filled | None:
        """The question that this makes. Raises as call and fill do."""
        call = self.call(question)
        return None if call is None else self.fill(call.template.name, call.values, call.also)

    def suiting(self, sources: Collection[Placed]) -> tuple[Template, ...]:
        """Those to offer where a session holds these: what suits most of what there is comes first."""
        counts: dict[str, int] = {}
        for source in sources:
            counts[_what(source)] = counts.get(_what(source), 0) + 1
        scored = [(sum(counts.get(what, 0) for what in each.suits), each) for each in self.all() if each.suits]
        fitting = sorted((-score, not_own, each.name) for score, each in scored if score for not_own in [each.is_ours])
        by_name = {each.name: each for _, each in scored}
        return tuple(by_name[name] for *_, name in fitting)

    def _found(self) -> tuple[dict[str, Template], tuple[Fault, ...]]:
        templates = {path.stem: read_template(path.stem, data, is_ours=True, place=str(path)) for path, data in _ours()}
        faults: list[Fault] = []
        own: set[str] = set()
        for path in self._files(faults):
            name = path.stem.lower()
            try:
                if not NAME.fullmatch(name):
                    raise InputRefused("Its name can be called by nobody.", "Name it with a-z, 0-9, - and _ alone.")
                if name in own:
                    raise InputRefused(f"There is another template {name}.", "Rename one of them.")
                own.add(name)
                templates[name] = read_template(name, _read(path), place=str(path))
            except LongdeskError as error:
                faults.append(Fault(name, f"{_shown(path.name)} in {self.folder} is no template: {error}"))
        return templates, tuple(faults)

    def _files(self, faults: list[Fault]) -> list[Path]:
        """The files that may be templates, in order."""
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            faults.append(Fault("", f"{self.folder} cannot be read: {error.strerror}. Make it a folder of yours."))
            return []
        names = [name for name in names if not name.startswith(".") and not name.endswith("~")]
        if len(names) > _MOST_FILES:
            faults.append(Fault("", f"{self.folder} has {len(names):,} files; the first {_MOST_FILES} are looked at."))
        files = [self.folder / name for name in names[:_MOST_FILES]]
        for path in files:
            if path.suffix.lower() != _SUFFIX:
                sentence = (
                    f"{_shown(path.name)} in {self.folder} is not looked at: templates are files that end in .md."
                )
                faults.append(Fault("", sentence))
        return [path for path in files if path.suffix.lower() == _SUFFIX]


def _ours() -> Iterator[tuple[Path, bytes]]:
    for path in sorted(_OURS.glob(f"*{_SUFFIX}")):
        yield path, path.read_bytes()


def _read(path: Path) -> bytes:
    """Up to a byte more than a template may have. Nothing that never ends is opened."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputRefused("It is no file.", "Take it away.")
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputRefused(f"It cannot be read: {error.strerror}.", "Allow it to be read, or take it away.") from None


def _values(template: Template, rest: str) -> tuple[dict[str, str], str]:
    """The blanks that a call fills in, "name: value" each up to the next, and what else it says: a range of commits for
    the blank that takes one; what is for the first blank that has to be filled in and is not; else what goes below the
    question. Raises UsageError for a blank given twice."""
    names = [blank.name for blank in template.blanks]
    pattern = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    marks = list(re.finditer(rf"(?:(?<=\s)|\A)({pattern})[ \t]*[:=]", rest)) if names else []
    values: dict[str, str] = {}
    for mark, after in zip(marks, [*marks[1:], None], strict=False):
        if mark[1] in values:
            raise UsageError(f"The blank {mark[1]} is filled in twice.", "Fill it in once.")
        value = rest[mark.end() : after.start() if after else len(rest)].strip()
        values[mark[1]] = value.rstrip(",;").strip() if after else value
    other = rest[: marks[0].start() if marks else len(rest)].strip()
    takes = next((blank.name for blank in template.blanks if blank.takes and blank.name not in values), None)
    if takes is not None and _RANGE.fullmatch(other):
        return {**values, takes: other}, ""
    open_blanks = [name for name in template.needs if name not in values]
    if other and open_blanks:
        return {**values, open_blanks[0]: other}, ""
    return values, other


def _what(source: Placed) -> str:
    """Of SUITS, what a source is."""
    suffix = PurePosixPath(source.path).suffix.lower()
    if source.kind != "text":
        return source.kind
    return "diff" if suffix in _DIFF else "code" if _CODE.fullmatch(suffix) else "text"


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)
