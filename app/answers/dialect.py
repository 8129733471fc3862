"""The Markdown that answers are read as: CommonMark, with tables, strikethrough, task lists and formulas.

It differs where CommonMark would lose words (definitions, cells without a head, what lies too deep), fetch something
(images), run something (HTML), or take too long. How it is drawn: markup.py.
"""

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import escapedSplit, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from app.answers.formulas import add_formulas
from app.answers.marks import add_marks

LINE_END = re.compile(r"\r\n?|\n")
_DEEPEST = 24  # lists and quotes within each other: what lies deeper is shown as it was written
_MOST_INLINE = 20_000  # characters of one paragraph: a longer one is shown as it was written
_LINK = re.compile(r"(?:https?://[^/?#\s]+|mailto:[^\s]+)", re.IGNORECASE)
_TASK = re.compile(r"\[([ xX])\](?=\s)")


def make_parser(renderer: type[RendererHTML]) -> MarkdownIt:
    """The parser: what it draws with is given."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST + 4}, renderer_cls=renderer)
    parser.enable(["table", "strikethrough"])
    # A definition is not shown: "[1]: core.py" would be lost.
    parser.disable(["reference", "html_block", "html_inline"])
    parser.core.ruler.at("normalize", _normalize)
    parser.core.ruler.before("inline", "too_long", _too_long)
    parser.core.ruler.after("inline", "tasks", _tasks)
    parser.block.ruler.before("blockquote", "too_deep", _too_deep)
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.at("image", _image)
    add_formulas(parser)
    add_marks(parser)
    parser.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]
    return parser


def _normalize(state: StateCore) -> None:
    """One sign for the end of a line. A NUL stays: it is part of what is copied."""
    state.src = LINE_END.sub("\n", state.src)


def _too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """All that is left of a block that lies too deep, as it was written; the parser would throw it away."""
    if silent or state.level < _DEEPEST:
        return False
    state.line = end
    token = state.push("literal", "p", 0)
    token.map, token.content = [start, end], state.getLines(start, end, state.blkIndent, False)
    return True


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A table; the cells that a row has more than the head stand in it, too: the parser would throw them away."""
    n_before = len(state.tokens)
    if not table(state, start, end, silent):
        return False
    made, state.tokens[n_before:] = state.tokens[n_before:], []
    n_columns = sum(token.type == "th_open" for token in made)
    line = start
    for token in made:
        if token.type == "tr_open" and token.map:
            line = token.map[0]
        elif token.type == "tr_close" and line > start:
            cells = escapedSplit(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip())
            state.tokens += _cells(
                cells[not cells[0] : len(cells) - (not cells[-1])][n_columns:], line, token.level + 1
            )
        state.tokens.append(token)
    return True


def _cells(contents: Sequence[str], line: int, level: int) -> list[Token]:
    found = []
    for content in contents:
        inline = Token("inline", "", 0, map=[line, line + 1], level=level + 1, content=content.strip(), children=[])
        found += [Token("td_open", "td", 1, level=level), inline, Token("td_close", "td", -1, level=level)]
    return found


def _too_long(state: StateCore) -> None:
    """A paragraph of a length that nobody reads loses its marks, so that no time is lost over them."""
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > _MOST_INLINE:
            token.type, token.children = "text", None


def _tasks(state: StateCore) -> None:
    """Makes boxes of "[ ]" and "[x]" at the beginning of an item."""
    for before, item, inline in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if before.type != "list_item_open" or item.type != "paragraph_open" or not inline.children:
            continue
        first = inline.children[0]
        match = _TASK.match(first.content) if first.type == "text" else None
        if match is not None:
            first.content = first.content[match.end() + 1 :]
            box = Token("task", "input", 0, info="x" if match[1] != " " else "")
            inline.children = [box, *inline.children, Token("task_end", "label", 0)]


def _image(state: StateInline, silent: bool) -> bool:
    """![words](address), whatever the address: it is shown, never asked for. What is in the words is not looked at."""
    source, start = state.src, state.pos
    if not source.startswith("![", start):
        return False
    helpers = state.md.helpers
    closed = helpers.parseLinkLabel(state, start + 1, False)
    if closed < 0 or not source.startswith("(", closed + 1):
        return False
    at = _skip_space(source, closed + 2)
    address = helpers.parseLinkDestination(source, at, state.posMax)
    if not address.ok:
        return False
    at = _skip_space(source, address.pos)
    title = helpers.parseLinkTitle(source, at, state.posMax, None)
    if at > address.pos and title.ok:
        at = _skip_space(source, title.pos)
    if not source.startswith(")", at) or at >= state.posMax:
        return False
    if not silent:
        token = state.push("image", "span", 0)
        token.content, token.info = source[start + 2 : closed], source[closed + 2 : at].strip()
    state.pos = at + 1
    return True


def _skip_space(source: str, at: int) -> int:
    while source[at : at + 1] in (" ", "\t", "\n"):
        at += 1
    return at
