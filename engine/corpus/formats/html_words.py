"""HTML as words: what a browser would show, with tables as rows, and a mark for whatever cannot be read.

For pieces of HTML such as a notebook keeps, not for files called .html, which stay as they are. Tags are found here and
not by html.parser, which takes minutes for 60 KB of tags that do not end (Python 3.11).
"""

import re
from collections.abc import Iterator
from html import unescape

from engine.corpus.source import LEFT_OUT

_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html",
    "legend", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr",
    "ul",
))  # fmt: skip
_SILENT = frozenset(("script", "style", "template", "head", "title", "noscript"))
_MARKED = {
    "svg": "drawing",
    "canvas": "drawing",
    "iframe": "frame",
    "video": "video",
    "audio": "sound",
    "object": "object",
}
_VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
))  # fmt: skip


_RAW = re.compile(r"</(?:script|style|title|noscript|template)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_NAME = re.compile(r"/?([a-zA-Z][\w:-]*)")
_LONGEST_LINE = 20_000  # characters; longer ones go on in the next, since each addition copies the line
_LONGEST_TAG, _MOST_ENDS = 8000, 16  # characters that attributes are looked for in; signs of an end within quotes


class _Words:
    """Collects lines. left_out: what has left its mark. sign: see `words_of`."""

    def __init__(self, sign: re.Pattern[str] | None) -> None:
        self._sign = sign
        self.lines: list[str] = [""]
        self.left_out: list[str] = []
        self._unread: list[str] = []  # open elements whose content is not read
        self._cells = 0  # of the row so far
        self._has_heads = False
        self._n_pre = 0
        self._links: list[str] = []

    def feed(self, html: str) -> None:
        for piece, is_tag in _pieces(html):
            name = _NAME.match(piece) if is_tag else None
            if name is None:
                self.text(unescape(piece))
            elif piece.startswith("/"):
                self.end(name[1].lower())
            else:
                tag = name[1].lower()
                self.start(tag, piece)
                if piece.endswith("/") and tag not in _VOID:
                    self.end(tag)

    def start(self, tag: str, piece: str) -> None:
        if self._unread:
            if tag == self._unread[-1]:
                self._unread.append(tag)
            return
        if tag == "img":
            found = self._sign.search(piece[:_LONGEST_TAG]) if self._sign else None
            self._mark(" ".join(f"image {_attribute(piece, 'alt')}".split()), found[0] if found else "")
        if tag in _MARKED:
            self._mark(_MARKED[tag])
        if tag in _SILENT or tag in _MARKED:
            self._unread.append(tag)
            return
        if tag in ("td", "th"):
            self._cell(is_head=tag == "th")
            return
        if tag in _BLOCKS:
            self._break()
        if tag == "tr":
            self._cells, self._has_heads = 0, False
        elif tag == "li":
            self._add("- ")
        elif tag == "pre":
            self._n_pre += 1
        elif tag[0] == "h" and tag[1:].isdigit():
            self._add("#" * int(tag[1:2]) + " ")
        elif tag == "a":
            self._links.append(_attribute(piece, "href"))

    def end(self, tag: str) -> None:
        if self._unread:
            if tag == self._unread[-1]:
                self._unread.pop()
            return
        if tag == "tr" and self._has_heads and self._cells > 1:
            self._break()
            self.lines[-1] = " | ".join(["---"] * self._cells)
        if tag == "pre":
            self._n_pre = max(0, self._n_pre - 1)
        if tag == "a" and self._links:
            target = self._links.pop()
            if target.startswith(("http:", "https:", "mailto:")) and not self.lines[-1].endswith(target):
                self._add(f" ({target})")
        if tag in _BLOCKS:
            self._break()
            if tag == "tr":
                self._cells, self._has_heads = 0, False

    def text(self, data: str) -> None:
        if self._unread:
            return
        if self._n_pre:
            first, *others = data.split("\n")
            self.lines[-1] += first
            self.lines += others
            return
        words = " ".join(data.split())
        if not words:
            self._add(" " if data else "")
            return
        self._add((" " if data[0].isspace() else "") + words + (" " if data[-1].isspace() else ""))

    def _add(self, words: str) -> None:
        if len(self.lines[-1]) > _LONGEST_LINE:
            self.lines.append("")
        line = self.lines[-1]
        self.lines[-1] = line + (words.lstrip() if not line or line[-1] == " " else words)

    def _break(self) -> None:
        if self.lines[-1]:
            self.lines.append("")

    def _cell(self, *, is_head: bool) -> None:
        if self._cells:
            self.lines[-1] = self.lines[-1].rstrip()
            self._add(" | ")
        self._has_heads = is_head and (self._has_heads or not self._cells)
        self._cells += 1

    def _mark(self, name: str, sign: str = "") -> None:
        if not sign:
            self.left_out.append(name.split(" ")[0])
        self._add(f"[{name}{LEFT_OUT}]{sign}")


def _pieces(html: str) -> Iterator[tuple[str, bool]]:
    """The texts, and the tags without their brackets, in order, and whether each is a tag. Comments are left out."""
    at = 0
    while at < len(html):
        start = html.find("<", at)
        if start < 0:
            break
        if start > at:
            yield html[at:start], False
        if html.startswith("<!--", start):
            end = html.find("-->", start + 4)
            if end < 0:
                return
            at = end + 3
            continue
        end = _end_of_tag(html, start)
        if end < 0 or not html[start + 1 : start + 2].isalpha() and html[start + 1 : start + 2] not in ("/", "!", "?"):
            yield "<", False
            at = start + 1
            if end < 0:
                break
            continue
        tag = html[start + 1 : end]
        yield (tag, True) if tag[:1] not in ("!", "?") else ("", False)
        at = end + 1
        if tag.partition(" ")[0].lower() in _SILENT - {"head"}:
            raw = _RAW.search(html, at)
            if raw is None:
                return
            at = raw.start()
    yield html[at:], False


def _end_of_tag(html: str, start: int) -> int:
    """Where the tag ends that begins there; a sign of its end within quotes does not count. -1 where there is none."""
    first = end = html.find(">", start)
    for _ in range(_MOST_ENDS):
        if end < 0 or end - start > _LONGEST_TAG:
            break
        if html.count('"', start, end) % 2 == 0:
            return end
        end = html.find(">", end + 1)
    return first


def _attribute(piece: str, name: str) -> str:
    for found in _ATTRIBUTE.finditer(piece[:_LONGEST_TAG]):
        if found[1].lower() == name:
            return unescape(found[2] or found[3] or found[4] or "")
    return ""


def words_of(html: str, sign: re.Pattern[str] | None = None) -> tuple[str, tuple[str, ...]]:
    """The words, and the kinds of what was left out, each of which has left a mark such as "[image, left out]".

    sign: of pictures that can be shown; the mark of one that has it in its tag is followed by it, and not counted.
    """
    reader = _Words(sign)
    reader.feed(html)
    return "\n".join(line.rstrip() for line in reader.lines).strip("\n"), tuple(reader.left_out)
