"""What a model wrote, as HTML.

Every word that was written is shown, and nothing is fetched: HTML is text, an image is its words and its address, a
link leads where it says. What is no Markdown stays as it was written. Beside the HTML of a block stand the texts of its
code blocks, as they were sampled, for the browser's clipboard.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

from markdown_it.common.utils import unescapeAll
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from app.answers.dialect import LINE_END, make_parser
from app.answers.formulas import mathml
from app.answers.marks import Mark

_MARKS = re.compile(r"[-=*_+#>|`~:$\\\[\]\s]*|\s*\d{1,9}[.)]?\s*")  # a line that may yet become anything
_HEADING = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}  # below the page's own


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list, a code block, ...: its HTML, and what its copy buttons copy, by their data-code."""

    html: str
    codes: tuple[str, ...] = ()


@lru_cache(maxsize=256)
def blocks_of(text: str, marks: tuple[Mark, ...] = ()) -> tuple[Block, ...]:
    """An answer that has ended, with the buttons of its citations."""
    return tuple(block for _, block in _numbered(text, marks))


class Growing:
    """An answer that streams in: what is finished is drawn once, and the last block anew each time."""

    def __init__(self) -> None:
        self._seen = ""  # the text of what is finished
        self._finished: tuple[Block, ...] = ()

    def blocks(self, text: str) -> tuple[Block, ...]:
        """The blocks of the text so far. A last line of signs alone is held back: what it will be is not known."""
        if not text.startswith(self._seen):
            self._seen, self._finished = "", ()
        tail = text[len(self._seen) :]
        last = max(tail.rfind("\n"), tail.rfind("\r")) + 1
        found = _numbered(tail[:last] if last and _MARKS.fullmatch(tail, last) else tail)
        # What begins on a line that is not whole may yet turn out to go on with what is before it.
        n_lines = len(LINE_END.findall(tail))
        n_finished = max(0, sum(line < n_lines for line, _ in found) - 1)
        if n_finished:
            self._finished += tuple(block for _, block in found[:n_finished])
            self._seen += tail[: _offset(tail, found[n_finished][0])]
            found = found[n_finished:]
        return (*self._finished, *(block for _, block in found))


def _offset(text: str, line: int) -> int:
    """Where a line begins."""
    at = 0
    for _, match in zip(range(line), LINE_END.finditer(text), strict=False):
        at = match.end()
    return at


def _numbered(text: str, marks: tuple[Mark, ...] = ()) -> list[tuple[int, Block]]:
    """The blocks, each with the line that it begins at."""
    ends = LINE_END.findall(text) + [""]
    tokens = _PARSER.parse(text, {"marks": marks, "text": text})
    blocks, start, level = [], 0, 0
    for at, token in enumerate(tokens):
        level += token.nesting
        if level == 0:
            codes: list[str] = []
            html = _PARSER.renderer.render(tokens[start : at + 1], _PARSER.options, {"codes": codes, "ends": ends})
            blocks.append(((tokens[start].map or [0])[0], Block(html, tuple(codes))))
            start = at + 1
    return blocks


