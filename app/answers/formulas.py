"""Formulas in answers: where TeX begins and ends, and MathML for it, which browsers draw without a script or a font.

What cannot be drawn is shown as it was written. latex2mathml's own text of its MathML lets tags through; here its tree
is written out, from lists of what may stand in it.
"""

import re
from html import escape
from xml.etree.ElementTree import Element

from latex2mathml.converter import Converter
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

MOST_TEX = 4_000  # characters; longer ones are shown as TeX
_MOST_LINES = 200
_DOLLARS = re.compile(r"\$(?![\s$])((?:\\[^\n]|[^\\$\n]){1,1000})\$(?![\w$])")
_MONEY = re.compile(
    r"\d[\d.,]*\s+[^\W\d_]{2}|(?=.*\s)(?=.*[^\W\d_]{2})[^\\^_{}=+<>|]*$"
)  # "$5 or maybe 6$", "$USER, 5$"
# A macro can double what it stands for, again and again; an address would not be seen.
_NOT_DRAWN = re.compile(
    r"\\(?:[egx]?def|let|(?:re)?newcommand|providecommand|newenvironment|DeclareMathOperator|href)\b"
)
_NUMBERED = re.compile(r"(?<=\{)(align|alignat|equation|gather|multline)(?=\})")  # they would get numbers nobody wrote

_TAGS = frozenset((
    "math", "menclose", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover", "mpadded", "mphantom",
    "mprescripts", "mroot", "mrow", "mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd",
    "mtext", "mtr", "munder", "munderover", "none",
))  # fmt: skip
_WORDS = frozenset((
    "accent", "accentunder", "columnalign", "columnlines", "display", "displaystyle", "fence", "form",
    "largeop", "linethickness", "mathvariant", "movablelimits", "notation", "rowlines", "scriptlevel",
    "separator", "stretchy", "symmetric",
))  # fmt: skip
_LENGTHS = frozenset((
    "columnspacing", "depth", "height", "lspace", "mathsize", "maxsize", "minsize", "rowspacing", "rspace",
    "voffset", "width",
))  # fmt: skip
_WORD = re.compile(r"[\w .+-]{1,40}")
_LENGTH = re.compile(r"[+-]?\d{0,2}(?:\.\d{1,4})?(?:em|ex|px|pt|mu|%)?")
_ENTITY = re.compile(r"&#x([0-9A-Fa-f]{1,6});")  # the library writes its signs so


def mathml(tex: str, *, display: bool) -> str | None:
    """TeX as a <math> element; None where it cannot be drawn. display: on a line of its own."""
    if len(tex) > MOST_TEX or _NOT_DRAWN.search(tex):
        return None
    try:
        tree = Converter(display="block" if display else "inline").convert_to_element(_NUMBERED.sub(r"\1*", tex))
    except Exception:  # whatever a model wrote: the library has errors of its own, and IndexError, RecursionError
        return None
    tree.set("alttext", tex)
    return _written(tree)


def _written(element: Element) -> str | None:
    """An element of the library's tree as HTML; None if something stands in it that is not known."""
    if element.tag not in _TAGS:
        return None
    attributes = "".join(
        f' {name}="{escape(value)}"' for name, value in element.attrib.items() if _may_stand(name, value)
    )
    inside = [escape(_signs(element.text or ""))]
    for child in element:
        written = _written(child)
        if written is None:
            return None
        inside += [written, escape(_signs(child.tail or ""))]
    return f"<{element.tag}{attributes}>{''.join(inside)}</{element.tag}>"


def _may_stand(name: str, value: str) -> bool:
    if name == "alttext":
        return True
    allowed = _WORD if name in _WORDS else _LENGTH if name in _LENGTHS else None
    return allowed is not None and allowed.fullmatch(value) is not None


def _signs(text: str) -> str:
    return _ENTITY.sub(lambda match: chr(min(int(match[1], 16), 0x10FFFF)), text)


def add_formulas(parser: MarkdownIt) -> None:
    r"""Teaches a parser \(x\), $x$, $$x$$ and \[x\]: tokens `formula` and `formula_block`.

    content is the TeX, markup what opened it, info the source with its marks; meta["open"]: it has no end.
    """
    parser.inline.ruler.before("escape", "formula", _inline)
    parser.block.ruler.before("fence", "formula_block", _block, {"alt": ["paragraph", "blockquote", "list"]})


def _inline(state: StateInline, silent: bool) -> bool:
    source, at = state.src, state.pos
    if source.startswith("\\(", at):
        end = -1 if at and source[at - 1] == "]" else source.find("\\)", at + 2, min(state.posMax, at + MOST_TEX))
        width = 2
    elif source.startswith("$$", at):
        end, width = source.find("$$", at + 2, min(state.posMax, at + MOST_TEX)), 2
    elif source[at] == "$":
        end, width = _single(source, at, state.posMax), 1
    else:
        return False
    tex = source[at + width : end] if end > 0 else ""
    if not tex.strip():
        return False
    if not silent:
        token = state.push("formula", "math", 0)
        token.content, token.markup, token.info = tex, source[at : at + width], source[at : end + width]
    state.pos = end + width
    return True


def _single(source: str, at: int, most: int) -> int:
    """Where a formula that one dollar opens is closed; -1 where this is a sum of money, a variable of a shell."""
    if at and (source[at - 1].isalnum() or source[at - 1] in "$\\"):
        return -1
    match = _DOLLARS.match(source, at, most)
    if match is None or match[1][-1].isspace() or _MONEY.match(match[1]):
        return -1
    return match.end() - 1


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula on lines of its own: all on one, or between lines that hold the marks alone.

    A mark alone on its line opens one whatever follows, so that nothing jumps when its end streams in; without an end
    it goes on to the next empty line.
    """
    if state.is_code_block(start):
        return False
    line = _line(state, start)
    opened = line[:2]
    if opened not in ("$$", "\\[") or line.startswith("$$$"):
        return False
    closing = "$$" if opened == "$$" else "\\]"
    if len(line) > 2:
        if len(line) < 5 or line.find(closing, 2) != len(line) - 2:
            return False
        last, tex, closed = start, line[2:-2], True
    else:
        last = start + 1
        while _is_within(state, last, min(end, start + _MOST_LINES)) and _line(state, last) != closing:
            last += 1
        closed = _is_within(state, last, end) and _line(state, last) == closing
        tex = state.getLines(start + 1, last, state.blkIndent, False)
    if silent:
        return True
    state.line = last + closed
    token = state.push("formula_block", "math", 0)
    token.map = [start, state.line]
    token.content, token.markup, token.meta = tex, opened, {"open": not closed}
    token.info = state.getLines(start, state.line, state.blkIndent, False)
    return True


def _is_within(state: StateBlock, line: int, end: int) -> bool:
    """Whether a line goes on with the block: it is not empty, and does not lie outside of the list's item."""
    return line < end and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
