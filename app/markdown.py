"""Text on its way to Streamlit, which takes labels for a Markdown of its own: every sign is shown as it was written.

Streamlit reads CommonMark and GFM, ":red[words]", ":name:" for emojis and ":material/name:" for icons; then it puts
typographic signs for arrows and dashes, and links for addresses. The first kind is undone by a backslash. The second
looks at text after backslashes are gone, so that only an element in its middle stops it: `:color[x]` without a colour
is a span around x, and nothing more. Nothing that cannot be seen is added: it would be copied.
"""

import re
from datetime import UTC, datetime
from html import escape

from engine.errors import LongdeskError

# What Markdown takes for its own, wherever it stands; an underscore within a word it leaves alone.
_SIGNS = re.compile(r"[\\`*\[\]<>$~|&]|(?<![^\W_])_|_(?![^\W_])")
_COLON = re.compile(r":(?=[A-Za-z:])")  # :red[x], ::name
_EMOJI = re.compile(r"(?=:[\w+-]+(:))")  # :100: Streamlit looks for it where backslashes stand, so in its end
# Headings, lists, rules, at the start: their last sign is what makes them so.
_LIST = re.compile(r"\s*(?:#(?=#{0,5}(?:\s|$))|[+-](?=\s|$)|[-=](?=[-=\s]*$)|\d{1,9}[.)](?=\s|$))")
# What is changed after backslashes are gone. Where one is found, all that might be is broken up: a break makes a new
# beginning, and some of it is changed at beginnings only.
_CHANGED = re.compile(
    r"(?:^|\s)(?:<->|->|<-|--|>=|<=|~=)(?=\s|$)|https?://|www\.|[-.\w+]@[-\w]+\.|:material[_/]|:streamlit:",
    re.IGNORECASE,
)
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")  # no HTML and no message to the browser can hold them
_BROKEN = re.compile(r"[<>~-](?=[=>-])|@|:(?=//)|(?<=www)\.|:(?=material[_/]|streamlit:)", re.IGNORECASE)


def plain(text: str) -> str:
    """A text as Markdown that shows just this text, on one line: file names, titles. As few signs as can be, for a
    label's Markdown is also what a screen reader says."""
    text = _UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"\r\n?|\n", " ", text))
    broken = {match.start() for match in _BROKEN.finditer(text)} if _CHANGED.search(text) else set()
    marked = {match.start() for signs in (_SIGNS, _COLON) for match in signs.finditer(text)}
    marked |= {match.start(1) for match in _EMOJI.finditer(text)}
    if item := _LIST.match(text):
        marked.add(item.end() - 1)
    n_blanks = len(text) - len(text.lstrip())
    pieces = []
    for at, sign in enumerate(text):
        # a colon before a break, and a brace behind one, would be parts of it
        is_marked = at in marked or (sign == ":" and at + 1 in broken) or (sign == "{" and at - 1 in broken)
        shown = "\\" + sign if is_marked else sign
        pieces.append("&#32;" if at < n_blanks else f":color[{shown}]" if at in broken else shown)  # no indented code
    return "".join(pieces)


def code(text: str) -> str:
    """A command as Markdown's code: what it holds is shown as it is."""
    text = " ".join(text.splitlines())
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks} {text} {ticks}" if "`" in (text[:1], text[-1:]) else f"{ticks}{text}{ticks}"


def literal_html(text: str) -> str:
    """A text as HTML for `st.html`, which strips blanks from the lines of what it is given: this is one line."""
    shown = escape(_UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", text))
    return shown.replace("\r", "&#13;").replace("\n", "&#10;")


def sentence_of(error: LongdeskError) -> str:
    """An error as Markdown: the fact, then what to do."""
    return plain(str(error))


def when(time: str, now: datetime | None = None) -> str:
    """A time of the store, in the words of someone who looks at a list: "12:05", "3 Mar", "3 Mar 2025"."""
    at = datetime.fromisoformat(time).astimezone()
    now = (now or datetime.now(UTC)).astimezone()
    if at.date() == now.date():
        return f"{at:%H:%M}"
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at.day} {at:%b %Y}"
