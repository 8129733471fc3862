"""Template: a ready-made question with named blanks, as a file holds it, and the question that it makes.

A file has front matter in YAML between two lines of three dashes, which may be left out, then the text. A blank stands
in the text as {{name}}. What is filled in is data: nothing in it is looked at again.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from engine.errors import InputRefused, UsageError

MOST_BYTES = 64 << 10
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SUITS = ("code", "text", "diff", "pdf", "image", "notebook")  # what an empty session may hold, for `for`
_SOURCES = ("text", "pdf", "image", "notebook")  # the kinds of sources, for `sources`
_BLANK = re.compile(r"\{\{[ \t]*([A-Za-z][A-Za-z0-9_-]{0,63})[ \t]*\}\}")
_FENCE = re.compile(r"---[ \t]*\n")
_END = re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.MULTILINE)
_NUMBERS: Mapping[str, tuple[str, type, float, float]] = {  # key: the setting's name, its type, from, up to
    "temperature": ("temperature", float, 0, 10),
    "top_p": ("top_p", float, 0, 1),
    "min_p": ("min_p", float, 0, 1),
    "top_k": ("top_k", int, 0, 1_000_000),
    "repeat_penalty": ("repeat_penalty", float, 0.1, 10),
    "presence_penalty": ("presence_penalty", float, -10, 10),
    "frequency_penalty": ("frequency_penalty", float, -10, 10),
    "seed": ("seed", int, -(1 << 63), (1 << 63) - 1),
    "max_tokens": ("reply_tokens", int, 1, 1 << 31),
}
_KEYS = ("title", "for", "sources", "blanks", *_NUMBERS, "stop")
_MOST_TITLE, _MOST_BLANKS, _MOST_DIGITS = 200, 32, 100


@dataclass(frozen=True, slots=True)
class Blank:
    """A blank of a template. about: what belongs there. default: what stands there else; None where it has to be
    filled in. takes: "commits" where a range of them belongs there, which are read for the question; "" for words."""

    name: str
    about: str = ""
    default: str | None = None
    takes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A ready-made question.

    name: that it is called by. suits: of SUITS, what a session that it is offered on holds; none for every session.
    sources: the kinds of sources that it is asked about, none for all. settings: of app.settings.Settings, by name.
    is_ours: whether it came with Longdesk. place: its file.
    """

    name: str
    title: str
    text: str
    blanks: tuple[Blank, ...] = ()
    suits: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_ours: bool = False
    place: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The blanks that have to be filled in."""
        return tuple(blank.name for blank in self.blanks if blank.default is None)

    def commits(self, values: Mapping[str, str]) -> str:
        """The range that is filled in, a folder may stand in front of it; "" for none."""
        blank = next((blank for blank in self.blanks if blank.takes), None)
        return "" if blank is None else (values.get(blank.name, "").strip() or blank.default or "").strip()

    def fill(self, values: Mapping[str, str], also: str = "") -> str:
        """The question. also: stands below it. Raises UsageError for a blank that it has not, or that is missing."""
        names = [blank.name for blank in self.blanks]
        for name in values:
            if name not in names:
                known = f"It has {', '.join(names)}." if names else "It has none."
                raise UsageError(f"The template {self.name} has no blank {_short(name)}.", known)
        filled = {blank.name: values.get(blank.name, "").strip() or blank.default for blank in self.blanks}
        missing = [blank for blank in self.blanks if filled[blank.name] is None]
        if missing:
            what = "; ".join(f"{blank.name} ({blank.about})" if blank.about else blank.name for blank in missing)
            raise UsageError(
                f"The template {self.name} has blanks that are not filled in: {what}.",
                f"Write `--set {missing[0].name}=TEXT`, or on the page `/{self.name} {missing[0].name}: TEXT`.",
            )
        text = _BLANK.sub(lambda found: str(filled[found[1]]), self.text)
        return f"{text}\n\n{also.strip()}" if also.strip() else text


@lru_cache(maxsize=512)
def read_template(name: str, data: bytes, *, is_ours: bool = False, place: str = "") -> Template:
    """The template of a file's bytes. Raises InputRefused for one that is none, with what is wrong and the remedy."""
    if len(data) > MOST_BYTES:
        raise InputRefused(f"It is over the limit of {MOST_BYTES >> 10} KiB.", "A template is a question: shorten it.")
    try:
        whole = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputRefused("It is no text in UTF-8.", "Save it as UTF-8.") from None
    if "\0" in whole:
        raise InputRefused("It is binary, not text.", "A template is a Markdown file.")
    whole = re.sub(r"\r\n?", "\n", whole)
    matter, text = _parted(whole)
    values = _matter(matter) if matter is not None else {}
    text = text.strip()
    if not text:
        raise InputRefused("It has no text: there is nothing to ask.", "Write the question below the front matter.")
    return Template(
        name=name,
        title=_title(values, name),
        text=text,
        blanks=_blanks(values.get("blanks"), text),
        suits=_words(values, "for", SUITS),
        sources=_words(values, "sources", _SOURCES),
        settings=_settings(values),
        is_ours=is_ours,
        place=place,
    )