class _Renderer(RendererHTML):
    """Tokens as HTML. A method is named after the token that it draws; all other tokens are drawn as their tag."""

    def text(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return _shown(tokens[at].content)

    def code_inline(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return f'<code dir="auto">{_shown(tokens[at].content)}</code>'

    def fence(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return _code(tokens[at], env)

    def code_block(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return _code(tokens[at], env)

    def literal(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        """What lies too deep."""
        return f'<p class="literal" dir="auto">{_shown(tokens[at].content)}</p>'

    def image(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        """Words and address; nothing is fetched."""
        address = f'<span class="address" dir="ltr">{_shown(tokens[at].info)}</span>'
        return f'<span class="image"><span>{_shown(tokens[at].content)}</span> {address}</span>'

    def link_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        """A link in a tab of its own. Where its words do not name it, the style sheet shows data-to after them."""
        address = str(tokens[at].attrs["href"])
        to = _destination(address)
        named = tokens[at + 1].content in (to, address) and tokens[at + 2].type == "link_close"
        beside = "" if named else f' data-to="{escape(to)}"'
        if title := tokens[at].attrs.get("title"):
            beside += f' title="{escape(str(title))}"'
        return f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer nofollow"{beside}>'

    def formula(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[at]
        return _formula(token, "span", display=token.markup == "$$")

    def formula_block(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return _formula(tokens[at], "div", display=True)

    def task(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        done = tokens[at].info
        return f'<label class="task"><input type="checkbox" disabled{" checked" if done else ""}><span>'

    def task_end(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return "</span></label>"

    def cite(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return "".join(map(_button, tokens[at].meta["marks"]))

    def cites(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        """Behind a block that cannot hold them."""
        return f'<p class="cites">{self.cite(tokens, at, options, env)}</p>'

    def table_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="table" role="region" aria-label="Table" tabindex="0"><table dir="auto">'

    def table_close(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>"

    def renderToken(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Of what has no method: its tag, with the attributes that are known."""
        token = tokens[idx]
        if token.hidden:
            return ""
        tag = _HEADING.get(token.tag, token.tag)
        if token.nesting < 0:
            return f"</{tag}>"
        given = "".join(f' {name}="{escape(value)}"' for name, value in _attributes(token))
        return f"<{tag}{given}>"


def _button(mark: Mark) -> str:
    return (
        f'<button type="button" class="cite {mark.look}" data-cite="{mark.number}" aria-label="{escape(mark.label)}">'
        f"{mark.number}</button>"
    )


def _attributes(token: Token) -> list[tuple[str, str]]:
    """Each outermost block, and each list and quote, finds its own direction; the style sheet does so for lines."""
    found = []
    if token.nesting > 0 and token.block and (token.level == 0 or token.tag in ("ul", "ol", "blockquote")):
        found.append(("dir", "auto"))
    if "start" in token.attrs:
        found.append(("start", str(token.attrs["start"])))
    if align := re.fullmatch(r"text-align:(left|center|right)", str(token.attrs.get("style", ""))):
        found.append(("class", align[1]))
    return found


def _shown(text: str) -> str:
    """Text as HTML; a NUL, which HTML cannot hold, as the sign that says so."""
    return escape(text.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def _code(token: Token, env: EnvType) -> str:
    """A code block with its language and a button; what the button copies goes to the list of codes."""
    language = unescapeAll(token.info).strip()
    codes: list[str] = env["codes"]
    codes.append(_sampled(token, env["ends"]))
    spoken = escape(f"Copy code: {language}" if language else "Copy code")
    return (
        f'<figure class="code" dir="ltr"><figcaption><span>{_shown(language)}</span><button type="button" class="copy"'
        f' data-code="{len(codes) - 1}" aria-label="{spoken}">Copy</button></figcaption>'
        f'<pre tabindex="0"><code>{_shown(token.content)}</code></pre></figure>'
    )


def _sampled(token: Token, ends: list[str]) -> str:
    """The text of a code block with the line ends that were sampled, for the parser makes all of them alike."""
    first = (token.map or [0])[0] + (token.type == "fence")
    lines = token.content.split("\n")
    return "".join(line + ends[first + at] for at, line in enumerate(lines[:-1])) + lines[-1]


def _formula(token: Token, tag: str, *, display: bool) -> str:
    """MathML for the eye, and the TeX, with its marks, for whoever selects and copies; TeX alone if it has no other."""
    source = _shown(token.info.rstrip("\n"))
    drawn = None if token.meta.get("open") else mathml(token.content, display=display)
    name = "formula display" if display else "formula"
    if drawn is None:
        return f'<{tag} class="{name}" dir="ltr"><code>{source}</code></{tag}>'
    return f'<{tag} class="{name}" dir="ltr">{drawn}<span class="tex" aria-hidden="true">{source}</span></{tag}>'


def _destination(address: str) -> str:
    """What a reader should know of a link: the host that a browser would ask, or the mail's address."""
    if address[:7].lower() == "mailto:":
        return address[7:].split("?")[0]
    return re.split(r"[/?#]", address.split("://", 1)[1], maxsplit=1)[0].rpartition("@")[2]


_PARSER: Any = make_parser(_Renderer)
