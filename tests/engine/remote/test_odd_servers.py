"""Servers that answer otherwise than they should: gateways, forks, pages, and what sends a question elsewhere."""

import json
import shlex
from collections.abc import Iterator
from threading import Event as Flag
from typing import Any

import pytest

from app.connections.named import check_model
from engine.backend import Remark, Sampling, Source, Stop, Text, Wanted
from engine.corpus.formats.reader import draw
from engine.errors import DoesNotFit, EngineDied, LongdeskError, ModelRefused, UsageError
from engine.remote.servers import Servers
from tests.engine.remote import stubs
from tests.engine.remote.stubs import Stub, serving
from tests.engine.remote.test_engines import ask, end_of, opened, prompt_of
from tests.patience import PATIENCE_S

CHAT = "/v1/chat/completions"


def hosted(**more: Any) -> Stub:
    """One model of a hosted API."""
    return Stub({"/v1/models": {"data": [{"id": "m", "context_length": 8192, **more}]}, CHAT: stubs.chat()})


def said(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


# -- what sends on


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_call_that_is_sent_to_another_server_is_refused_before_it_goes_there(status: int) -> None:
    with serving(stubs.vllm()) as other:
        to = f"{other.url}/v1/models"
        stub, says = Stub({"/v1/models": (status, {}, to)}), f"sends on to {to}. Nothing .* name it: {other.url}/v1"
        with pytest.raises(UsageError, match=says), opened(stub, key="sk-secret"):
            pass
        assert not other.asked


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_question_that_is_sent_to_another_server_is_refused_too(status: int) -> None:
    stub = hosted()
    with serving(hosted()) as other, opened(stub) as backend:
        stub.routes[CHAT] = (status, {}, f"{other.url}{CHAT}?key=1")
        with pytest.raises(UsageError, match="sends on to"):
            ask(backend)
        assert not other.asked


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_question_is_never_asked_without_its_body(status: int) -> None:
    stub = hosted()
    with opened(stub) as backend:
        stub.routes[CHAT] = (status, {}, "/v1/other")
        stub.routes["/v1/other"] = stubs.chat()
        with pytest.raises(UsageError, match="sends on to"):
            ask(backend)
        assert not stub.bodies("/v1/other")


@pytest.mark.parametrize("status", [307, 308])
def test_a_server_may_send_on_within_itself(status: int) -> None:
    stub = stubs.vllm()
    stub.routes["/metrics/"] = stub.routes["/metrics"]  # as vLLM does itself
    stub.routes["/metrics"] = (status, {}, "/metrics/")
    stub.routes["/v1/other"] = stub.routes[CHAT]
    stub.routes[CHAT] = (status, {}, "/v1/other")
    with opened(stub) as backend:
        assert backend.about.reports_capacity
        assert said(ask(backend)) == "So it is."
        assert stub.bodies("/v1/other")[0]["messages"]


# -- answers of another shape


def stream(*chunks: Any) -> Any:
    def answer(_: Any) -> Iterator[str]:
        for chunk in chunks:
            yield f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"

    return answer


def delta(content: Any, ends: Any = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": ends}]}


END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": None}, {"prompt_tokens": "many", "completion_tokens": [1]}, {"prompt_tokens": -4},
     {"prompt_tokens": True, "prompt_tokens_details": 7}, {"prompt_tokens": float("inf")}, "none"],
    ids=str,
)  # fmt: skip
def test_an_answer_is_whole_whatever_its_usage_is(usage: Any) -> None:
    stub = hosted()
    stub.routes[CHAT] = stream(delta("Hi"), END, {"choices": [], "usage": usage})
    with opened(stub) as backend:
        events = ask(backend)
    end = end_of(events)
    assert said(events) == "Hi" and end.stop is Stop.END
    assert end.server["prompt_tokens"] is None and end.server["differs_by"] is None


def test_counts_are_taken_as_text_and_as_floats() -> None:
    stub = hosted()
    stub.routes[CHAT] = stream(
        delta("Hi"), END, {"choices": [], "usage": {"prompt_tokens": "12", "completion_tokens": 3.0}}
    )
    with opened(stub) as backend:
        server = end_of(ask(backend)).server
    assert server["prompt_tokens"] == 12


@pytest.mark.parametrize(
    "chunk",
    [{"choices": None}, {"choices": [None]}, {"choices": {}}, {"choices": [{"delta": None}]}, delta(None), delta(7),
     delta({"text": "x"}), {}, {"object": "ping"}],
    ids=json.dumps,
)  # fmt: skip
def test_a_chunk_that_says_nothing_ends_nothing(chunk: Any) -> None:
    stub = hosted()
    stub.routes[CHAT] = stream(chunk, delta("Hi"), END)
    with opened(stub) as backend:
        assert said(ask(backend)) == "Hi"