def _parted(whole: str) -> tuple[str | None, str]:
    """The front matter, None without any, and the text."""
    begun = _FENCE.match(whole)
    if begun is None:
        return None, whole
    end = _END.search(whole, begun.end())
    if end is None:
        raise InputRefused("Its front matter has no end.", "Close it with a line of three dashes.")
    return whole[begun.end() : end.start()], whole[end.end() :]


def _matter(matter: str) -> dict[str, Any]:
    import yaml  # of all commands only those that name a template need it

    try:
        values = yaml.load(matter, Loader=_loader(yaml))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InputRefused(
            f"Its front matter is no YAML{where}: {_short(str(problem))}.", "Put texts with signs between quotes."
        ) from None
    except Exception as error:  # too deep; a date that is none; PyYAML lets out many kinds for a value of a wrong tag
        raise InputRefused(f"Its front matter is no YAML: {_short(str(error))}.", "Mend it.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputRefused("Its front matter is no list of settings.", "Write a line `title: ...` for each.")
    for key in values:
        if key not in _KEYS:
            raise InputRefused(f"Its front matter sets {_short(str(key))}, which is not known.", _known(_KEYS))
    return values


def _loader(yaml: Any) -> Any:
    """PyYAML's safe loader without anchors, which can make much of little, without keys that are there twice, and
    without numbers that are too long to be written down."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.composer.ComposerError(None, None, "an alias (*name) is not taken here", mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = set[str]()
            for key, _ in node.value:
                if isinstance(key.value, str) and key.value in keys:
                    problem = f"{key.value} is set twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                keys.update([key.value] if isinstance(key.value, str) else [])
            return super().construct_mapping(node, deep=deep)

        def construct_yaml_int(self, node: Any) -> int:
            if len(self.construct_scalar(node)) > _MOST_DIGITS:
                raise yaml.constructor.ConstructorError(None, None, "a number is too long", node.start_mark)
            return int(super().construct_yaml_int(node))

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    return Loader


def _title(values: Mapping[str, Any], name: str) -> str:
    title = values.get("title")
    if title is None:
        return name.replace("-", " ").replace("_", " ").capitalize()
    if not isinstance(title, str | int | float) or isinstance(title, bool):
        raise InputRefused("Its title is no text.", 'Write `title: "..."`.')
    words = " ".join(str(title).split())
    if not 0 < len(words) <= _MOST_TITLE:
        raise InputRefused(f"Its title has {len(words):,} characters.", f"Give it from 1 to {_MOST_TITLE}.")
    return words


def _words(values: Mapping[str, Any], key: str, known: Collection[str]) -> tuple[str, ...]:
    given = values.get(key)
    words = [] if given is None else re.split(r"[,\s]+", given.strip()) if isinstance(given, str) else given
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputRefused(f"Its {key} is no list of words.", _known(known))
    for word in words:
        if word not in known:
            raise InputRefused(f"Its {key} names {_short(word)}, which is not known.", _known(known))
    return tuple(dict.fromkeys(words))


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, (setting, kind, least, most) in _NUMBERS.items():
        value = values.get(key)
        if value is None:
            continue
        is_number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            what = "a whole number" if kind is int else "a number"
            span = f" from {least:,} to {most:,}" if key != "seed" else ""
            raise InputRefused(f"Its {key} is {_short(repr(value))}.", f"It must be {what}{span}.")
        found[setting] = kind(value)
    stop = values.get("stop")
    if stop is not None:
        stops = [stop] if isinstance(stop, str) else stop
        if not isinstance(stops, list) or not all(isinstance(one, str) and 0 < len(one) <= 1_000 for one in stops):
            raise InputRefused("Its stop is no list of texts.", "Give texts of 1 to 1,000 characters.")
        found["stops"] = tuple(stops)
    return found


def _blanks(given: Any, text: str) -> tuple[Blank, ...]:
    """Those of the front matter in its order, then others of the text."""
    standing = list(dict.fromkeys(found[1] for found in _BLANK.finditer(text)))
    if given is None:
        given = {}
    if isinstance(given, list):  # names alone
        named = [(str(name), None) for name in given]
    elif isinstance(given, dict):
        named = [(str(name), value) for name, value in given.items()]
    else:
        raise InputRefused("Its blanks are no list of names.", "Write `blanks:`, then a line `name: what it is` each.")
    for name, n_times in Counter(name for name, _ in named).items():
        if n_times > 1:  # `true` and 'True' are
            raise InputRefused(f"Its blank {_short(name)} is there twice.", "Take one of them out.")
    blanks = [_blank(name, value) for name, value in named]
    for blank in blanks:
        if blank.name not in standing and not blank.takes:
            raise InputRefused(
                f"Its text has no place for the blank {_short(blank.name)}.",
                f"Write {{{{{_short(blank.name)}}}}} there, or take the blank out.",
            )
    declared = {blank.name for blank in blanks}
    blanks += [Blank(name) for name in standing if name not in declared]
    if sum(bool(blank.takes) for blank in blanks) > 1:
        raise InputRefused("Two of its blanks take commits.", "Let one of them do so.")
    if len(blanks) > _MOST_BLANKS:
        raise InputRefused(f"It has {len(blanks):,} blanks.", f"It may have {_MOST_BLANKS}.")
    return tuple(blanks)


def _blank(name: str, value: Any) -> Blank:
    if value is None or isinstance(value, str):
        return Blank(name, " ".join((value or "").split()))
    if not isinstance(value, dict) or not set(value) <= {"about", "default", "takes"}:
        raise InputRefused(
            f"What is said of the blank {_short(name)} cannot be read.", "Write what it is, or `about` and `default`."
        )
    about, default, takes = value.get("about"), value.get("default"), value.get("takes")
    if takes not in (None, "commits"):
        raise InputRefused(f"The blank {_short(name)} takes {_short(str(takes))}.", "Only `takes: commits` is known.")
    if isinstance(default, int | float) and not isinstance(default, bool):
        default = str(default)
    if not isinstance(about, str | None) or not isinstance(default, str | None):
        raise InputRefused(f"about and default of the blank {_short(name)} are no texts.", "Put them between quotes.")
    return Blank(name, " ".join((about or "").split()), default, takes or "")


def _known(words: Iterable[str]) -> str:
    return f"Known are {', '.join(words)}."


def _short(text: str) -> str:
    """On one line, with nothing that would act on a terminal."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return line if len(line) <= 80 else f"{line[:79]}\u2026"
