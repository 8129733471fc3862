"""Any server with OpenAI's calls, and what an adapter of an engine has to say beyond that.

Of a server that says nothing of itself the window is not known: it is taken from --ctx, or a prompt goes out uncounted
and the server's own refusal is believed.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from threading import Event as Flag
from typing import Any

from engine.memory.capacity import Capacity
from engine.remote.connection import GLANCE_S, SHORT_S, Connection, Fields, TooLong
from engine.remote.faults import Overflow
from engine.remote.said import fields, listed, text, whole

_WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length", "max_input_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A chat that is to be answered. messages: in OpenAI's shape. form: a grammar in GBNF that the reply is held to.
    n_ctx: tokens that prompt and reply take, or that were asked for. thinking: see Sampling. begun: the last message is
    the beginning of the reply."""

    messages: list[Fields] = field(repr=False)
    max_tokens: int
    temperature: float
    top_p: float
    min_p: float
    seed: int | None = None
    top_k: int = 0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stops: tuple[str, ...] = ()
    form: str | None = None
    n_ctx: int = 0
    begun: bool = False
    thinking: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a server says of an answer, in tokens; None for what it does not say. read_per_s, written_per_s: tokens."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    reply_tokens: int | None = None
    reasoning_tokens: int | None = None
    read_per_s: float | None = None
    written_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of an answer as it comes. read: tokens of the prompt that are read, of how many, and from the cache.
    finish: why it ends, "stop" or "length". remark: a sentence on what the server did."""

    text: str = ""
    reasoning: str = ""
    read: tuple[int, int, int] | None = None
    finish: str | None = None
    usage: Usage | None = None
    remark: str = ""


class Adapter:
    """What is asked of a server, and how it says what it says. One that has only OpenAI's calls; engines' own are made
    from it.

    engine: as people call it. model: what it lists of the model that is asked. how_counted: a clause on what its counts
    are, "" where they are exact. takes_min_p, takes_top_k, holds_forms, goes_on: whether it takes these settings,
    grammars, and a reply that is begun. repeats: what it calls a repeat penalty, "" where it takes none.
    tells_template: it tells its chat template whether the model thinks. tells_progress: how far it is with a prompt
    comes with the answer.
    """

    engine = "OpenAI-compatible server"
    takes_min_p = False
    tells_template = False
    takes_top_k = False
    repeats = ""
    holds_forms = False
    goes_on = False
    tells_progress = False
    how_counted = "the server has no call that counts"

    def __init__(self, connection: Connection, model: Mapping[str, Any]) -> None:
        self.connection, self.model = connection, model
        self.id = str(model.get("id", ""))
        self._reply_limit = "max_tokens"

    def version(self) -> str:
        """Of the server, "" where it does not say."""
        return ""

    def window(self) -> int | None:
        """The most tokens that prompt and reply may have; None where it does not say. Raises LongdeskError."""
        own = [self.model, *(self.model.get(part) for part in ("top_provider", "longdesk"))]
        for each in own:
            for name in (*_WINDOWS, "window"):
                if found := whole(fields(each).get(name)):
                    return found
        return None

    def sees(self) -> bool:
        """Whether it can be shown images, as far as it says so."""
        architecture, capabilities = fields(self.model.get("architecture")), fields(self.model.get("capabilities"))
        return "image" in listed(architecture.get("input_modalities")) or capabilities.get("vision") is True

    def tokenize(self, texts: Sequence[str]) -> list[list[int]] | None:
        """The ids of texts, special tokens off; None where it has no such call. Raises LongdeskError."""
        return None

    def count(self, messages: Sequence[Fields], *, begun: bool = False) -> int | None:
        """Tokens of a whole chat, images included, up to the reply; None where it has no such call. begun: see Request.
        Raises LongdeskError."""
        return None

    def capacity(self, wait_s: float = SHORT_S) -> Capacity | None:
        """What it has room for now; None where it does not say, or not within wait_s."""
        return None

    def glance(self) -> Capacity | None:
        """The same while an answer comes, or is about to: it soon gives up, for whoever waits may cancel."""
        return self.capacity(GLANCE_S)

    def read_so_far(self, begun_with: Capacity | None) -> int | None:
        """About how much of the prompt that is read now is done, for who does not tell it with the answer."""
        return None

    def file(self) -> str:
        """Where the model's file lies, "" where it does not say; it may be on another machine."""
        return ""

    def n_ctx(self, needed: int, wanted: int | None) -> int:
        """The context that an answer of so many tokens is asked for with. wanted: by the user."""
        return wanted or needed

    def answer(self, request: Request, cancel: Flag) -> Generator[Piece | None, None, None]:
        """A reply as it comes; None now and then while nothing does. Raises TooLong, LongdeskError."""
        for chunk in self.connection.chat(self.body(request), cancel):
            yield None if chunk is None else self.piece(chunk)

    def body(self, request: Request) -> Fields:
        """The request as it is sent."""
        body: Fields = {
            "model": self.id,
            "messages": request.messages,
            self._reply_limit: request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stream_options": {"include_usage": True},
        }
        if self.takes_min_p:
            body["min_p"] = request.min_p
        if self.takes_top_k and request.top_k:
            body["top_k"] = request.top_k
        if self.repeats and request.repeat_penalty != 1:
            body[self.repeats] = request.repeat_penalty
        if request.presence_penalty:
            body["presence_penalty"] = request.presence_penalty
        if request.frequency_penalty:
            body["frequency_penalty"] = request.frequency_penalty
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stops:
            body["stop"] = list(request.stops)
        if request.thinking and self.tells_template:
            on = request.thinking not in ("off", "0")
            body["chat_template_kwargs"] = {"enable_thinking": on, "thinking": on}
        return body

    def untold(self, request: Request) -> tuple[str, ...]:
        """What of the settings of a request is not sent, since it takes none such."""
        top_k = ("top-k",) if request.top_k and not self.takes_top_k else ()
        return top_k + (("the repeat penalty",) if request.repeat_penalty != 1 and not self.repeats else ())

    def piece(self, chunk: Fields) -> Piece:
        """What a chunk says."""
        choice = fields(next(iter(listed(chunk.get("choices"))), None))
        delta = fields(choice.get("delta") or choice.get("message"))  # some give the answer as a whole, asked to stream
        return Piece(
            text=text(delta.get("content")),
            reasoning=text(delta.get("reasoning_content")) or text(delta.get("reasoning")),
            finish=text(choice.get("finish_reason")) or None,
            usage=usage_of(chunk["usage"]) if isinstance(chunk.get("usage"), dict) else None,
        )


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """What OpenAI's shape says of an answer."""
    of_prompt, of_reply = (fields(usage.get(f"{part}_tokens_details")) for part in ("prompt", "completion"))
    return Usage(
        prompt_tokens=whole(usage.get("prompt_tokens")),
        cached_tokens=whole(of_prompt.get("cached_tokens")),
        reply_tokens=whole(usage.get("completion_tokens")),
        reasoning_tokens=whole(of_reply.get("reasoning_tokens")),
    )


