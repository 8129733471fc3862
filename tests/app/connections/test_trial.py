"""A named engine on llama.cpp's own server, the real one, behind a key: tried, asked by its name, and left again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import pytest

from app.connections.named import NamedEngine
from app.connections.trial import try_engine
from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from engine.answer.cost import Prices
from engine.errors import DoesNotFit, EngineFailed, UsageError
from tests.llama_cpp_server import LlamaCppServer
from tests.models.cache import cached

KEY = "sk-7777marked7777"
PRICES = Prices(input=10, output=100, cached=1)


@pytest.fixture(scope="module")
def server() -> Iterator[LlamaCppServer]:
    with LlamaCppServer(cached("llama"), key=KEY) as running:
        yield running


@pytest.fixture
def engine(server: LlamaCppServer, monkeypatch: pytest.MonkeyPatch) -> NamedEngine:
    monkeypatch.setenv("BOX_KEY", KEY)
    return NamedEngine(name="box", url=server.url, key="env:BOX_KEY", prices=PRICES)


def ask(desk: Desk, text: str, session: str | None = None) -> Answered:
    *_, answered = (e for e in desk.ask(Question(text=text, session=session), cancel=Flag()) if isinstance(e, Answered))
    return answered


@pytest.mark.slow
def test_it_says_what_it_is(engine: NamedEngine) -> None:
    trial = try_engine(engine)
    assert trial.about.server.startswith("llama-server") and trial.about.window == 2048
    assert trial.about.counts_exactly and trial.capacity is not None and trial.about.prices == PRICES
    rows = dict(trial.rows())
    assert rows["Counts"] == "exact, by its own count" and rows["Window"] == "2,048 tokens"
    assert "of 1 slot busy" in rows["Room now"] and trial.model in rows["Models"]
    assert try_engine(replace(engine, window=512)).about.window == 512


@pytest.mark.slow
def test_a_wrong_key_is_a_sentence_with_the_place_to_put_the_right_one(
    engine: NamedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOX_KEY", KEY[::-1])
    with pytest.raises(EngineFailed, match="does not take the key. Put the right one into BOX_KEY") as refused:
        try_engine(engine)
    assert KEY[::-1] not in str(refused.value)
    with pytest.raises(EngineFailed, match="asks for a key"):
        try_engine(replace(engine, key=""))
    with pytest.raises(UsageError, match="BOX_KEY, which is not set"):
        monkeypatch.delenv("BOX_KEY")
        try_engine(engine)


@pytest.mark.slow
def test_a_session_goes_on_by_name_and_costs_what_was_entered(engine: NamedEngine, tmp_path: Path) -> None:
    model = str(cached("llama"))
    desk = Desk(Settings(home=tmp_path / "home", model=model, reply_tokens=8, engines=(engine,)))
    try:
        at_home = ask(desk, "Is it so?").turn
        assert at_home.stop in ("end", "length") and "cost" not in (at_home.receipt or {})
        desk.use_model("box")
        elsewhere = ask(desk, "And this?", at_home.session_id).turn
        assert elsewhere.stop in ("end", "length"), elsewhere.error
        assert elsewhere.receipt is not None and elsewhere.receipt["model"]["asked_as"] == "box"
        cost = elsewhere.receipt["cost"]
        assert cost["prompt_tokens"] == elsewhere.prompt_tokens and cost["reply_tokens"] == elsewhere.reply_tokens
        assert desk.session(at_home.session_id).session.model == "box"
        again = ask(desk, "And that?", at_home.session_id).turn
        assert again.receipt is not None and again.receipt["cost"]["cached_tokens"] > 0  # the server's prefix cache
        total = desk.cost(at_home.session_id)
        assert total is not None and total["turns"] == 2
        assert total["total"] == pytest.approx(cost["total"] + again.receipt["cost"]["total"])
        with pytest.raises(DoesNotFit):
            ask(desk, "word " * 4000, at_home.session_id)
        desk.use_model(model)
        assert ask(desk, "Back again?", at_home.session_id).turn.stop in ("end", "length")
        with pytest.raises(UsageError, match="neither the catalogue nor an engine"):
            desk.use_model("boxx")
        assert desk.settings.model == model
    finally:
        desk.close()
