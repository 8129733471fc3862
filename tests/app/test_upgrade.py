"""What the version before wrote is used by this one: a database, a config.toml and a saved KV cache.

tests/homes/before-one-house.tar.xz is the LONGDESK_HOME of version 0.1.0 at 94e2256, after two questions on two texts,
an image and a PDF of two scanned pages and a third with words, with the tests' llama model of one layer.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.images.jpegs import Drawing, draw
from app.question import Answered, Notice, Question
from app.session_settings import TurnSettings, asked_with
from app.settings import Settings, read_settings
from engine.backend import Sampling
from engine.corpus.source import Cause, Skipped
from tests.models.cache import cached

HOMES = Path(__file__).with_name("homes")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with tarfile.open(HOMES / "before-one-house.tar.xz") as archive:
        archive.extractall(tmp_path / "home", filter="data")
    return read_settings({"LONGDESK_HOME": str(tmp_path / "home")}, model=str(cached("llama", n_layer=1)))


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    desk = Desk(settings)
    yield desk
    desk.close()


def session_of(desk: Desk) -> str:
    (found,) = [session.id for session in desk.sessions() if session.title != "Nothing yet"]
    return found


def test_the_file_of_settings(settings: Settings) -> None:
    assert (settings.reply_tokens, settings.max_tiles, settings.draw_pages) == (8, 4, "bare:1-2")
    assert settings.snapshot_budget == 1 << 30


def test_sessions_with_what_they_were_begun_with(desk: Desk) -> None:
    assert sorted((session.title, session.turns) for session in desk.sessions()) == [
        ("Nothing yet", 0),
        ("Which part?", 2),
    ]
    own = desk.settings_of(desk.session(session_of(desk)).session)
    assert (own.max_tiles, own.draw_pages, own.emptied, own.untitled) == (3, "bare:1-2", frozenset(), "Three parts")


def test_turns_with_what_they_were_asked_with(desk: Desk) -> None:
    first, second = desk.turns(session_of(desk))
    sampling = Sampling(max_tokens=8, temperature=0.0, top_p=0.95, min_p=0.05, seed=None)
    asked = TurnSettings(model="/tmp/longdesk/model.gguf", kv_type="f16", sampling=sampling, joined=())
    assert asked_with(second) == asked
    assert asked_with(first).refused == (Skipped("x.bin", Cause.BINARY, "not text"),)
    for turn in (first, second):
        again = asked_with(turn).to_json()
        assert json.loads(json.dumps(again)) == dict(turn.settings), "what is read is written as it was"


def test_sources_with_their_pictures_and_files(desk: Desk) -> None:
    session = session_of(desk)
    sources = {placed.source.path: placed.source for placed in desk.record(session).sources}
    assert [(path, len(source.pictures), source.n_pages) for path, source in sorted(sources.items())] == [
        ("0.txt", 0, None),
        ("1.txt", 0, None),
        ("photo.png", 1, None),
        ("scan.pdf", 2, 3),
    ]
    assert isinstance(draw(sources["photo.png"], 1, 96), Drawing) and isinstance(
        draw(sources["scan.pdf"], 2, 96), Drawing
    )
    assert sources["scan.pdf"].digest == "50ccd48afe0c590d605281ab400b7940"
    assert desk.draw_pages(session, "all") == ()
    scan = desk.source(session, "scan.pdf")
    assert scan is not None and [picture.number for picture in scan.source.pictures] == [1, 2, 3]


@pytest.mark.slow  # 1.4 s
def test_a_saved_kv_cache(desk: Desk) -> None:
    """All that was read before, the last reply included, is not read again."""
    session = session_of(desk)
    before = desk.turns(session)[-1]
    events = list(desk.ask(Question(text="And now?", session=session), cancel=Flag()))
    ended = next(at for at, event in enumerate(events) if isinstance(event, Answered))
    assert not [event for event in events[:ended] if isinstance(event, Notice) and "images" not in event.text]
    assert isinstance(events[-1], Answered)
    read_before = (before.prompt_tokens or 0) + (before.reply_tokens or 0)
    assert events[-1].turn.reused_tokens == read_before - 1, "its last token was sampled, and not decoded"
