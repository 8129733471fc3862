"""The statements of an answer: what each citation stands for.

A statement is a sentence, a list item or table row without sentence ends, a block quote, or a fenced code block. What
states nothing is none: headings, rules, the line that introduces a list, greetings, questions, plain refusals, and what
a model thinks aloud before its answer. Answers are Markdown as models write it. Time grows with the length alone.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import zip_longest

Span = tuple[int, int]  # characters, from and up to

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r"[ \t]*(?:>[ \t]?)*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}\s*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})\s*$")
_ITEM = re.compile(r"[ \t]*(?:[-*+\u2022]|\d{1,9}[.)]|\(?[a-z\d]\))[ \t]+(?:\[[ xX]\][ \t]+)?(?=\S)")
_TABLE_RULE = re.compile(r"[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?)?[ \t]*\r?\n?$")
_QUOTED_LINE = re.compile(r" {0,3}>")

_CLOSERS = r"[\"'\u201d\u2019\u00bb\u203a)\]*_`\u300d\u300f\uff09\u3011]*(?:</quote>)?[\"'\u201d\u2019\u00bb)\]*_]*"
_WIDE = "\u3002\uff01\uff1f\uff61"  # these end sentences without a blank
_END = re.compile(rf"(?:[{_WIDE}]+{_CLOSERS})|[.!?\u2026\u0964\u061f\u06d4]+{_CLOSERS}(?=\s|$)|(?:  |\\)\r?\n")
_WORD = re.compile(r"[^\s(\[\"\u201c\u2018'*_/`-]*$")
_HELD = re.compile(  # where no sentence ends: what is quoted as a whole
    r"`[^`\n]{1,1000}`|<quote>(?:[^<]|<(?!/?quote>)){1,4000}</quote>|\"[^\"\n]{1,1000}\"|\u201c[^\u201c\u201d]{1,1000}\u201d"
    r"|\u00ab[^\u00ab\u00bb]{1,1000}\u00bb|\u300c[^\u300c\u300d]{1,1000}\u300d|\u300e[^\u300e\u300f]{1,1000}\u300f"
)
_NEVER_LAST = frozenset(  # words with a full stop that something follows
    (
        "e.g",
        "i.e",
        "eg",
        "ie",
        "vs",
        "cf",
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "fig",
        "figs",
        "eq",
        "eqs",
        "sec",
        "ch",
    )
    + ("vol", "no", "nos", "pp", "p", "approx", "ca", "resp", "z.b", "d.h", "u.a", "bzw", "vgl", "nr", "art", "p.ex")
)
# not the last where a small letter follows
_SELDOM_LAST = frozenset(("etc", "al", "inc", "ltd", "co", "corp", "jr", "sr", "usw", "ff", "a.m", "p.m", "u.s"))

_THOUGHT = re.compile(r"<think(?:ing)?>")
_IN_MARKS = re.compile(  # a quote, or where it is from
    r"(?:\([^()]{1,200}\)|\[[^\[\]]{1,200}\]|<quote>.*</quote>|\"[^\"]+\"|\u201c[^\u201d]+\u201d)[.\s]*", re.DOTALL
)
_GREETING = re.compile(
    r"(?:hi|hello|hey|dear \w+|sure|sure thing|certainly|of course|absolutely|okay|ok|(?:great|good) question"
    r"|thank(?:s| you)\b.{0,60}|you(?:['\u2019]| a)re welcome|(?:i )?hope (?:this|that|it) helps.{0,60}"
    r"|here (?:is|are) (?:what i|the answer|an? (?:summary|overview))[^.]{0,80}"
    r"|(?:please )?(?:feel free|let me know|don['\u2019]t hesitate)\b.{0,160}"
    r"|i['\u2019]d be (?:happy|glad) to\b.{0,120}|happy to help.{0,60}"
    r"|hallo|gerne|nat\u00fcrlich|bonjour|bien s\u00fbr|hola|claro"
    r"|\u4f60\u597d|\u60a8\u597d|\u5f53\u7136|\u3053\u3093\u306b\u3061\u306f|\u306f\u3044"
    r")(?: there| again)?[\s!.,:\u2014\u3002\uff01-]*",
    re.IGNORECASE,
)
_SENT = r"(?:documents?|text|sources?|context|corpus|passages?|excerpts?|materials?|(?:provided|given) \w+)"
_TELL = r"(?:hold|contain|say|mention|state|include|provide|specify|give|answer|explain|describe|tell|discuss|cover)"
_TOLD = r"(?:mentioned|stated|said|specified|given|found|contained|known|provided|answered|described)"
_REFUSAL = re.compile(
    r"(?:(?:i['\u2019]m |i am )?(?:sorry|afraid|unfortunately|(?:my )?apologies)\b[,:]?\s*(?:but |that )?)?(?:"
    r"i (?:do not|don['\u2019]t) (?:know|have|see)\b.{0,300}|i (?:did not|didn['\u2019]t) find\b.{0,300}"
    r"|i (?:cannot|can['\u2019]t|could not|couldn['\u2019]t|am (?:not able|unable) to|was (?:not able|unable) to)"
    r" (?:find|answer|tell|say|help|see|determine|provide|locate|give|assist)\b.{0,300}"
    r"|as an ai\b.{0,300}"
    rf"|(?:the |these |this |your |none of the |neither )?(?:(?:provided|given) )?{_SENT}"
    rf"(?: [\w'\u2019]+){{0,6}}? (?:do|does)(?: not|n['\u2019]t)(?: [a-z]+ly)? {_TELL}\b.{{0,300}}"
    rf"|(?:the |these |your )?(?:(?:provided|given) )?{_SENT} (?:holds?|says?|contains?|gives?|provides?|mentions?)"
    r" (?:no|nothing)\b.{0,300}"
    rf"|there(?: is|['\u2019]s) no(?:thing| mention| information| answer| indication)\b.{{0,200}}"
    rf"|(?:it|this|that) is not {_TOLD}\b.{{0,200}}|(?:not|nothing) {_TOLD}\b.{{0,120}}|unknown"
    r"|(?:das )?wei(?:\u00df|ss) ich nicht\b.{0,200}|ich wei(?:\u00df|ss)(?: es| das)? nicht\b.{0,200}"
    r"|die (?:dokumente|quellen|texte) (?:enthalten|sagen|nennen) (?:dazu )?(?:nichts|kein\w*)\b.{0,200}"
    r"|je ne (?:sais|trouve|peux) pas\b.{0,200}|les documents ne .{0,200}"
    r"|no (?:lo )?s\u00e9\b.{0,200}|los documentos no .{0,200}"
    r"|(?:\u62b1\u6b49|\u5bf9\u4e0d\u8d77)?.{0,12}(?:\u6587\u6863|\u6587\u4ef6|\u8d44\u6599)\u4e2d?"
    r"(?:\u6ca1\u6709|\u672a).{0,80}"
    r"|\u6211\u4e0d\u77e5\u9053.{0,40}|(?:\u308f|\u5206)\u304b\u308a\u307e\u305b\u3093"
    r")[\s.!\u3002]*",
    re.IGNORECASE | re.DOTALL,
)
_TURNS = re.compile(
    r"\b(?:but|however|though|although|instead|only|aber|jedoch|mais|pero)\b|[\u4f46\u304c]", re.IGNORECASE
)


class _Kind(Enum):
    WORDS = auto()  # a paragraph or a list item
    WHOLE = auto()  # one statement, whatever is in it
    BREAK = auto()  # none, and what follows begins anew


@dataclass(slots=True)
class _Block:
    """Lines that belong together. starts_list: a list or code follows, which it may introduce."""

    kind: _Kind
    start: int
    end: int
    n_lines: int = 1
    is_item: bool = False


def answer_start(text: str) -> int:
    """Where an answer itself begins, behind what its model thought aloud."""
    opening = _THOUGHT.match(text, len(text) - len(text.lstrip()))
    closing = text.find(f"</{opening[0][1:]}") if opening else -1
    if opening is None:
        return 0
    return len(text) if closing < 0 else closing + len(opening[0]) + 1


def statements(text: str) -> tuple[Span, ...]:
    """The statements of an answer in order, each as characters of it, from and up to; without blanks at their ends."""
    found: list[Span] = []
    blocks = [block for block in _blocks(text, answer_start(text)) if not _is_empty(text, block)]
    for block, follower in zip_longest(blocks, blocks[1:]):
        if block.kind is _Kind.WHOLE:
            found += _trimmed(text, block.start, block.end)
        elif block.kind is _Kind.WORDS:
            introduces = follower is not None and (follower.is_item or follower.kind is _Kind.WHOLE)
            found += _stating(text, _joined(text, _sentences(text, block.start, block.end)), introduces=introduces)
    return tuple(found)


def _is_empty(text: str, block: _Block) -> bool:
    """Whether it is but empty lines."""
    return block.kind is _Kind.BREAK and not text[block.start : block.end].strip()


def _blocks(text: str, begin: int) -> Iterator[_Block]:
    """The text in blocks, in order."""
    block: _Block | None = None
    fence = ""
    for line in _LINE.finditer(text, begin):
        start, end, content = line.start(), line.end(), line[0]
        if fence and block is not None:
            block.end = end
            mark = _FENCE.match(content)
            if mark and mark[1].startswith(fence) and not content[mark.end() :].strip(fence[0] + " \t\r\n"):
                yield block
                block, fence = None, ""
            continue
        if opening := _FENCE.match(content):
            if block is not None:
                yield block
            block, fence = _Block(_Kind.WHOLE, opening.start(1) + start, end), opening[1]
            continue
        kind, begins = _looked_at(content)
        if kind is None and block is not None and block.kind is not _Kind.BREAK and begins < 0:
            block.end, block.n_lines = end, block.n_lines + 1  # the paragraph goes on
            continue
        if kind is _Kind.BREAK and block is not None and _is_heading_above(text, block, content):
            block = None
        if kind is _Kind.WHOLE and block is not None and block.kind is _Kind.WHOLE and _QUOTED_LINE.match(content):
            block.end = end
            continue
        if block is not None:
            yield block
        block = _Block(kind or _Kind.WORDS, start + max(begins, 0), end, is_item=begins >= 0)
    if block is not None:
        yield block


def _looked_at(line: str) -> tuple[_Kind | None, int]:
    """What a line is: None for words, which may go on from the line before; and where a list item's or a table row's
    words begin, -1 where it is neither."""
    if not line.strip() or _HEADING.match(line) or _RULE.match(line) or _TABLE_RULE.match(line) or _is_tag(line):
        return _Kind.BREAK, -1
    if _UNDERLINE.match(line):
        return _Kind.BREAK, -1
    if _QUOTED_LINE.match(line):
        return _Kind.WHOLE, -1
    if item := _ITEM.match(line):
        return None, item.end()
    stripped = line.lstrip()
    if stripped.startswith("|"):
        return None, len(line) - len(stripped)
    return None, -1


def _is_tag(line: str) -> bool:
    stripped = line.strip()
    return stripped in ("<answer>", "</answer>", "$$")


def _is_heading_above(text: str, block: _Block, line: str) -> bool:
    """Whether a line makes a heading of the words above it: that of a table, or underlined ones."""
    if block.kind is not _Kind.WORDS:
        return False
    if _TABLE_RULE.match(line):
        return True
    underline = _UNDERLINE.match(line)
    if underline is None or block.n_lines > 1 or block.is_item:
        return False
    ends = text[block.start : block.end].rstrip()[-1:]
    return underline[1].startswith("=") or ends not in ".!?:;" + _WIDE


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    """The sentences of a block."""
    held = [match.span() for match in _HELD.finditer(text, start, end)]
    at, last = start, 0
    for match in _END.finditer(text, start, end):
        while last < len(held) and held[last][1] <= match.start():
            last += 1
        within = held[last] if last < len(held) and held[last][0] <= match.start() else None
        if within is not None and (match.end() < within[1] or text[within[0]] == "`"):
            continue
        if _ends(text, at, match, end):
            yield from _trimmed(text, at, match.end())
            at = match.end()
    yield from _trimmed(text, at, end)


def _ends(text: str, start: int, match: re.Match[str], end: int) -> bool:
    """Whether a sentence that began at start ends there."""
    marks = match[0]
    if marks[0] in " \\":
        return True
    following = text[match.end() : min(match.end() + 80, end)].lstrip()[:1]
    if marks[0] in _WIDE:  # what was said, and then: and so he said
        return marks[-1] in _WIDE or not "\u3041" <= following <= "\u3096"
    if not following:
        return True
    if marks[0] in "!?\u2026" or marks.startswith("..") or marks[-1] in '"\u201d\u00bb':
        return not following.islower()
    if marks[0] != ".":
        return True
    before = _WORD.search(text, max(start, match.start() - 24), match.start())
    word = before[0].lower() if before else ""
    if word in _NEVER_LAST and not (word == "no" and not following.isdigit()):
        return False
    if word in _SELDOM_LAST:
        return not following.islower()
    is_initial = len(word) == 1 and word.isalpha() and before is not None and before[0].isupper() and word != "i"
    return not (is_initial and match.start() - start <= 2) and not (is_initial and following.isupper())


def _joined(text: str, spans: Iterable[Span]) -> list[Span]:
    """With what says nothing by itself joined to what it belongs to: "Yes." to what follows, "(a.py)" and a quote to
    what they follow."""
    joined: list[Span] = []
    short: Span | None = None
    for start, end in spans:
        if _GREETING.fullmatch(text, start, end):
            continue
        if short is None and joined and _IN_MARKS.fullmatch(text, start, end):
            joined[-1] = joined[-1][0], end
            continue
        whole = (start if short is None else short[0], end)
        if text[start:end].isascii() and not any(map(str.isspace, text[start:end])):
            short = whole
        else:
            joined.append(whole)
            short = None
    return joined if short is None else [*joined, short]


def _stating(text: str, spans: list[Span], *, introduces: bool) -> Iterator[Span]:
    """Those that state something. introduces: a list or a block stands behind the last."""
    for number, (start, end) in enumerate(spans):
        words = text[start:end].strip("*_ \t")
        if not any(letter.isalnum() for letter in words):
            continue
        bare = words.rstrip("\"'\u201d\u2019)*_ ")
        is_introduction = introduces and number == len(spans) - 1 and bare.endswith((":", "\uff1a"))
        if bare.endswith(("?", "\uff1f", "\u061f")) or is_introduction:
            continue
        if _GREETING.fullmatch(words) or (_REFUSAL.fullmatch(words) and not _TURNS.search(words)):
            continue
        yield start, end


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """Without blanks at its ends; nothing where there is nothing else."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
