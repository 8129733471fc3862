"""Where the buttons of citations stand in an answer: behind their statements, outside of code and links.

A statement is characters of the answer; the parser works on blocks whose marks and indents are gone. So each piece of a
paragraph is found again on its line, and a button is put where its statement ends there. Whatever cannot hold one has
it behind itself: a code block, a formula, a link. How an answer is read does not change by it.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, text
from markdown_it.token import Token

_LINE_END = re.compile(r"\r\n?|\n")
_BOX = re.compile(r"\[[ xX]\]\s")
_BEHIND = frozenset(("fence", "code_block", "literal", "formula_block", "text", "hr"))  # blocks without inline marks
_FAR = 1 << 60


@dataclass(frozen=True, slots=True)
class Mark:
    """A citation's button. at: the character of the answer that it stands before; number: what it shows; look: a class
    of the style sheet; label: what it says to the ear."""

    at: int
    number: int
    look: str
    label: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A line of a paragraph, or a block of another kind as a whole. line, column: where it begins in the answer;
    offset: in the paragraph."""

    line: int
    column: int
    token: Token
    offset: int = 0
    length: int = 0


def add_marks(parser: MarkdownIt) -> None:
    """Teaches a parser the marks that env["marks"] holds: tokens `cite`, whose meta["marks"] they are."""
    parser.core.ruler.before("inline", "place_marks", _place)
    parser.core.ruler.at("inline", _inline)
    parser.inline.ruler.before("text", "mark", _mark)
    parser.inline.ruler.at("text", _text)


def _place(state: StateCore) -> None:
    """Gives each mark to the paragraph that its statement ends in, or puts it behind the block that cannot hold it."""
    marks: Sequence[Mark] = state.env.get("marks", ())
    pieces = _pieces(state) if marks else []
    if not pieces:
        return
    starts = [0, *(end.end() for end in _LINE_END.finditer(state.env["text"]))]
    places = [(piece.line, piece.column) for piece in pieces]
    behind: dict[int, list[Mark]] = {}
    for mark in sorted(marks, key=lambda each: (each.at, each.number)):
        line = bisect_right(starts, mark.at) - 1
        column = mark.at - starts[line]
        piece = pieces[max(0, bisect_right(places, (line, max(0, column - 1))) - 1)]
        if piece.token.type == "inline":
            within = (column if line == piece.line else _FAR) - piece.column
            at = len(piece.token.content[: piece.offset + min(max(within, 0), piece.length)].rstrip(" "))
            at = max(at, _end_of_box(piece.token.content))  # blanks at a line's end are a break
            piece.token.meta.setdefault("marks", []).append((at, mark))
        else:
            behind.setdefault(id(piece.token), []).append(mark)
    state.tokens = [each for token in state.tokens for each in _with_marks(token, behind.get(id(token), []))]


def _end_of_box(content: str) -> int:
    """Of the "[x] " that a task begins with, and that is to be read as one."""
    box = _BOX.match(content)
    return box.end() if box else 0


def _with_marks(token: Token, marks: list[Mark]) -> list[Token]:
    kind = "cite" if token.type == "text" else "cites"
    return [token, Token(kind, "", 0, meta={"marks": marks}, map=token.map)] if marks else [token]


def _pieces(state: StateCore) -> list[_Piece]:
    """All that a mark can stand in or behind, in the order of the answer."""
    lines = state.src.split("\n")
    seen: dict[int, int] = {}  # how far a line is taken, by the cells of a table
    found, last = [], 0
    for token in state.tokens:
        last = first = token.map[0] if token.map else last
        if token.type in _BEHIND:
            found.append(_Piece(first, 0, token))
        elif token.type == "inline":
            offset = 0
            for at, content in enumerate(token.content.split("\n"), first):
                column = lines[at].find(content, seen.get(at, 0)) if at < len(lines) else -1
                column = seen.get(at, 0) if column < 0 else column
                seen[at] = column + len(content)
                found.append(_Piece(at, column, token, offset, len(content)))
                offset += len(content) + 1
    return found


def _inline(state: StateCore) -> None:
    """The parser's own rule, which also says where marks stand in the paragraph at hand."""
    for token in state.tokens:
        if token.type != "inline":
            continue
        token.children = token.children or []
        here = state.env["here"] = list(token.meta.get("marks", ()))
        state.md.inline.parse(token.content, state.md, state.env, token.children)
        if here:  # behind what goes to the paragraph's end, such as a link
            token.children.append(_cite([mark for _, mark in here]))
        state.env["here"] = []


def _mark(state: StateInline, silent: bool) -> bool:
    """Puts down the marks that stand here or were passed by; takes no character."""
    here: list[tuple[int, Mark]] = state.env.get("here", [])
    if here and not silent and here[0][0] <= state.pos and not state.linkLevel:
        reached = [mark for at, mark in here if at <= state.pos]
        del here[: len(reached)]
        state.push("cite", "", 0).meta = {"marks": reached}
    return False


def _text(state: StateInline, silent: bool) -> bool:
    """The parser's own rule, but it stops at a mark."""
    here: list[tuple[int, Mark]] = state.env.get("here", [])
    if silent or not here or here[0][0] <= state.pos:
        return text(state, silent)
    sign = state.md.inline.terminator_re.search(state.src, state.pos)
    end = min(sign.start() if sign else state.posMax, here[0][0])
    if end == state.pos:
        return False
    state.pending += state.src[state.pos : end]
    state.pos = end
    return True


def _cite(marks: list[Mark]) -> Token:
    return Token("cite", "", 0, meta={"marks": marks})
