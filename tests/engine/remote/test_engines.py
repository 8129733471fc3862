"""Engines that cannot be had here, by stubs made from their wire formats (see `stubs`): what each is taken for, what
its prompts cost, what is sent, and what is made of its answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from itertools import count as counting
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from engine.backend import (
    Case,
    Event,
    Exchange,
    Finished,
    Prefill,
    Prompt,
    Remark,
    Sampling,
    Source,
    Stop,
    Text,
    Verdict,
    Wanted,
)
from engine.corpus.formats.reader import draw
from engine.errors import DoesNotFit, EngineDied, EngineFailed, LongdeskError, ModelRefused, UsageError
from engine.remote.backend import RemoteBackend
from engine.remote.servers import Servers
from tests.engine.remote import stubs
from tests.engine.remote.stubs import Stub, serving
from tests.patience import PATIENCE_S

TODAY = date(2026, 11, 30)
SOURCE = Source.written("a.txt", "Alpha beta gamma delta. " * 20)


@contextmanager
def opened(stub: Stub, *, name: str = "", key: str | None = None) -> Iterator[RemoteBackend]:
    with serving(stub):
        servers = Servers(draw, key_for=lambda url: key)
        try:
            yield servers.open(f"{stub.url}#{name}" if name else stub.url)
        finally:
            servers.close()


def prompt_of(backend: RemoteBackend, question: str = "What is it?", *sources: Source) -> Prompt:
    return backend.lay_out(
        [Exchange(question, backend.documents(sources or [SOURCE]))], system="Be exact.", today=TODAY
    )


def ask(backend: RemoteBackend, prompt: Prompt | None = None, **wanted: Any) -> list[Event]:
    case = backend.consider(prompt or prompt_of(backend), Wanted(reply_tokens=64, **wanted))
    return heard(backend, case)


def heard(backend: RemoteBackend, case: Case, **how: Any) -> list[Event]:
    sampling = Sampling(max_tokens=64, temperature=0.5, seed=7, stops=("END",))
    return list(backend.generate(case, sampling, session_id="s", cancel=Flag(), **how))


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def end_of(events: list[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last


@pytest.mark.parametrize(("name", "window"), [("scout", 8192), ("maverick", 4096)])
def test_a_router_of_llama_server_is_told_which_model_in_every_call(name: str, window: int) -> None:
    stub = stubs.llama_router(scout=8192, maverick=4096)
    with opened(stub, name=name) as backend:
        plan = backend.plan(prompt_of(backend), Wanted(reply_tokens=64))
        assert backend.about.server.startswith("llama-server b9000 at") and backend.about.counts_exactly
        assert (plan.window, plan.capacity is not None and plan.capacity.slots) == (window, 1)
        assert text_of(ask(backend)) == "So it is."
    own = {path: body["model"] for path, _, body in stub.asked if path != "/v1/models"}
    assert set(own.values()) == {name} and {"/props", "/slots", "/tokenize"} <= set(own)
    with pytest.raises(UsageError, match="several models: scout, maverick"), opened(stub):
        pass


@pytest.mark.parametrize(
    ("stub", "engine", "window", "sees", "exact"),
    [
        (stubs.vllm(), "vLLM 0.32.0", 8192, False, True),
        (stubs.vllm(sees=True), "vLLM 0.32.0", 8192, True, True),
        (stubs.sglang(), "SGLang 0.6.1", 4096, True, False),
        (stubs.tensorrt_llm(), "TensorRT-LLM 1.4.0", 131_072, False, False),
        (stubs.ollama(), "Ollama 0.14.0", 16_384, True, False),
        (stubs.lm_studio(), "LM Studio", 8192, True, False),
    ],
    ids=["vllm", "vllm that sees", "sglang", "tensorrt-llm", "ollama", "lm studio"],
)
def test_an_engine_is_recognised_by_what_it_says(stub: Stub, engine: str, window: int, sees: bool, exact: bool) -> None:
    with opened(stub) as backend:
        about = backend.about
        assert about.server == f"{engine} at {stub.url.removeprefix('http://')}" and about.name == "scout"
        assert (about.window, about.sees, about.counts_exactly) == (window, sees, exact)
        assert bool(about.how_counted) is not exact
        events = ask(backend)
        assert text_of(events) == "So it is." and end_of(events).stop is Stop.END


def test_of_several_models_one_is_to_be_named() -> None:
    with (
        pytest.raises(UsageError, match="several models: meta/scout, meta/maverick.*#meta/scout"),
        opened(stubs.hosted()),
    ):
        pass
    for name in ("meta/maverick", "maverick"):
        with opened(stubs.hosted(), name=name) as backend:
            assert (backend.about.name, backend.about.window) == ("meta/maverick", 1_048_576)
            assert not backend.about.sees


def test_vllm_counts_exactly_and_says_when_it_has_room() -> None:
    with opened(stubs.vllm()) as backend:
        plan = backend.plan(prompt_of(backend), Wanted(reply_tokens=64))
        assert plan.fits and not plan.estimated and plan.capacity is not None
        assert plan.capacity.total == 10_000 and plan.capacity.before(2_000) == 0
    with opened(stubs.vllm(usage=0.9, running=3)) as backend:
        plan = backend.plan(prompt_of(backend), Wanted(reply_tokens=3000))
        assert plan.fits and plan.capacity is not None and plan.capacity.used == 9_000
        assert plan.capacity.before(plan.prompt_tokens + plan.reply_tokens) == 1
        assert plan.capacity.before(7_500) == 3
    with opened(stubs.vllm(usage=0.5, running=1, waiting=2)) as backend:
        capacity = backend.plan(prompt_of(backend), Wanted(reply_tokens=64)).capacity
        assert capacity is not None and capacity.before(100) == 3


def test_what_its_kv_cache_never_holds_is_refused() -> None:
    stub = stubs.vllm()
    stub.routes["/v1/models"] = stubs.models("vllm", "scout", max_model_len=1_000_000)
    with opened(stub) as backend:
        plan = backend.plan(prompt_of(backend), Wanted(reply_tokens=10_000))
        assert plan.verdict is Verdict.OVER_WINDOW and plan.limit == 10_000
        assert plan.over_tokens == plan.prompt_tokens


def test_the_prefill_of_vllm_is_followed_by_the_use_of_its_cache() -> None:
    stub, go_on, shares = stubs.vllm(), Flag(), counting(0)

    def metrics(_: Any) -> str:
        share = next(shares) / 100
        if share >= 0.03:
            go_on.set()
        return stubs.VLLM_METRICS % {"usage": min(share, 0.03), "running": 1.0, "waiting": 0.0}

    def slow(body: Any) -> Iterator[str]:
        assert go_on.wait(PATIENCE_S)
        yield from stubs.chat()(body)

    stub.routes |= {"/metrics": metrics, "/v1/chat/completions": slow}
    with opened(stub) as backend:
        long = Source.written("long.txt", "word " * 2000)
        read = [event for event in ask(backend, prompt_of(backend, "What?", long)) if isinstance(event, Prefill)]
    assert any(0 < event.done < event.total and not event.untold for event in read)


def test_who_does_not_say_how_far_it_is_is_said_not_to() -> None:
    with opened(stubs.tensorrt_llm()) as backend:
        first, *_, last = [event for event in ask(backend) if isinstance(event, Prefill)]
    assert first.untold and last.done == last.total


def test_sglang_holds_forms_and_its_ranks_count_once() -> None:
    stub = stubs.sglang()
    with opened(stub) as backend:
        case = backend.consider(prompt_of(backend), Wanted(reply_tokens=64))
        assert case.plan.capacity is not None
        assert (case.plan.capacity.total, case.plan.capacity.used, case.plan.capacity.running) == (6000, 1500, 1)
        assert case.plan.estimated == ("prompt_tokens",) and "counts texts, and no chats" in str(case.plan.notes)
        heard(backend, case, form='start: "a" LINE\nLINE: /[a-z]{1,3}/\n')
    (sent,) = stub.bodies("/v1/chat/completions")
    assert sent["ebnf"] == 'root ::= "a" line-signs\nline-signs ::= ([a-z]{1,3})\n' and sent["min_p"] == 0.05


def test_tensorrt_llm_tells_its_blocks() -> None:
    with opened(stubs.tensorrt_llm()) as backend:
        plan = backend.plan(prompt_of(backend), Wanted(reply_tokens=64))
        assert plan.capacity is not None and (plan.capacity.total, plan.capacity.used) == (6400, 1600)
        assert any("does not say what window" in note for note in plan.notes)
        assert backend.plan(prompt_of(backend), Wanted(n_ctx=512, reply_tokens=64)).window == 512


PENALTIES: dict[str, Any] = {"presence_penalty": 0.5, "frequency_penalty": 0.25}


@pytest.mark.parametrize(
    ("stub", "name", "path", "sent", "untold"),
    [
        (stubs.vllm(), "", "/v1/chat/completions", {"top_k": 20, "repetition_penalty": 1.1}, ""),
        (stubs.sglang(), "", "/v1/chat/completions", {"top_k": 20, "repetition_penalty": 1.1}, ""),
        (stubs.tensorrt_llm(), "", "/v1/chat/completions", {"top_k": 20, "repetition_penalty": 1.1}, ""),
        (stubs.lm_studio(), "", "/v1/chat/completions", {"top_k": 20, "repeat_penalty": 1.1}, ""),
        (stubs.ollama(), "", "/api/chat", {"top_k": 20, "repeat_penalty": 1.1}, ""),
        (stubs.hosted(), "meta/scout", "/v1/chat/completions", {}, "is not told top-k and the repeat penalty"),
    ],
    ids=["vllm", "sglang", "tensorrt-llm", "lm studio", "ollama", "unknown"],
)
def test_top_k_and_penalties_are_sent_where_they_are_taken(
    stub: Stub, name: str, path: str, sent: dict[str, float], untold: str
) -> None:
    sampling = Sampling(max_tokens=8, temperature=0.7, top_k=20, repeat_penalty=1.1, **PENALTIES)
    with opened(stub, name=name) as backend:
        case = backend.consider(prompt_of(backend), Wanted(reply_tokens=8))
        events = list(backend.generate(case, sampling, session_id="s", cancel=Flag()))
        list(backend.generate(case, Sampling(max_tokens=8), session_id="s", cancel=Flag()))
    asked, plainly = ({**body, **body.get("options", {})} for body in stub.bodies(path))
    expected = {**sent, **PENALTIES}
    assert {key: asked[key] for key in expected} == expected
    assert {"top_k", "repeat_penalty", "repetition_penalty"} & {*asked} == {*sent}
    assert "top_k" not in plainly and plainly.get("repeat_penalty", 1.0) == 1.0
    said = " ".join(event.text for event in events if isinstance(event, Remark))
    assert untold in said and ("is not told" in said) == bool(untold)


def test_ollama_is_asked_by_its_own_call_and_may_cut_nothing() -> None:
    stub = stubs.ollama()
    with opened(stub) as backend:
        end = end_of(ask(backend))
        assert end.server is not None and end.server["read_per_s"] and end.reply_tokens == 4
        ask(backend, n_ctx=8192)
    first, second = stub.bodies("/api/chat")
    assert not stub.bodies("/v1/chat/completions")
    assert first["truncate"] is False and first["shift"] is False and first["stream"] is True
    assert first["options"]["num_ctx"] == 4096 and second["options"]["num_ctx"] == 8192
    assert first["options"] | {"num_predict": 64, "temperature": 0.5, "seed": 7, "stop": ["END"]} == first["options"]


def test_ollama_is_given_room_in_steps_and_says_where_it_took_less() -> None:
    stub = stubs.ollama()
    with opened(stub) as backend:
        events = ask(backend, prompt_of(backend, "What?", Source.written("long.txt", "words " * 4000)))
        remarks = [event.text for event in events if isinstance(event, Remark)]
    (sent,) = stub.bodies("/api/chat")
    assert sent["options"]["num_ctx"] == 8192
    assert any("a context of 4,096 tokens where 8,192" in remark for remark in remarks)


def test_a_count_is_learned_from_what_the_server_says() -> None:
    with opened(stubs.lm_studio()) as backend:
        long = Source.written("long.txt", "word " * 3000)
        first = prompt_of(backend, "What?", long)
        end = end_of(ask(backend, first))
        assert end.server is not None and end.server["differs_by"] == end.prompt_tokens - first.n_tokens != 0
        second = prompt_of(backend, "What?", long)
        assert abs(second.n_tokens - end.prompt_tokens) < abs(first.n_tokens - end.prompt_tokens) / 4


def test_what_a_model_thinks_is_kept_apart() -> None:
    stub = stubs.hosted()
    with opened(stub, name="meta/scout", key="k") as backend:
        events = ask(backend)
    end = end_of(events)
    assert text_of(events) == "So it is." and end.server is not None
    assert end.server["reasoning"] == "Hm, let me see."
    assert any("kept apart" in event.text for event in events if isinstance(event, Remark))


def test_texts_that_look_like_marks_of_a_chat_are_told() -> None:
    with opened(stubs.vllm()) as backend:
        prompt = prompt_of(
            backend, "What is [INST]?", Source.written("a.txt", "One <|eot_id|> and <|eot_id|>, </s> <b>")
        )
        remarks = [event.text for event in ask(backend, prompt) if isinstance(event, Remark)]
        assert len(remarks) == 1 and "holds <|eot_id|>, [INST]: vLLM" in remarks[0]
        assert not any(isinstance(event, Remark) for event in ask(backend))


def test_a_server_that_reads_less_than_it_was_sent_is_told_of() -> None:
    stub = stubs.vllm()
    stub.routes["/v1/chat/completions"] = stubs.chat(prompt_tokens=20)
    with opened(stub) as backend:
        remarks = [event.text for event in ask(backend) if isinstance(event, Remark)]
        assert len(remarks) == 1 and "read 20 tokens, where" in remarks[0]
    guessed = stubs.lm_studio()
    with opened(guessed) as backend:
        assert not any(isinstance(event, Remark) for event in ask(backend)), "an estimate is no proof"


def test_a_template_without_a_system_has_its_text_before_the_question() -> None:
    stub = stubs.vllm()
    tokenize = stub.routes["/tokenize"]

    def strict(body: Any) -> Any:
        if any(message["role"] == "system" for message in body.get("messages", ())):
            return 400, {"error": {"message": "System role not supported", "type": "BadRequestError", "code": 400}}
        return tokenize(body)

    stub.routes["/tokenize"] = strict
    with opened(stub) as backend:
        prompt = prompt_of(backend)
        end = end_of(ask(backend, prompt))
        assert end.prompt_tokens == prompt.n_tokens
    (sent,) = stub.bodies("/v1/chat/completions")
    assert [each["role"] for each in sent["messages"]] == ["user"]
    assert sent["messages"][0]["content"].startswith("Be exact.\n\n<document")


def test_the_prompt_begins_the_same_to_the_byte_over_turns() -> None:
    stub = stubs.vllm()
    with opened(stub) as backend:
        documents = backend.documents([SOURCE])
        turns = [Exchange("One?", documents), Exchange("Two?")]
        said = backend.encode("So it is.")
        history = [Exchange("One?", documents, said, "So it is.")]
        for exchanges in (turns[:1], [*history, turns[1]]):
            ask(backend, backend.lay_out(exchanges, system="Be exact.", today=TODAY))
    first, second = (body["messages"] for body in stub.bodies("/v1/chat/completions"))
    assert second[: len(first)] == first and [each["role"] for each in second] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert first[1]["content"].endswith("</document>\n\nOne?") and second[2]["content"] == "So it is."


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        # vLLM
        (400, {"error": {"message": "This model's maximum context length is 8192 tokens. However, you requested 64 "
                         "output tokens and your prompt contains at least 8129 input tokens, for a total of at least "
                         "8193 tokens. Please reduce the length of the input prompt or the number of requested output "
                         "tokens.",
                         "type": "BadRequestError", "param": "input_tokens", "code": 400}}, "At least 1 token over"),
        # llama-server
        (400, {"error": {"code": 400, "message": "request (9000 tokens) exceeds the available context size (8192 "
                         "tokens), try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 9000,
                         "n_ctx": 8192}}, "808 tokens over"),
        # SGLang
        (400, {"object": "error", "message": "Requested token count exceeds the model's maximum context length of 8192 "
               "tokens. You requested a total of 9000 tokens: 8936 tokens from the input messages and 64 tokens for "
               "the completion.", "type": "BadRequestError", "code": 400}, "744 tokens over"),
        (400, {"object": "error", "message": "The input (9000 tokens) is longer than the model's context length "
               "(8192 tokens).", "code": 400}, "808 tokens over"),
        # TensorRT-LLM
        (400, {"object": "error", "message": "The sum of prompt length (9000.0), query length (0) should not exceed "
               "max_num_tokens (8192)", "type": "BadRequestError", "code": 400}, "808 tokens over"),
        # LM Studio
        (400, {"error": "Trying to keep the first 9000 tokens when context the overflows. However, the model is "
               "loaded with context length of only 8192 tokens, which is not enough."}, "808 tokens over"),
        (400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length "
               "(n_keep: 9000>= n_ctx: 8192)."}, "808 tokens over"),
        # OpenAI
        (400, {"error": {"message": "This model's maximum context length is 8192 tokens. However, your messages "
                         "resulted in 9000 tokens. Please reduce the length of the messages.",
                         "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}},
         "808 tokens over"),
        (413, {"error": {"message": "prompt is too long: 9000 tokens > 8192 maximum"}}, "does not fit into the"),
    ],
)  # fmt: skip
def test_a_refusal_for_length_is_the_same_in_whatever_words(status: int, body: Any, said: str) -> None:
    stub = stubs.vllm()
    stub.routes["/v1/chat/completions"] = (status, body)
    with opened(stub) as backend, pytest.raises(DoesNotFit, match=said) as refused:
        ask(backend)
    assert "nothing was cut" in str(refused.value) and refused.value.remedy


def test_lm_studio_that_says_nothing_to_a_prompt_beyond_its_context_refused_it() -> None:
    stub = stubs.lm_studio()
    stub.routes["/v1/chat/completions"] = stubs.chat(words=(), prompt_tokens=9000)
    with opened(stub) as backend, pytest.raises(DoesNotFit, match="808 tokens over"):
        ask(backend)
    stub.routes["/v1/chat/completions"] = stubs.chat(words=())
    with opened(stub) as backend:
        assert text_of(ask(backend)) == "", "a model may have nothing to say"


def test_ollama_refuses_for_length_too() -> None:
    for error in (
        "the input length exceeds the context length",
        "request (302 tokens) exceeds the available context size (256 tokens)",
    ):
        with opened(stubs.ollama(error=error)) as backend, pytest.raises(DoesNotFit, match="context"):
            ask(backend)


@pytest.mark.parametrize(
    ("route", "kind", "said"),
    [
        (
            (401, {"error": {"message": "Incorrect API key provided: sk-marked-key"}}),
            EngineFailed,
            "does not take the key",
        ),
        ((404, {"error": {"message": "The model `scout` does not exist."}}), UsageError, "has no model scout"),
        ((429, {"error": {"message": "Rate limit reached"}}), EngineFailed, "takes no more requests now"),
        (
            (500, {"error": {"message": "CUDA error sk-marked-key"}}),
            EngineFailed,
            "failed with 500: CUDA error \\[key\\]",
        ),
        ((502, "<html><body>Bad gateway</body></html>"), ModelRefused, "is no API"),
        ((503, {"error": {"message": "Loading model", "code": 503}}), EngineFailed, "still loads its model"),
        ((400, {"error": {"message": "temperature must be positive"}}), EngineFailed, "refused the question"),
    ],
    ids=["key", "model", "too many", "broken", "gateway", "loading", "else"],
)
def test_what_goes_wrong_is_a_sentence_without_the_key(route: Any, kind: type[LongdeskError], said: str) -> None:
    stub = stubs.vllm()
    stub.routes["/v1/chat/completions"] = route
    with opened(stub, key="sk-marked-key") as backend, pytest.raises(kind, match=said) as refused:
        ask(backend)
    assert "sk-marked-key" not in str(refused.value) and refused.value.remedy
    assert {headers.get("authorization") for _, headers, _ in stub.asked} == {"Bearer sk-marked-key"}


def test_without_a_key_none_is_sent() -> None:
    stub = stubs.vllm()
    with opened(stub) as backend:
        ask(backend)
    assert not any("authorization" in headers for _, headers, _ in stub.asked)


def test_a_stream_that_ends_before_its_end_is_broken() -> None:
    def broken(body: Any) -> Iterator[str]:
        whole = stubs.chat()(body)
        yield from [next(whole) for _ in range(4)]

    def failing(body: Any) -> Iterator[str]:
        whole = stubs.chat()(body)
        yield from [next(whole) for _ in range(4)]
        yield 'data: {"error": {"message": "the engine died", "code": 500}}\n\n'

    for route, said in ((broken, "broke off"), (failing, "the engine died")):
        stub, events = stubs.vllm(), list[Event]()
        stub.routes["/v1/chat/completions"] = route
        with opened(stub) as backend, pytest.raises(EngineDied, match=said):
            case = backend.consider(prompt_of(backend), Wanted(reply_tokens=64))
            for event in backend.generate(case, Sampling(max_tokens=64), session_id="s", cancel=Flag()):
                events.append(event)
        assert text_of(events) == "So it"


def test_a_cancel_is_heard_while_nothing_comes() -> None:
    stub, cancel = stubs.vllm(), Flag()
    left = stub.routes["left"] = Flag()

    def silent(_: Any) -> Iterator[str]:
        while not left.wait(0.01):
            yield ": keep-alive\n\n"
            cancel.set()

    stub.routes["/v1/chat/completions"] = silent
    with opened(stub) as backend:
        case = backend.consider(prompt_of(backend), Wanted(reply_tokens=64))
        events = list(backend.generate(case, Sampling(max_tokens=64), session_id="s", cancel=cancel))
        assert end_of(events).stop is Stop.CANCELLED
        assert left.wait(PATIENCE_S), "the server hears of it"


@pytest.mark.parametrize(
    ("routes", "kind"),
    [
        ({"/v1/models": "<html><body>Hello</body></html>"}, ModelRefused),
        ({}, ModelRefused),
        ({"/v1/models": [1, 2]}, UsageError),
        ({"/v1/models": {"data": "none"}}, ModelRefused),
        ({"/v1/models": (400, "The plain HTTP request was sent to HTTPS port")}, UsageError),
    ],
    ids=["a page", "nothing", "no models", "nonsense", "https"],
)
def test_what_is_no_api_is_said(routes: Any, kind: type[LongdeskError]) -> None:
    with pytest.raises(kind) as refused, opened(Stub(routes)):
        pass
    assert refused.value.remedy


def certificate(folder: Path) -> Path:
    """Of an authority of its own, for this machine, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return path


def test_a_certificate_is_looked_at_and_an_own_authority_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    with serving(stubs.vllm(), certificate=pem) as stub:
        servers = Servers(draw, key_for=lambda url: None)
        with pytest.raises(EngineFailed, match="certificate of .* is not trusted.*SSL_CERT_FILE"):
            servers.open(stub.url)
        with pytest.raises(LongdeskError, match="https"):
            servers.open(stub.url.replace("https:", "http:"))
        servers.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        believing = Servers(draw, key_for=lambda url: None)
        assert text_of(ask(believing.open(stub.url))) == "So it is."
        believing.close()


def test_a_proxy_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers in a server's place: it is asked for the whole address."""
    with serving(stubs.vllm()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        servers = Servers(draw, key_for=lambda url: None)
        assert servers.open("http://far.example:8000").about.server == "vLLM 0.32.0 at far.example:8000"
        servers.close()


def test_https_at_an_http_port_is_said() -> None:
    with serving(stubs.vllm()) as stub:
        servers = Servers(draw, key_for=lambda url: None)
        with pytest.raises(UsageError, match="speaks http, not https. Write http://"):
            servers.open(stub.url.replace("http:", "https:"))
        servers.close()