def test_text_may_come_in_parts() -> None:
    stub = hosted()
    stub.routes[CHAT] = stream(delta([{"type": "text", "text": "H"}, {"type": "text", "text": "i"}, 5]), END)
    with opened(stub) as backend:
        assert said(ask(backend)) == "Hi"


def test_an_answer_may_come_as_a_whole() -> None:
    message = {"role": "assistant", "content": "All at once.", "reasoning_content": "Hm."}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 300}}
    stub = hosted()
    stub.routes[CHAT] = whole
    with opened(stub) as backend:
        events = ask(backend)
    assert said(events) == "All at once." and end_of(events).server["prompt_tokens"] == 300
    assert end_of(events).server["reasoning"] == "Hm."


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ("<html><body>Log in</body></html>", ModelRefused, "no API"),
        ("<!DOCTYPE html><html lang=en>", ModelRefused, "no API"),
        ({"error": {"message": "CUDA out of memory"}}, EngineDied, "CUDA out of memory"),
        ({"error": "This model's maximum context length is 8192 tokens"}, DoesNotFit, "8,192"),
        ({}, EngineDied, "broke off"),
        ([], ModelRefused, "no API"),
    ],
    ids=["a page", "another page", "an error", "too long", "nothing", "a list"],
)
def test_what_comes_with_success_and_is_no_answer_is_said(answer: Any, kind: type[LongdeskError], words: str) -> None:
    stub = hosted()
    stub.routes[CHAT] = answer
    with opened(stub) as backend, pytest.raises(kind, match=words):
        ask(backend)


@pytest.mark.parametrize("why", ["content_filter", "tool_calls", "repetition"])
def test_an_answer_that_ended_for_another_reason_is_not_taken_for_whole(why: str) -> None:
    stub = hosted()
    stub.routes[CHAT] = stubs.chat(finish=why)
    with opened(stub) as backend:
        remarks = [event.text for event in ask(backend) if isinstance(event, Remark)]
    assert any(f'for "{why}"' in remark for remark in remarks), remarks


@pytest.mark.parametrize("why", ["stop", "eos", "end_turn", "length", "STOP"])
def test_an_answer_that_ends_as_it_should_says_no_more(why: str) -> None:
    stub = hosted()
    stub.routes[CHAT] = stubs.chat(finish=why)
    with opened(stub) as backend:
        assert not [event.text for event in ask(backend) if isinstance(event, Remark)]


# -- servers that say half of what they are


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"count": "x"},
        {"tokens": None, "count": None},
        [],
        "text",
        (404, ""),
        (405, {"detail": "Method Not Allowed"}),
    ],
    ids=str,
)
def test_a_vllm_whose_own_calls_are_not_passed_on_is_estimated_and_says_so(answer: Any) -> None:
    stub = stubs.vllm()
    stub.routes |= {"/tokenize": answer, "/metrics": (404, ""), "/version": (404, "")}
    with opened(stub) as backend:
        assert backend.about.server.startswith("vLLM at") and not backend.about.counts_exactly
        plan = backend.plan(prompt_of(backend), Wanted(reply_tokens=64))
        assert plan.estimated == ("prompt_tokens",) and "an estimate" in " ".join(plan.notes)
        assert not backend.about.unfit, "it said nothing of what it sees"
        assert said(ask(backend)) == "So it is."


@pytest.mark.parametrize("tokens", [{"tokens": "abc"}, {"tokens": [None]}, {}, "x"], ids=str)
def test_a_count_of_chats_is_enough(tokens: Any) -> None:
    stub = stubs.vllm()
    real = stub.routes["/tokenize"]
    stub.routes["/tokenize"] = lambda body: real(body) if "messages" in body else tokens
    with opened(stub) as backend:
        prompt = prompt_of(backend)
        assert backend.about.counts_exactly and said(ask(backend)) == "So it is." and prompt.n_tokens > 0


@pytest.mark.parametrize(
    "metrics",
    ["", "<html>no</html>", 'vllm:cache_config_info{kv_cache_size_tokens="x"} 1\n', "vllm:kv_cache_usage_perc e\n",
     "vllm:kv_cache_usage_perc +Inf\n", "vllm:num_requests_running NaN\n", (401, "no")],
    ids=repr,
)  # fmt: skip
def test_metrics_of_another_shape_say_no_room(metrics: Any) -> None:
    stub = stubs.vllm()
    stub.routes["/metrics"] = metrics
    with opened(stub) as backend:
        capacity = backend.plan(prompt_of(backend), Wanted(reply_tokens=64)).capacity
    assert capacity is None or capacity.total is None


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ({"max_model_len": "8192"}, 8192),
        ({"context_length": 1e6}, 1_000_000),
        ({"max_model_len": None, "context_window": 4096}, 4096),
        ({"max_model_len": -5}, None),
        ({"max_model_len": "big"}, None),
        ({"max_model_len": True}, None),
        ({"top_provider": 7, "architecture": [], "capabilities": "all", "pricing": []}, None),
    ],
    ids=str,
)
def test_a_window_is_read_in_any_shape_and_assumed_windows_say_so(model: dict[str, Any], window: int | None) -> None:
    stub = Stub({"/v1/models": {"data": [{"id": "m", **model}]}, CHAT: stubs.chat()})
    with opened(stub) as backend:
        about, notes = backend.about, " ".join(backend.plan(prompt_of(backend), Wanted(reply_tokens=64)).notes)
    assert about.window == (window or 131_072) and about.window_is_assumed == (window is None)
    assert ("does not say what window" in notes) == (window is None)


