"""Against vLLM itself. `make test-vllm` runs this; nothing here is a part of `make test`."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Event as Flag
from threading import Thread

import pytest

from app.desk import Desk
from app.passes.notes import FORM, read_note
from app.question import Answered, Question
from app.settings import Settings
from app.verdicts import verdict
from engine.backend import Event, Exchange, Prefill, Sampling, Source, Stop, Text, Verdict, Wanted
from engine.corpus.formats.reader import draw
from engine.errors import DoesNotFit, EngineDied
from engine.remote.backend import RemoteBackend
from engine.remote.servers import Servers
from tests.engine.remote.test_llama_server import answer, case_of, finished, prompt_of, random_text, source
from tests.models.cache import cached
from tests.patience import until
from tests.vllm.server import WINDOW, VllmServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    with VllmServer(tmp_path_factory.mktemp("vllm")) as running:
        yield running


@pytest.fixture
def remote(server: VllmServer) -> Iterator[RemoteBackend]:
    until(lambda: not server.busy)
    servers = Servers(draw, key_for=lambda url: None)
    yield servers.open(server.url)
    servers.close()


def long_source(n_words: int) -> Source:
    return source(f"{n_words}.txt", "".join(f"line {at} of many\n" for at in range(n_words // 4)))


def test_it_is_recognised(remote: RemoteBackend, server: VllmServer) -> None:
    about = remote.about
    assert about.server.startswith("vLLM 0.") and (about.name, about.window, about.sees) == ("tiny", WINDOW, False)
    assert about.counts_exactly and about.holds_forms and about.reports_capacity
    capacity = remote.plan(prompt_of(remote, "What?"), Wanted(reply_tokens=8)).capacity
    assert capacity is not None and capacity.total == server.cache_tokens()


def test_what_is_counted_is_what_it_reads_at_50_random_prompts(remote: RemoteBackend) -> None:
    random = Random(51)
    for number in range(50):
        sources = [source(f"{number}/{at}.txt", random_text(random)) for at in range(random.randrange(0, 3))]
        prompt = prompt_of(remote, random_text(random), *sources)
        if prompt.n_tokens < WINDOW - 8:
            end = finished(answer(remote, prompt, n_reply=1))
            assert end.server is not None and end.server["prompt_tokens"] == prompt.n_tokens, number


def test_what_does_not_fit_is_refused_here_and_there(remote: RemoteBackend) -> None:
    prompt = prompt_of(remote, "What?", long_source(8_000))
    assert case_of(remote, prompt).plan.verdict is Verdict.OVER_WINDOW
    with pytest.raises(DoesNotFit, match="tokens? over"):
        answer(remote, prompt)


def test_a_follow_up_shows_cached_tokens(remote: RemoteBackend) -> None:
    corpus = (long_source(400),)
    first = prompt_of(remote, "What is new?", *corpus)
    said = "".join(event.text for event in answer(remote, first, n_reply=6) if isinstance(event, Text))
    history = [Exchange("What is new?", remote.documents(corpus), remote.encode(said), said)]
    end = finished(answer(remote, prompt_of(remote, "And then?", history=history)))
    assert end.reused_tokens >= first.n_tokens - 256, "whole blocks of it"


def test_a_cancel_frees_it(remote: RemoteBackend, server: VllmServer) -> None:
    cancel, heard = Flag(), list[Event]()
    case = case_of(remote, prompt_of(remote, "Go on."), WINDOW - 200)
    sampling = Sampling(max_tokens=WINDOW - 200, temperature=1.0, seed=3)
    for event in remote.generate(case, sampling, session_id="s", cancel=cancel):
        heard.append(event)
        if isinstance(event, Text):
            cancel.set()
    until(lambda: not server.busy)
    assert finished(heard).stop is Stop.CANCELLED


def test_a_long_prefill_shows_in_the_strip_and_a_queue_is_told(remote: RemoteBackend, server: VllmServer) -> None:
    used, done = list[int](), list[int]()
    prompts = (prompt_of(remote, "What?", long_source(n_words)) for n_words in range(1_800, 0, -100))
    prompt = next(prompt for prompt in prompts if prompt.n_tokens + 100 <= WINDOW)

    def ask() -> None:
        for event in answer(remote, prompt, n_reply=100):
            if isinstance(event, Prefill):
                done.append(event.done)

    threads = [Thread(target=ask) for _ in range(4)]  # two run at once
    for thread in threads:
        thread.start()
    waited = False
    while any(thread.is_alive() for thread in threads):
        plan = remote.plan(prompt, Wanted(reply_tokens=8))
        assert plan.capacity is not None
        used.append(plan.capacity.used)
        if plan.capacity.waiting:
            waited = True
            assert "done" in verdict(plan)
    assert max(used) > 0 and waited and max(done) == prompt.n_tokens


def test_a_form_holds_what_it_writes(remote: RemoteBackend) -> None:
    events = answer(remote, prompt_of(remote, "Write a note."), n_reply=1_500, form=FORM)
    text = "".join(event.text for event in events if isinstance(event, Text))
    assert text.startswith(("Fact: ", "Missing: ")), text
    if finished(events).stop is Stop.END:
        assert read_note(text).confidence in ("low", "medium", "high")


def test_a_session_goes_from_a_file_to_it_and_back(server: VllmServer, tmp_path: Path) -> None:
    def ask(model: str, text: str, session: str | None = None) -> Answered:
        desk = Desk(Settings(home=tmp_path / "home", model=model, reply_tokens=8))
        try:
            events = list(desk.ask(Question(text=text, session=session), cancel=Flag()))
        finally:
            desk.close()
        return next(event for event in events if isinstance(event, Answered))

    first = ask(str(cached("llama")), "One?")
    second = ask(server.url, "Two?", first.turn.session_id)
    third = ask(str(cached("llama")), "Three?", first.turn.session_id)
    assert [turn.turn.stop for turn in (first, second, third)] == ["length"] * 3
    assert third.turn.receipt is not None and third.turn.receipt["history"] == [0, 1]


def test_it_is_killed_and_what_it_wrote_is_kept(tmp_path: Path) -> None:
    with VllmServer(tmp_path) as dying:
        servers = Servers(draw, key_for=lambda url: None)
        backend, heard = servers.open(dying.url), list[Event]()
        case = case_of(backend, prompt_of(backend, "Go on."), WINDOW - 200)
        sampling = Sampling(max_tokens=WINDOW - 200, temperature=1.0, seed=5)
        with pytest.raises(EngineDied, match="broke off"):
            for event in backend.generate(case, sampling, session_id="s", cancel=Flag()):
                heard.append(event)
                if isinstance(event, Text) and dying.process.poll() is None:
                    dying.kill()
        assert any(isinstance(event, Text) for event in heard)
        servers.close()
