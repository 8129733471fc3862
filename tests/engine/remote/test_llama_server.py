"""Against llama.cpp's own server, the real one: what it is, what prompts cost there, and its answers."""

import string
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path
from random import Random
from threading import Event as Flag

import numpy as np
import pytest
from PIL import Image as Pillow

from app.passes.notes import FORM, read_note
from engine.backend import (
    Case,
    Event,
    Exchange,
    Finished,
    Prefill,
    Prompt,
    Sampling,
    Source,
    Stop,
    Text,
    Verdict,
    Wanted,
)
from engine.corpus.collect import collect
from engine.errors import DoesNotFit, EngineDied, EngineFailed, ModelRefused, UsageError
from engine.remote.backend import RemoteBackend
from engine.remote.servers import Servers
from tests.llama_cpp_server import LlamaCppServer
from tests.patience import until

TODAY, SYSTEM = date(2026, 11, 30), "Answer from the documents."
_SIGNS = string.printable + "äöüß–“”漢字かな🙂🏴‍☠️ ا\u200d<|eot_id|> [INST] </s>"


def source(path: str, text: str) -> Source:
    return Source.written(path, text)


def prompt_of(backend: RemoteBackend, question: str, *sources: Source, history: Sequence[Exchange] = ()) -> Prompt:
    exchanges = [*history, Exchange(question, backend.documents(sources))]
    return backend.lay_out(exchanges, system=SYSTEM, today=TODAY)


def case_of(backend: RemoteBackend, prompt: Prompt, reply_tokens: int = 16) -> Case:
    return backend.consider(prompt, Wanted(reply_tokens=reply_tokens))


def answer(
    backend: RemoteBackend, prompt: Prompt, *, n_reply: int = 8, cancel: Flag | None = None, form: str | None = None
) -> list[Event]:
    sampling = Sampling(max_tokens=n_reply, seed=1)
    case = case_of(backend, prompt, n_reply)
    return list(backend.generate(case, sampling, session_id="s", cancel=cancel or Flag(), form=form))