def test_odd_words_of_the_other_engines_end_nothing() -> None:
    trt, lm, odd_ollama, llama = stubs.tensorrt_llm(), stubs.lm_studio(), stubs.ollama(), hosted(owned_by="llamacpp")
    trt.routes["/metrics"] = [{"kvCacheStats": {"maxNumBlocks": None, "tokensPerBlock": "x"}}]
    lm.routes["/api/v0/models"] = {"data": [{"id": "scout", "type": "llm", "max_context_length": None}]}
    odd_ollama.routes |= {"/api/show": {"model_info": None, "capabilities": None}, "/api/ps": {"models": [None, {}]}}
    odd = {"choices": [], "prompt_progress": {"total": None}, "timings": {"prompt_n": "x", "cache_n": None}}
    llama.routes |= {"/props": [], "/slots": [None], CHAT: stream(odd, delta("So it is."), END)}
    for stub in (trt, lm, odd_ollama, llama):
        with opened(stub) as backend:
            backend.plan(prompt_of(backend), Wanted(reply_tokens=64))
            assert said(ask(backend)) == "So it is."


@pytest.mark.parametrize("line", ["not json\n", '{"message": {"content": "H"}, "done": false}\n', "[1]\n"])
def test_an_ollama_that_ends_in_the_middle_broke_off(line: str) -> None:
    stub = stubs.ollama()
    stub.routes["/api/chat"] = lambda _: iter([line])
    with opened(stub) as backend, pytest.raises((EngineDied, ModelRefused)):
        ask(backend)


def test_the_same_model_twice_is_one() -> None:
    listed = [{"id": "m", "context_length": 4096}, {"id": "m", "context_length": 4096}]
    with opened(Stub({"/v1/models": {"data": listed}, CHAT: stubs.chat()})) as backend:
        assert backend.about.window == 4096


@pytest.mark.parametrize("name", ["a b", "a#b", "model:7b-q4", "ä/ö", "C:\\m\\x.gguf", "100%41", "it's", "x@y"])
def test_the_remedy_for_several_models_names_one_as_it_can_be_given(name: str) -> None:
    listed = [{"id": name, "context_length": 4096}, {"id": "other", "context_length": 8192}]
    with serving(Stub({"/v1/models": {"data": listed}, CHAT: stubs.chat()})) as stub:
        with pytest.raises(UsageError, match="several models") as refused:
            Servers(draw, key_for=lambda url: None).open(stub.url)
        (given,) = shlex.split((refused.value.remedy or "").removeprefix("Name one: --model ").removesuffix("."))
        check_model(given)
        servers = Servers(draw, key_for=lambda url: None)
        assert servers.open(given).model == name
        servers.close()


def test_a_server_that_cuts_in_silence_is_told_of_every_time() -> None:
    stub, long = hosted(context_length=100_000), Source.written("long.txt", "word after word " * 4000)
    stub.routes[CHAT] = stubs.chat(prompt_tokens=2048)
    with opened(stub) as backend:
        counts = set()
        for _ in range(3):
            prompt = prompt_of(backend, "What?", long)
            remarks = [event.text for event in ask(backend, prompt) if isinstance(event, Remark)]
            assert any("may have left out some" in remark for remark in remarks)
            counts.add(prompt.n_tokens)
    assert len(counts) == 1, "nothing is learned of a prompt that was cut"


def test_a_cancel_does_not_wait_for_metrics_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    stub, cancel, go_on = stubs.vllm(), Flag(), Flag()

    def silent(_: Any) -> Iterator[str]:
        yield ": keep-alive\n\n"
        go_on.wait(PATIENCE_S)

    real, asked = stub.routes["/metrics"], list[int]()

    def metrics(_: Any) -> Any:
        asked.append(1)
        if stub.bodies(CHAT):  # it computes, and answers nobody
            cancel.set()
            go_on.wait(PATIENCE_S)
        return real

    stub.routes |= {CHAT: silent, "/metrics": metrics}
    monkeypatch.setattr("engine.remote.compatible.GLANCE_S", 0.05)
    with opened(stub) as backend:
        case = backend.consider(prompt_of(backend), Wanted(reply_tokens=64))
        events = list(backend.generate(case, Sampling(max_tokens=64), session_id="s", cancel=cancel))
        assert end_of(events).stop is Stop.CANCELLED and not go_on.is_set()
        go_on.set()
