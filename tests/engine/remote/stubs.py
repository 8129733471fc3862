"""Stubs of engines that cannot be had here: what each says on the wire, as its own sources and documentation have it.

They are no engines: they compute nothing, and what passes against them is known to suit the wire format alone. vLLM is
tried for real by `make test-vllm`, llama.cpp's server by `test_llama_server`; the others have these alone.
Tokens are words here.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
REPLY = ("So", " it", " is", ".")


@dataclass
class Stub:
    """A server that answers what it was told to. asked: path, headers and body of every request, in order.

    routes: by path, what answers: a document, or a function of the request's body that gives one, or status and
    document (and where it is sent on to), or an iterator of lines of a stream.
    """

    routes: dict[str, Any]
    asked: list[tuple[str, dict[str, str], Json]] = field(default_factory=list)
    url: str = ""

    def bodies(self, path: str) -> list[Json]:
        """What was sent there."""
        return [body for at, _, body in self.asked if at == path]


@contextmanager
def serving(stub: Stub, *, certificate: Path | None = None) -> Iterator[Stub]:
    """The stub on a port of its own. certificate: speaks https with it; its key is in the same file."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Json) -> None:
            path = urlsplit(self.path).path
            stub.asked.append((path, {name.casefold(): value for name, value in self.headers.items()}, body))
            found = stub.routes.get(path, (404, {"detail": "Not Found"}))
            found = found(body) if callable(found) else found
            status, said, *to = found if isinstance(found, tuple) else (200, found)
            if isinstance(said, Iterator):
                self._stream(said)
                return
            data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            kind = "application/json" if not isinstance(said, str) else "text/html" if "<html" in said else "text/plain"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            if to:
                self.send_header("Location", to[0])
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, lines: Iterator[str]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            try:
                for line in lines:
                    self.wfile.write(line.encode())
                    self.wfile.flush()
            except OSError:  # the client has left
                left = stub.routes.get("left")
                if isinstance(left, Flag):
                    left.set()

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # a client that leaves
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    stub.url = f"http{'s' if certificate is not None else ''}://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def models(owner: str, *names: str, **more: Any) -> Json:
    """What /v1/models answers."""
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 1, "owned_by": owner, **more} for name in names],
    }


def words_in(body: Json) -> int:
    """Tokens of a request's chat, as a stub counts them: words, and four marks a message."""
    n_words = 0
    for message in body.get("messages", ()):
        content = message["content"]
        texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        n_words += 4 + sum(len(text.split()) for text in texts)
    return n_words + len(body.get("prompt", "").split())


def chat(
    *, thinks: str = "", words: tuple[str, ...] = REPLY, finish: str = "stop", **usage: Any
) -> Callable[[Json], Any]:
    """A chat completion as a stream of server-sent events, keep-alives among them; usage: beside the counts."""

    def answer(body: Json) -> Iterator[str]:
        def event(delta: Json, ends: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": ends}
            return f"data: {json.dumps({**_CHUNK, 'choices': [choice]})}\n\n"

        yield ": keep-alive\n\n"
        yield event({"role": "assistant", "content": ""})
        if thinks:
            yield event({"reasoning_content": thinks})
        for word in words:
            yield event({"content": word})
        yield event({}, finish)
        counts = {"prompt_tokens": words_in(body), "completion_tokens": len(words), **usage}
        yield f"data: {json.dumps({**_CHUNK, 'choices': [], 'usage': counts})}\n\n"
        yield "data: [DONE]\n\n"

    return answer


_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}

VLLM_METRICS = """# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",kv_cache_size_tokens="10000",num_gpu_blocks="625"} 1.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="scout"} %(usage)s
vllm:num_requests_running{engine="0",model_name="scout"} %(running)s
vllm:num_requests_waiting{engine="0",model_name="scout"} %(waiting)s
"""


def vllm(*, usage: float = 0.0, running: int = 0, waiting: int = 0, sees: bool = False) -> Stub:
    """vLLM 0.32: /v1/models with max_model_len, /tokenize for texts and chats, /metrics, /version."""

    def tokenize(body: Json) -> Any:
        pictures = any(isinstance(message["content"], list) for message in body.get("messages", ()))
        if pictures and not sees:
            return 400, {
                "error": {"message": "scout is not a multimodal model", "type": "BadRequestError", "code": 400}
            }
        n_tokens = words_in(body)
        return {"count": n_tokens, "max_model_len": 8192, "tokens": list(range(n_tokens)), "token_strs": None}

    details = {"prompt_tokens_details": {"cached_tokens": 3}}
    return Stub(
        {
            "/v1/models": models("vllm", "scout", max_model_len=8192),
            "/version": {"version": "0.32.0"},
            "/tokenize": tokenize,
            "/metrics": VLLM_METRICS % {"usage": usage, "running": float(running), "waiting": float(waiting)},
            "/v1/chat/completions": chat(**details),
        }
    )


