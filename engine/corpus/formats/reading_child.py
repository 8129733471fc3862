"""A reader's process: `python -m engine.corpus.formats.reading_child SOCKET`. Reads and draws one file after another
until nobody is there any more.

It gives up what it does not need before it sees the first file: core dumps, writing files, more than a few descriptors,
new rights. Its limits of time are set anew at each step, by the system's clock of its own processor time, so that they
hold in the middle of a library's loop. What is asked of it stands in `apart`.
"""

import ctypes
import os
import resource
import select
import socket
import sys
from contextlib import suppress
from importlib import import_module
from threading import Thread
from time import process_time
from typing import Any

from engine.child import offer_to_oom_killer
from engine.corpus.formats.format import Incoming
from engine.corpus.formats.reader import FORMATS, format_of
from engine.corpus.formats.sniff import HEAD_BYTES, look
from engine.corpus.readers import limits
from engine.corpus.readers.wire import content_of, packed, receive_request, send_frame
from engine.corpus.rules import Rules
from engine.corpus.source import KeptFile, Pixels, Skipped

_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS of prctl(2)
_QUALITY = 82  # of a JPEG
_MODULES = {  # of ours and others', loaded before a file is looked at: what is imported later cannot be kept compiled
    "pdf": ("pypdf", "engine.corpus.formats.pdf_text", "engine.corpus.formats.pdf_typed"),
    "image": ("PIL.Image",),
    "notebook": (),
}


class ReadingChild:
    """The state of the process: its channel, and which steps of a file are passed over."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._passed: set[tuple[str, int]] = set()
        self._loaded: set[str] = set()

    def serve(self) -> None:
        """Until the other side is gone, or has asked nothing for a while."""
        while select.select([self._channel], [], [], limits.IDLE_S)[0]:
            request = receive_request(self._channel)
            if request is None:
                return
            fields, descriptor = request
            try:
                data = content_of(descriptor)
            finally:
                os.close(descriptor)
            send_frame(self._channel, {"step": ["", 0]})
            self._answer(fields, data)
            if _resident_bytes() > limits.SHED_BYTES:
                return

    def _answer(self, fields: dict[str, Any], data: bytes) -> None:
        for name, value in fields["limits"].items():
            setattr(limits, name, value)
        self._allow_step(0)
        self._passed = {(name, number) for name, number in fields.get("passed", ())}
        self._load(fields.get("kind") or ("pdf" if fields["format"] == "PDF" else "image"))
        _limit(resource.RLIMIT_AS, limits.MEMORY_BYTES)
        self._allow_step(0)
        try:
            answer, payload = getattr(self, f"_{fields['do']}")(fields, data)
        except MemoryError:
            answer, payload = {"failed": "memory"}, []
        except Exception as error:  # a fault of ours, or of a library's: the parent says so of the file
            answer, payload = {"failed": f"{type(error).__name__}: {error}"[:300]}, []
        sheds = _resident_bytes() > limits.SHED_BYTES
        send_frame(self._channel, {**answer, "sheds": sheds}, *payload)

    def _load(self, kind: str) -> None:
        if kind not in self._loaded:
            self._loaded.add(kind)
            for module in _MODULES.get(kind, ()):
                import_module(module)
        _limit(resource.RLIMIT_FSIZE, 0)

    def step(self, name: str, number: int) -> bool:
        """See Incoming.step."""
        if (name, number) in self._passed:
            return False
        self._allow_step(number)
        send_frame(self._channel, {"step": [name, number]})
        return True

    def _allow_step(self, number: int) -> None:
        """The system ends this process when it has computed for so long from now on. number: of a page; 0 for none."""
        most = limits.STEP_CPU_S * (1 if number else limits.OPEN_TIMES)
        _limit(resource.RLIMIT_CPU, int(process_time() + most) + 1)

    def _read(self, fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        head, path = data[:HEAD_BYTES], fields["path"]
        file = Incoming(
            path,
            fields["n_bytes"],
            look(head, path),
            lambda n_bytes: b"",
            Rules(**fields["rules"]),
            fields["included"],
            fields["keep"],
            fields["file_format"],
            step=self.step,
            whole=data,
        )
        found = format_of(fields["kind"])
        assert found is not None
        return packed(found.read(file), data)

    def _draw(self, fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        name = fields["format"]
        draw = next(each.draw for each in FORMATS if each.draw is not None and name in each.drawn_from)
        assert draw is not None
        size = {each: fields[each] for each in ("number", "width", "height", "quick")}
        self.step("draw", fields["number"])
        return _given(draw(fields["path"], KeptFile(name, data, fields["scalable"]), **size), fields["into"])

    def _page(self, fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        from engine.corpus.formats.pdfium import open_pages

        number = fields["number"]
        self.step("draw", number)
        pages = open_pages(fields["path"], data)
        if isinstance(pages, Skipped):
            return packed(pages, data)
        with pages:
            size = pages.sizes[number - 1] if 0 < number <= len(pages.sizes) else None
            width, height = size.pixels(fields["longest"]) if size is not None else (1, 1)
            return _given(pages.draw(number, width, height), "JPEG")

    def _encode(self, fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        return _given(Pixels(fields["width"], fields["height"], data), fields["into"])

    def _find(self, fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        from engine.corpus.formats.pdfium import find_words

        asked = {name: fields[name] for name in ("number", "words", "before")}
        self.step("find", fields["number"])
        return {"box": find_words(KeptFile("PDF", data), **asked)}, []

    def _plain(self, fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
        from engine.corpus.formats.pixels import shows_plainly

        return {"plain": shows_plainly(data, fields["format"], fields["width"], fields["height"])}, []


def _given(drawn: Pixels | Skipped, into: str | None) -> tuple[dict[str, Any], list[bytes]]:
    """Pixels as they are, or as a file."""
    if isinstance(drawn, Skipped):
        return packed(drawn, b"")
    data = drawn.data
    if into is not None:
        from engine.corpus.formats.pixels import written

        data = written(drawn, into, quality=_QUALITY)
    return {"size": [drawn.width, drawn.height]}, [data]


def _limit(what: int, soft: int) -> None:
    hard = resource.getrlimit(what)[1]
    with suppress(ValueError, OSError):  # one that is lower already stays
        resource.setrlimit(what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
    return 0


def _give_up() -> None:
    """What a reader has no need of."""
    offer_to_oom_killer()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_NOFILE, limits.MOST_FILES)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def _end_with_other_side(channel: socket.socket) -> None:
    """Ends this process as soon as nobody is there any more, whatever it is at."""
    poll = select.poll()
    poll.register(channel, 0)  # no events asked for: what comes is POLLHUP or an error
    poll.poll()
    os._exit(0)


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    _give_up()
    Thread(target=_end_with_other_side, args=(channel,), daemon=True).start()
    with suppress(OSError):  # the other side is gone
        ReadingChild(channel).serve()


if __name__ == "__main__":
    main()