def short_name(model: str) -> str:
    """A model as people call it: of a path to a file the name alone."""
    return stem(model) if model.endswith(".gguf") or model.startswith("/") else model


def stem(model: str) -> str:
    """The name of a model's file."""
    return PurePosixPath(model).name.removesuffix(".gguf")


class OpenAi(Adapter):
    """OpenAI's own API, whose newer models know the limit of a reply by another name."""

    engine = "OpenAI"

    def __init__(self, connection: Connection, model: Mapping[str, Any]) -> None:
        super().__init__(connection, model)
        self._reply_limit = "max_completion_tokens"


class LmStudio(Adapter):
    """LM Studio. Its own list says more of models; a prompt beyond the context may end without a word, and is taken for
    one that is too long."""

    engine = "LM Studio"
    takes_top_k = True
    repeats = "repeat_penalty"

    def window(self) -> int | None:
        """Of the model as it is loaded, else the most that it could be loaded with."""
        loaded, most = (whole(self.model.get(f"{how}_context_length")) for how in ("loaded", "max"))
        return loaded or most or None

    def sees(self) -> bool:
        return self.model.get("type") == "vlm"

    def answer(self, request: Request, cancel: Flag) -> Generator[Piece | None, None, None]:
        said, n_prompt = False, 0
        for piece in super().answer(request, cancel):
            if piece is not None:
                said = said or bool(piece.text or piece.reasoning)
                n_prompt = (piece.usage.prompt_tokens or 0) if piece.usage is not None else n_prompt
            yield piece
        window = self.window()
        if not said and window is not None and n_prompt >= window:
            raise TooLong(Overflow(n_prompt, window))


class TensorRtLlm(Adapter):
    """TensorRT-LLM's `trtllm-serve`: it says its name and no window."""

    engine = "TensorRT-LLM"
    takes_top_k = True
    repeats = "repetition_penalty"

    def version(self) -> str:
        told = self.connection.find("/version")
        return str(told.get("version", "")) if isinstance(told, dict) else ""

    def capacity(self, wait_s: float = SHORT_S) -> Capacity | None:
        """From the last of its iterations that it tells of, if it does."""
        last = fields(next(reversed(listed(self.connection.find("/metrics", wait_s=wait_s))), None))
        cache = fields(last.get("kvCacheStats"))
        if not cache:
            return None
        per_block = whole(cache.get("tokensPerBlock")) or 0
        return Capacity(
            total=(whole(cache.get("maxNumBlocks")) or 0) * per_block or None,
            used=(whole(cache.get("usedNumBlocks")) or 0) * per_block,
            running=whole(last.get("numActiveRequests")) or 0,
            waiting=whole(last.get("numQueuedRequests")) or 0,
        )
