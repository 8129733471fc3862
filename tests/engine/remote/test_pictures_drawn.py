"""Pictures for a server are drawn by a reader's process, and drawing can be stopped."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from engine.corpus.formats.format import Waiting, wait_only
from engine.corpus.formats.reader import draw
from engine.corpus.source import KeptFile, Picture, Pixels, Skipped
from engine.errors import Cancelled, SourceRefused
from engine.prompt.prompt import Part, Prompt, Segment
from engine.remote.messages import Pictures, messages_of
from engine.tokens.document import Shown, View
from tests import hostile


def shown(file: KeptFile, width: int, height: int) -> Shown:
    ids = np.zeros(1, dtype=np.int32)
    view = View(1, width, height, None, "key", ids, 1)
    return Shown(0, view, Picture(1, width, height), file, is_page=file.scalable)


def test_a_page_is_sent_as_a_png() -> None:
    page = shown(KeptFile("PDF", hostile.one_page(hostile.words(b"The rent.")), scalable=True), 61, 79)
    kind, _, data = Pictures(draw).url(page).partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (61, 79)


def test_an_image_that_every_server_reads_is_sent_as_it_is() -> None:
    image = shown(KeptFile("PNG", hostile.png()), 8, 8)
    assert base64.b64decode(Pictures(draw).url(image).partition(",")[2]) == hostile.png()
    smaller = shown(KeptFile("PNG", hostile.png()), 4, 4)
    assert base64.b64decode(Pictures(draw).url(smaller).partition(",")[2]) != hostile.png()


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(SourceRefused, match="cannot be drawn: .* cut short or damaged"):
        Pictures(draw).url(shown(KeptFile("PNG", b"\x89PNG\r\n\x1a\n", scalable=True), 4, 4))


def test_drawing_ends_when_whoever_waits_stops_it() -> None:
    def draw_for_ever(
        name: str, file: KeptFile, *, number: int, width: int, height: int, waiting: Waiting = wait_only
    ) -> Pixels | Skipped:
        while True:
            waiting("page 1")

    def stop(at: str) -> None:
        raise Cancelled("Enough.")

    page = shown(KeptFile("PDF", b"%PDF-", scalable=True), 4, 4)
    prompt = Prompt((Segment(Part.QUESTION, page.view.ids, content=("Look: ", page)),))
    with pytest.raises(Cancelled):
        messages_of(prompt, Pictures(draw_for_ever), stop)