def sglang() -> Stub:
    """SGLang: /tokenize for texts alone, /get_model_info, /metrics of two ranks."""

    def tokenize(body: Json) -> Any:
        if "prompt" not in body:
            return 400, {"object": "error", "message": "prompt: Field required", "code": 400}
        return {"tokens": list(range(words_in(body))), "count": words_in(body), "max_model_len": 4096}

    ranks = "".join(
        f'sglang:{name}{{engine_type="unified",model_name="scout",tp_rank="{rank}"}} {value}\n'
        for name, value in (
            ("max_total_num_tokens", 6000.0),
            ("num_used_tokens", 1500.0),
            ("num_running_reqs", 1.0),
            ("num_queue_reqs", 0.0),
        )
        for rank in (0, 1)
    )
    return Stub(
        {
            "/v1/models": models("sglang", "scout", max_model_len=4096),
            "/get_model_info": {"model_path": "scout", "is_generation": True, "has_image_understanding": True},
            "/get_server_info": {"version": "0.6.1"},
            "/tokenize": tokenize,
            "/metrics": ranks,
            "/v1/chat/completions": chat(),
        }
    )


def tensorrt_llm() -> Stub:
    """TensorRT-LLM's trtllm-serve: /v1/models without a window, /metrics as JSON."""
    stats = {"maxNumBlocks": 100, "usedNumBlocks": 25, "freeNumBlocks": 75, "tokensPerBlock": 64}
    return Stub(
        {
            "/v1/models": models("tensorrt_llm", "scout"),
            "/version": {"version": "1.4.0"},
            "/metrics": [{"iter": 7, "numActiveRequests": 1, "numQueuedRequests": 0, "kvCacheStats": stats}],
            "/v1/chat/completions": chat(),
        }
    )


def ollama(*, loaded: int = 4096, window: int = 16_384, error: str = "") -> Stub:
    """Ollama: OpenAI's list of models, /api/version, /api/show, /api/ps, and /api/chat in JSON lines."""

    def answer(body: Json) -> Any:
        if error:
            return 400, {"error": error}

        def lines() -> Iterator[str]:
            for word in REPLY:
                yield (
                    json.dumps({"model": "scout", "message": {"role": "assistant", "content": word}, "done": False})
                    + "\n"
                )
            end = {
                "model": "scout",
                "message": {"role": "assistant", "content": ""},
                "done": True,
                "done_reason": "stop",
            }
            counts = {"prompt_eval_count": words_in(body), "prompt_eval_duration": 2_000_000_000}
            yield json.dumps({**end, **counts, "eval_count": len(REPLY), "eval_duration": 1_000_000_000}) + "\n"

        return lines()

    return Stub(
        {
            "/v1/models": models("library", "scout"),
            "/api/version": {"version": "0.14.0"},
            "/api/show": {"model_info": {"llama4.context_length": window}, "capabilities": ["completion", "vision"]},
            "/api/ps": {"models": [{"name": "scout", "model": "scout", "context_length": loaded}]},
            "/api/chat": answer,
            "/v1/chat/completions": (500, {"error": "it is never asked so"}),
        }
    )


def llama_router(**loaded: int) -> Stub:
    """llama-server as a router: its models with their status, and calls that want to be told which one. loaded: a
    context by model."""

    def named(body: Json, answer: Any) -> Any:
        if body.get("model") not in loaded:
            return 400, {"error": {"code": 400, "message": "model name is missing from the request"}}
        return answer

    def props(query: Json) -> Any:
        if "model" not in query:
            return {"role": "router", "build_info": "b9000", "default_generation_settings": {"n_ctx": 0}}
        n_ctx = loaded[query["model"]]
        return {"build_info": "b9000", "default_generation_settings": {"n_ctx": n_ctx}, "modalities": {"vision": False}}

    return Stub(
        {
            "/v1/models": models("llamacpp", *loaded, status={"value": "loaded"}),
            "/props": props,
            "/slots": lambda query: named(query, [{"id": 0, "is_processing": False}]),
            "/tokenize": lambda body: named(body, {"tokens": list(range(len(body["content"].split())))}),
            "/v1/chat/completions/input_tokens": lambda body: named(body, {"input_tokens": words_in(body)}),
            "/v1/chat/completions": lambda body: named(body, chat()(body) if body.get("model") in loaded else None),
        }
    )


def lm_studio() -> Stub:
    """LM Studio: /api/v0/models with what each model is and how it is loaded."""
    own = [
        {"id": "scout", "object": "model", "type": "vlm", "state": "loaded", "max_context_length": 65_536,
         "loaded_context_length": 8192},
        {"id": "nomic", "object": "model", "type": "embeddings", "state": "not-loaded", "max_context_length": 2048},
    ]  # fmt: skip
    return Stub(
        {
            "/v1/models": models("organization_owner", "scout", "nomic"),
            "/api/v0/models": {"object": "list", "data": own},
            "/v1/chat/completions": chat(),
        }
    )


def hosted(**more: Any) -> Stub:
    """A hosted API as OpenRouter's: several models, each with its window and what it can see."""
    one = {"id": "meta/scout", "context_length": 131_072, "architecture": {"input_modalities": ["text", "image"]}}
    two = {"id": "meta/maverick", "context_length": 1_048_576, "architecture": {"input_modalities": ["text"]}}
    return Stub({"/v1/models": {"data": [one, two]}, "/v1/chat/completions": chat(thinks="Hm, let me see."), **more})
