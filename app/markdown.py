"""Text on its way to Streamlit, which takes everything for Markdown: nothing is drawn that was not meant to be."""

import re
from datetime import UTC, datetime

from engine.errors import LongdeskError

# What Markdown takes for its own, wherever it stands; an underscore within a word it leaves alone.
_SIGNS = re.compile(r"([\\`*\[\]<>$~|&]|(?<![^\W_])_|_(?![^\W_]))")
_BLOCK = re.compile(r"^(\s*)([#+\-=]|\d+(?=[.)]))")  # at the start of a line
_SHORTCODE = re.compile(r":(?=[\w+-])")  # :smile: and :material/close:
# An image needs "![" and, before the next blank line, "](" or a reference that is defined somewhere. Both are broken
# by a WORD JOINER, which is not seen, wherever they may stand: what is code and what is not, only the browser's parser
# knows for sure, and an image's address can carry the corpus away.
_IMAGE = re.compile(r"!(?=\[(?:[^\n]|\n(?![ \t]*\n))*?\]\()")
_DEFINITION = re.compile(r"(?m)^([ \t>*+\-\d.)]*\[(?:\\.|[^\[\]\\])+\])(?=:)")
_CODE = re.compile(r"(```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`)", re.DOTALL)
_DOLLAR = re.compile(r"(?<![\\$])\$(?!\$)")
_JOINER = "\N{WORD JOINER}"


def plain(text: str) -> str:
    """A text as Markdown that shows just this text: file names, titles. As few signs as can be, for a label's Markdown
    is also what a screen reader says."""
    text = _SIGNS.sub(r"\\\1", " ".join(text.split("\n")))
    text = _SHORTCODE.sub(":" + _JOINER, text)
    return _BLOCK.sub(lambda match: match[1] + (_JOINER if match[2].isdigit() else "\\") + match[2], text)


def safe_markdown(text: str) -> str:
    """A model's Markdown without images, which would be fetched, and with sums of money instead of formulas."""
    pieces = _CODE.split(text)
    pieces[::2] = [_DOLLAR.sub(r"\\$", piece) for piece in pieces[::2]]
    text = "".join(pieces)
    return _DEFINITION.sub(rf"\1{_JOINER}", _IMAGE.sub(f"!{_JOINER}", text))


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
