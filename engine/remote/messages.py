"""A prompt as messages, and the segments that a prompt is made of where a server lays it out.

The same sources and turns give the same messages to the byte, and a later turn's begin with an earlier one's: a
server's prefix cache finds what it has read.
"""

import re
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol

import numpy as np

from engine.corpus.formats.apart import encoded, is_plain
from engine.corpus.formats.format import Waiting, wait_only
from engine.corpus.source import KeptFile, Pixels, Skipped
from engine.errors import SourceRefused
from engine.prompt.prompt import Exchange, Part, Prompt, Segment
from engine.remote.connection import Fields
from engine.tokens.document import Content, Ids, Shown, View

_KEPT_PICTURES = 64
_MARK = re.compile(r"<\|[A-Za-z0-9_]{1,32}\|>|<(?:start|end)_of_turn>|\[/?INST\]")
_AS_THEY_ARE = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp", "GIF": "gif"}


def laid_out(exchanges: Sequence[Exchange], *, system: str, encode: Callable[[str], Ids]) -> Prompt:
    """The prompt that asks the last exchange's question, without the marks of the server's template."""
    segments = [Segment(Part.SYSTEM, encode(system), content=(system,))] if system else []
    for exchange in exchanges:
        segments += [Segment(Part.SOURCE, each.ids, each.path, each.shown, each.content) for each in exchange.documents]
        question = ("\n" if exchange.documents else "") + exchange.question
        segments.append(Segment(Part.QUESTION, encode(question), content=(question,)))
        if exchange.reply_ids is not None:
            segments.append(Segment(Part.REPLY, exchange.reply_ids, content=(exchange.reply,)))
    return Prompt(tuple(segments))


def messages_of(prompt: Prompt, pictures: "Pictures", waiting: Waiting = wait_only) -> list[Fields]:
    """The chat that a prompt is: the system's message, then the user's and the assistant's in turn. A reply that is
    begun is the last. waiting: while a picture is drawn, see Waiting. Raises SourceRefused for a picture that cannot be
    drawn, and what `waiting` raises."""
    messages: list[Fields] = []
    asked: list[str | Shown] = []
    for segment in prompt.segments:
        if segment.part is Part.SYSTEM:
            messages.append({"role": "system", "content": _clean("".join(map(str, segment.content)))})
        elif segment.part is Part.REPLY:
            messages.append({"role": "assistant", "content": _clean("".join(map(str, segment.content)))})
        elif segment.part in (Part.SOURCE, Part.QUESTION):
            asked += segment.content
            if segment.part is Part.QUESTION:
                messages.append({"role": "user", "content": _content(tuple(asked), pictures, waiting)})
                asked = []
    if asked:
        messages.append({"role": "user", "content": _content(tuple(asked), pictures, waiting)})
    return messages


def folded(messages: list[Fields]) -> list[Fields]:
    """The same chat for a template that knows no system: its text stands at the beginning of the first question."""
    if not messages or messages[0]["role"] != "system":
        return messages
    system, first, *rest = messages
    text, content = f"{system['content']}\n\n", first["content"]
    whole = text + content if isinstance(content, str) else [{"type": "text", "text": text}, *content]
    return [{**first, "content": whole}, *rest]


def marks_in(prompt: Prompt) -> list[str]:
    """Texts in sources and questions that servers take for marks of a chat, each once: their templates are rendered to
    text before it is cut into tokens."""
    found = dict[str, None]()
    for segment in prompt.segments:
        if segment.part in (Part.SOURCE, Part.QUESTION):
            for part in segment.content:
                if isinstance(part, str):
                    found.update(dict.fromkeys(_MARK.findall(part)))
    return list(found)


def with_marks(prompt: Prompt, total: int) -> Prompt:
    """The prompt with as many tokens as a server counts: what the sum of its parts lacks are the template's marks.
    Where parts have merged, the longest lose the difference."""
    missing = total - prompt.n_tokens
    if missing >= 0:
        marks = np.zeros(missing, dtype=np.int32)  # the same in every prompt, and nothing is read off them
        return Prompt((Segment(Part.TEMPLATE, marks), *prompt.segments)) if missing else prompt
    segments = list(prompt.segments)
    for at in sorted(range(len(segments)), key=lambda number: -segments[number].n_tokens):
        less = min(-missing, max(0, segments[at].n_tokens - 1))
        old = segments[at]
        segments[at] = Segment(old.part, old.ids[: old.n_tokens - less], old.path, old.shown, old.content)
        missing += less
        if not missing:
            break
    return Prompt(tuple(segments))


class Draw(Protocol):
    """Draws a picture of a file; engine.corpus.formats.reader.draw is one."""

    def __call__(
        self, name: str, file: KeptFile, *, number: int, width: int, height: int, waiting: Waiting
    ) -> Pixels | Skipped: ...


class Pictures:
    """Pictures as URLs that hold all of them. The last ones are kept: they are counted before they are sent."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._kept: OrderedDict[tuple[int, int, int, int], tuple[KeptFile, str]] = OrderedDict()
        self._lock = Lock()

    def url(self, shown: Shown, waiting: Waiting = wait_only) -> str:
        """A file that is one picture is sent as it is, where every server reads its format; else it is drawn. Raises
        SourceRefused where it cannot be."""
        view, file = shown.view, shown.file
        key = id(file.data), view.number, view.width, view.height  # the file is held beside it, so that it stays its id
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][1]
        made = self._made(file, view, waiting, is_page=shown.is_page)
        with self._lock:
            self._kept[key] = file, made
            while len(self._kept) > _KEPT_PICTURES:
                self._kept.popitem(last=False)
        return made

    def _made(self, file: KeptFile, view: View, waiting: Waiting, *, is_page: bool) -> str:
        kind = _AS_THEY_ARE.get(file.format)
        if kind is not None and not is_page and view.number == 1 and is_plain(file, view.width, view.height):
            return f"data:image/{kind};base64,{b64encode(file.data).decode()}"
        size = {"width": view.width, "height": view.height}
        drawn = self._draw("an image", file, number=view.number, **size, waiting=waiting)
        if isinstance(drawn, Skipped):
            raise SourceRefused(f"An image cannot be drawn: {drawn.reason}.", "Leave it out.")
        png = encoded("PNG", drawn)
        if isinstance(png, Skipped):
            raise SourceRefused(f"An image cannot be sent: {png.reason}.", "Leave it out.")
        return f"data:image/png;base64,{b64encode(png.data).decode()}"


def _content(content: Content, pictures: Pictures, waiting: Waiting) -> str | list[Fields]:
    """Text, where it is nothing but text; else its parts in order."""
    if all(isinstance(part, str) for part in content):
        return _clean("".join(map(str, content)))
    parts: list[Fields] = []
    for part in content:
        if isinstance(part, Shown):
            parts.append({"type": "image_url", "image_url": {"url": pictures.url(part, waiting)}})
        elif parts and parts[-1]["type"] == "text":
            parts[-1]["text"] += _clean(part)
        elif part:
            parts.append({"type": "text", "text": _clean(part)})
    return parts


def _clean(text: str) -> str:
    """Without halves of pairs of surrogates, which no UTF-8 has."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