def finished(events: Sequence[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last


def test_it_is_recognised_with_its_window_and_what_it_can_do(remote: RemoteBackend, server: LlamaCppServer) -> None:
    about = remote.about
    assert about.server.startswith("llama-server") and about.server.endswith(server.url.removeprefix("http://"))
    assert (about.name, about.window, about.sees) == (server.model.stem, 2048, False)
    assert about.counts_exactly and about.holds_forms and about.reports_capacity and about.vocabulary == ""


def test_another_name_for_its_api_is_the_same_server(servers: Servers, server: LlamaCppServer) -> None:
    for address in (f"{server.url}/", f"{server.url}/v1", f"{server.url}/v1#{server.model.stem}"):
        assert servers.open(address).about.window == 2048


def test_a_model_that_it_does_not_have_is_named_with_those_that_it_has(
    servers: Servers, server: LlamaCppServer
) -> None:
    with pytest.raises(UsageError, match=f"no model other. It has .*{server.model.stem}"):
        servers.open(f"{server.url}#other")


def random_text(random: Random) -> str:
    return "".join(random.choice(_SIGNS) for _ in range(random.randrange(1, 400)))


def test_what_is_counted_is_what_it_reads_at_50_random_prompts(remote: RemoteBackend) -> None:
    random = Random(50)
    for number in range(50):
        history = [
            Exchange(random_text(random), (), remote.encode(reply := random_text(random)), reply)
            for _ in range(random.randrange(0, 2))
        ]
        sources = [source(f"{number}/{at}.txt", random_text(random)) for at in range(random.randrange(0, 3))]
        prompt = prompt_of(remote, random_text(random), *sources, history=history)
        if prompt.n_tokens > 2000:
            continue
        end = finished(answer(remote, prompt, n_reply=1))
        assert end.server is not None
        assert prompt.n_tokens == end.prompt_tokens == end.server["prompt_tokens"], number
        assert end.server["differs_by"] == 0


def test_an_older_one_without_that_call_is_counted_as_text(
    remote: RemoteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [remote._adapter.count(messages) for messages in _CHATS]
    monkeypatch.setattr("engine.remote.llama_server._CHAT", "/no-such-call")
    assert [remote._adapter.count(messages) for messages in _CHATS] == expected


_CHATS = (
    [{"role": "user", "content": "One <|eot_id|> two"}],
    [{"role": "system", "content": "S."}, {"role": "user", "content": "\n a"}, {"role": "assistant", "content": "b"},
     {"role": "user", "content": "c"}],
)  # fmt: skip


def png(width: int, height: int, seed: int) -> bytes:
    rows = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = BytesIO()
    Pillow.fromarray(rows).save(file, "PNG")
    return file.getvalue()


def test_images_are_seen_and_counted_as_it_reads_them(seeing: RemoteBackend, tmp_path: Path) -> None:
    assert seeing.about.sees and seeing.about.image_rule == "llama-server's count"
    for at, (width, height) in enumerate([(64, 64), (200, 90), (32, 300), (400, 400)]):
        (tmp_path / f"{at}.png").write_bytes(png(width, height, at))
    (tmp_path / "words.txt").write_text("Between the images stand words.\n")
    corpus = collect([tmp_path])
    documents = seeing.documents(corpus.sources)
    costs = [shown.view.n_tokens for document in documents for shown in document.shown]
    assert len(costs) == 4 and len(set(costs)) > 1, "by their sizes"
    prompt = seeing.lay_out([Exchange("What is in image 2?", documents)], system=SYSTEM, today=TODAY)
    end = finished(answer(seeing, prompt, n_reply=2))
    assert prompt.n_tokens == end.prompt_tokens
    again = finished(answer(seeing, prompt, n_reply=2))
    assert again.reused_tokens >= prompt.n_tokens - 2, "the images are the same to the byte"


def test_what_does_not_fit_is_refused_before_it_is_sent(remote: RemoteBackend) -> None:
    documents = remote.documents([source("long.txt", "Words of no meaning. " * 400), source("a.txt", "a")])
    asked = [Exchange("What?", documents)]
    prompt = remote.lay_out(asked, system=SYSTEM, today=TODAY)
    plan = remote.consider(prompt, Wanted(reply_tokens=16), asked).plan
    assert plan.verdict is Verdict.OVER_WINDOW and plan.over_tokens == prompt.n_tokens + 16 - 2048
    assert plan.prompt_tokens > 2048, "counted whole, though it is too long"
    assert plan.advice[0].leave_out == ("long.txt",) and plan.advice[-1].other_window == prompt.n_tokens + 16


def test_what_is_forced_upon_it_is_refused_by_itself_and_means_the_same(remote: RemoteBackend) -> None:
    prompt = prompt_of(remote, "What?", source("long.txt", "Words of no meaning. " * 400))
    with pytest.raises(DoesNotFit, match=f"tokens over: .* counts {prompt.n_tokens:,} in the prompt") as refused:
        answer(remote, prompt)
    assert f"{prompt.n_tokens - 2048:,} tokens over" in str(refused.value) and "2,048" in str(refused.value)
    assert "nothing was cut" in refused.value.fact and "--pass-tokens" in refused.value.remedy


def test_it_streams_and_says_how_far_it_is(remote: RemoteBackend) -> None:
    prompt = prompt_of(remote, "What?", source("a.txt", "The way it is told. " * 60))
    events = answer(remote, prompt, n_reply=12)
    read = [event for event in events if isinstance(event, Prefill)]
    assert not any(event.untold for event in read)
    assert [event.done for event in read] == sorted(event.done for event in read) and len(read) > 3
    assert read[-1].done == read[-1].total == prompt.n_tokens == finished(events).prompt_tokens
    text = [event for event in events if isinstance(event, Text)]
    assert len(text) > 1 and finished(events).stop is Stop.LENGTH and finished(events).reply_tokens == 12


def test_a_follow_up_reads_what_is_new_and_its_beginning_is_the_same_to_the_byte(remote: RemoteBackend) -> None:
    corpus = (source("a.txt", "What is new is little. " * 40),)
    first = prompt_of(remote, "What is new?", *corpus)
    events = answer(remote, first, n_reply=6)
    said = "".join(event.text for event in events if isinstance(event, Text))
    history = [Exchange("What is new?", remote.documents(corpus), remote.encode(said), said)]
    second = prompt_of(remote, "And then?", history=history)
    end = finished(answer(remote, second))
    assert end.reused_tokens >= first.n_tokens - 1 and end.server is not None
    assert end.server["cached_tokens"] == end.reused_tokens


def test_a_cancel_frees_its_slot_though_it_had_much_to_write(remote: RemoteBackend, server: LlamaCppServer) -> None:
    prompt, cancel, heard = prompt_of(remote, "Go on."), Flag(), list[Event]()
    case = case_of(remote, prompt, 1_000_000)
    sampling = Sampling(max_tokens=1_000_000, temperature=1.0, seed=3)
    for event in remote.generate(case, sampling, session_id="s", cancel=cancel):
        heard.append(event)
        if isinstance(event, Text):
            assert server.busy
            cancel.set()
    until(lambda: not server.busy)
    assert finished(heard).stop is Stop.CANCELLED


def test_a_cancel_while_it_reads_frees_its_slot_too(remote: RemoteBackend, server: LlamaCppServer) -> None:
    prompt = prompt_of(remote, "What?", source("b.txt", "Read slowly, and not to the end. " * 100))
    cancel, heard = Flag(), list[Event]()
    for event in remote.generate(case_of(remote, prompt), Sampling(max_tokens=4), session_id="s", cancel=cancel):
        heard.append(event)
        if isinstance(event, Prefill) and event.done:
            cancel.set()
    until(lambda: not server.busy)
    assert finished(heard).stop is Stop.CANCELLED and not any(isinstance(event, Text) for event in heard)


def test_a_listener_that_leaves_frees_its_slot(remote: RemoteBackend, server: LlamaCppServer) -> None:
    case = case_of(remote, prompt_of(remote, "Go on."), 1_000_000)
    listening = remote.generate(case, Sampling(max_tokens=1_000_000), session_id="s", cancel=Flag())
    while not isinstance(next(listening), Text):
        pass
    listening.close()
    until(lambda: not server.busy)


def test_a_form_holds_what_it_writes(remote: RemoteBackend) -> None:
    prompt = prompt_of(remote, "Write a note.")
    text = "".join(event.text for event in answer(remote, prompt, n_reply=900, form=FORM) if isinstance(event, Text))
    note = read_note(text)
    assert note.confidence in ("low", "medium", "high"), text


def test_a_reply_goes_on_where_it_was_cut(remote: RemoteBackend) -> None:
    prompt = prompt_of(remote, "Tell me.")
    begun = "It begins like"
    whole = answer(remote, prompt.begun_with(remote.encode(begun), begun), n_reply=5)
    told = "".join(event.text for event in whole if isinstance(event, Text))
    assert told and not told.startswith(begun), "what is new alone"


def test_a_server_that_is_killed_says_so(llama_gguf: Path, servers: Servers) -> None:
    with LlamaCppServer(llama_gguf, n_ctx=512) as other:
        backend = servers.open(other.url)
        case = case_of(backend, prompt_of(backend, "Go on."), 100_000)
        heard = list[Event]()
        with pytest.raises(EngineDied, match="broke off the answer.*is kept"):
            for event in backend.generate(case, Sampling(max_tokens=100_000), session_id="s", cancel=Flag()):
                heard.append(event)
                if isinstance(event, Text) and other.process.poll() is None:
                    other.kill()
    assert any(isinstance(event, Text) for event in heard)
    with pytest.raises(EngineFailed, match="Nobody listens"):
        prompt_of(backend, "And now?")


def test_a_busy_server_has_room_later(llama_gguf: Path, servers: Servers) -> None:
    with LlamaCppServer(llama_gguf, n_ctx=512) as other:
        backend = servers.open(other.url)
        plan = backend.plan(prompt_of(backend, "Now?"), Wanted(reply_tokens=8))
        assert plan.capacity is not None and plan.capacity.before(100) == 0
        case = case_of(backend, prompt_of(backend, "Go on."), 400)
        listening = backend.generate(case, Sampling(max_tokens=1_000_000), session_id="s", cancel=Flag())
        while not isinstance(next(listening), Text):
            pass
        busy = backend.plan(prompt_of(backend, "Now?"), Wanted(reply_tokens=8)).capacity
        assert busy is not None and busy.before(100) == 1
        listening.close()


def test_a_key_is_wanted_and_given(llama_gguf: Path) -> None:
    from engine.corpus.formats.reader import draw

    with LlamaCppServer(llama_gguf, n_ctx=512, key="sesame") as guarded:
        for key, why in ((None, "asks for a key"), ("wrong", "does not take the key")):
            others = Servers(draw, key_for=lambda url, key=key: key)  # type: ignore[misc]
            with pytest.raises(EngineFailed, match=why) as refused:
                others.open(f"{guarded.url}#x").documents([source("a.txt", "a")])
            assert "wrong" not in str(refused.value)
            others.close()
        ours = Servers(draw, key_for=lambda url: "sesame")
        backend = ours.open(guarded.url)
        assert finished(answer(backend, prompt_of(backend, "Open?"), n_reply=2)).reply_tokens == 2
        ours.close()


def test_a_reply_cannot_go_on_where_an_engine_cannot(remote: RemoteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote._adapter, "goes_on", False)
    prompt = prompt_of(remote, "Tell me.")
    case = case_of(remote, replace(prompt).begun_with(remote.encode("It"), "It"))
    assert isinstance(case.refusal, ModelRefused)
