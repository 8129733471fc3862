"""What can go wrong between here and a server, each as a sentence with a remedy; and a prompt that is too long, in
whatever words an engine says that.

Recognised in the words of vLLM, llama-server, SGLang, TensorRT-LLM, Ollama, LM Studio and hosted APIs.
"""

import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.corpus.wording import counted, printable
from engine.errors import (
    DoesNotFit,
    EngineAway,
    EngineDied,
    EngineFailed,
    LongdeskError,
    ModelRefused,
    UsageError,
    redacted,
)
from engine.remote.address import Address

_MOST_CHARACTERS = 300  # of what a server says
_START = "Start the server, or check host and port."
_SHORTER = (
    "Leave out sources, keep fewer tokens for the reply (--max-tokens), read the files in passes (--pass-tokens auto), "
    "or start the server with a larger context."
)
_OVER = re.compile(
    r"exceed_context_size|context_length_exceeded|exceeds? the (available )?context|context[ _](length|size|window)"
    r"|max_num_tokens|max_seq_len|max(imum)? (allowed )?(input|prompt|sequence) length|maximum sequence length"
    r"|(prompt|input) is too long|token count .{0,20}exceeds|too many (input |prompt )?tokens|context the overflows"
    r"|reduce the length of the (messages|input|prompt)|number of tokens to keep from the initial prompt",
    re.IGNORECASE,
)
_N = r"(\d[\d,]*)(?:\.\d+)?"
_PROMPT = tuple(
    re.compile(each, re.IGNORECASE)
    for each in (
        rf"prompt contains (?:at least )?{_N} (?:input )?tokens",
        rf"has {_N} input tokens",
        rf"\({_N} in the messages",
        rf"resulted in {_N} tokens",
        rf"{_N} tokens from the input",
        rf"(?:request|input) \({_N} tokens\)",
        rf"prompt length \({_N}\)",
        rf"(?:prompt|input) length \(?{_N}\)? exceeds",
        rf"n_keep: {_N}",
        rf"first {_N} tokens",
        rf"too long: {_N} tokens",
        rf"request contains {_N} tokens",
    )
)
_WINDOW = tuple(
    re.compile(each, re.IGNORECASE)
    for each in (
        rf"context (?:length|size|window)(?: is| of(?: only)?)? \(?{_N}",
        rf"max_num_tokens \({_N}\)",
        rf"n_ctx: {_N}",
        rf"maximum (?:\w+ )?(?:input |prompt |sequence )?length (?:is |of )?\(?{_N}",
    )
)


@dataclass(frozen=True, slots=True)
class Overflow:
    """A prompt that was more than an engine takes: tokens of the prompt and of the window, as far as it says them.
    at_least: it stopped counting there."""

    prompt_tokens: int | None = None
    window: int | None = None
    at_least: bool = False

    def refusal(self, address: Address, reply_tokens: int) -> DoesNotFit:
        """The same refusal as at home."""
        prompt, window = self.prompt_tokens, self.window
        if prompt is None or window is None:
            of = f" of {window:,} tokens" if window is not None else ""
            fact = f"The prompt does not fit into the context{of} of {address.host}."
            return DoesNotFit(f"{fact} Nothing was answered and nothing was cut.", _SHORTER)
        over = prompt + (reply_tokens if prompt <= window else 0) - window
        least = "At least " if self.at_least else ""
        return DoesNotFit(
            f"{least}{counted(over, 'token')} over: {address.host} counts {prompt:,} in the prompt, and the reply "
            f"keeps {reply_tokens:,}, of {window:,}. Nothing was answered and nothing was cut.",
            _SHORTER,
        )


class SentOn(Exception):
    """A server wants to have a call elsewhere, at `to`; never leaves engine.remote."""

    def __init__(self, to: str) -> None:
        super().__init__(to)
        self.to = to


def overflow_in(status: int, body: str) -> Overflow | None:
    """A prompt that is too long, if that is what an answer with this status says; 0 for an error within a stream."""
    if status not in (0, 400, 413, 422, 500) or not _OVER.search(body):
        return None
    fields = _fields(body)
    prompt, window = fields.get("n_prompt_tokens"), fields.get("n_ctx")
    return Overflow(
        prompt if isinstance(prompt, int) else _number(_PROMPT, body),
        window if isinstance(window, int) else _number(_WINDOW, body),
        "at least" in body,
    )


def unreachable(error: Exception, address: Address) -> LongdeskError:
    """Why a server was not reached, or went silent before it answered. error: of httpx."""
    if isinstance(error, SentOn):
        return _sent_on(error.to, address)
    said = " ".join(_chain(error))
    host = address.host
    if "CERTIFICATE_VERIFY_FAILED" in said:
        why = re.search(r"certificate verify failed: ([^(\n]+)", said)
        return EngineFailed(
            f"The certificate of {host} is not trusted: {why[1].strip() if why else 'it cannot be verified'}.",
            "Name the file of its authority in SSL_CERT_FILE, or as ca_file of an engine that has a name; or use the "
            "name that the certificate is for.",
        )
    if _is_tls(error):
        if address.is_secure and re.search("WRONG_VERSION_NUMBER|record layer|wrong version|HTTP_REQUEST", said, re.I):
            return UsageError(f"{host} speaks http, not https.", f"Write http://{host}.")
        return EngineFailed(f"No secure connection to {host} came about: {_short(said)}.", "Check its certificate.")
    if re.search("Name or service not known|nodename|getaddrinfo|No address|name resolution", said):
        return EngineFailed(f"There is no host called {host}.", "Check the spelling.")
    name = type(error).__name__
    if name == "ProxyError":
        return EngineFailed(f"The proxy on the way to {host} refused: {_short(said)}.", "Check HTTPS_PROXY, NO_PROXY.")
    if name in ("ConnectTimeout", "PoolTimeout"):
        return EngineAway(f"{host} does not answer.", _START)
    if name == "ConnectError":
        return EngineAway(f"Nobody listens at {host}.", _START)
    if name in ("ReadTimeout", "WriteTimeout"):
        return EngineAway(f"{host} took the connection and does not answer.", "Look at its log, and ask again.")
    fact = f"The connection to {host} broke off: {_short(said)}."
    if name in ("RemoteProtocolError", "LocalProtocolError"):
        fact = f"What {host} answers is no HTTP."
    if address.is_secure:
        return EngineAway(fact, "Look at its log, and ask again.")
    return EngineAway(fact, f"Where it wants https, write https://{host}; else look at its log.")


def _sent_on(to: str, address: Address) -> UsageError:
    at = to.removesuffix("/models").removesuffix("/chat/completions")
    return UsageError(
        f"{address.host} sends on to {printable(_short(to))}. Nothing was sent there.",
        f"If that is the server that you mean, name it: {printable(_short(at))}.",
    )


def broken_off(error: Exception | None, address: Address) -> EngineDied:
    """An answer that ended before its end."""
    why = f": {_short(' '.join(_chain(error)))}" if error is not None and str(error) else ""
    return EngineDied(
        f"{address.host} broke off the answer{why}.", "What it had written is kept. Look at its log, and ask again."
    )


def refused(status: int, body: str, address: Address, *, model: str = "", has_key: bool = False) -> LongdeskError:
    """What an answer with an error status means; 0 for an error within a stream. A prompt that is too long is
    overflow_in's."""
    host, said = address.host, message_in(body)
    if 0 < status < 400:  # an answer without one
        return no_api(address)
    if not status:
        return EngineDied(f"{host} broke off the answer: {said}", "What it had written is kept. Look at its log.")
    if status in (401, 403):
        fact = f"{host} does not take the key." if has_key else f"{host} asks for a key."
        return EngineFailed(fact, address.key_remedy)
    if "HTTP request was sent to HTTPS" in body or "HTTP request to an HTTPS" in body:
        return UsageError(f"{host} speaks https, not http.", f"Write https://{host}.")
    if status == 404 and model and re.search("model", said, re.IGNORECASE):
        return UsageError(f"{host} has no model {model}: {said}", "Name one that it lists behind a #.")
    if status in (404, 405, 410) or _is_page(body):
        return no_api(address)
    if status == 429:
        return EngineAway(f"{host} takes no more requests now: {said}", "Wait a while, and ask again.")
    if status == 503 and re.search("loading", said, re.IGNORECASE):
        return EngineAway(f"{host} still loads its model.", "Ask again in a while.")
    if status in (502, 503, 504):  # who stands before it says so
        return EngineAway(f"{host} failed with {status}: {said}", "Look at its log, and ask again.")
    if status >= 500:
        return EngineFailed(f"{host} failed with {status}: {said}", "Look at its log, and ask again.")
    return EngineFailed(f"{host} refused the question ({status}): {said}", "Change what it names, and ask again.")


def no_api(address: Address) -> ModelRefused:
    """A page, or anything else that answers there."""
    return ModelRefused(
        f"What answers at {address.base} is no API of a language model.",
        "Name the address where vLLM, SGLang, llama-server, Ollama, LM Studio or another OpenAI-compatible API is, "
        "as http://host:port.",
    )


def message_in(body: str) -> str:
    """What the body of an answer says, in one short line that ends with a full stop."""
    fields = _fields(body)
    said = fields.get("message") or fields.get("detail") or fields.get("error")
    text = said if isinstance(said, str) else "" if said is None and _is_page(body) else json.dumps(said or body)
    short = _short(text)
    return f"{short.rstrip('.')}." if short else "it says no more."


def _fields(body: str) -> dict[str, Any]:
    """The members of an error: of what stands in `error` where that is an object."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        return dict(found["error"])
    return found if isinstance(found, dict) else {}


def _is_page(body: str) -> bool:
    return body.lstrip()[:200].casefold().startswith(("<!doctype", "<html"))


def _number(patterns: tuple[re.Pattern[str], ...], text: str) -> int | None:
    for pattern in patterns:
        if found := pattern.search(text):
            return int(found[1].replace(",", ""))
    return None


def _is_tls(error: Exception) -> bool:
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, ssl.SSLError):
            return True
        at = at.__cause__ or at.__context__
    return "SSL" in str(error)


def _chain(error: Exception) -> Iterator[str]:
    """What an error says, and what those say that led to it."""
    at, seen = error, set[str]()
    for _ in range(8):
        if str(at) and str(at) not in seen:
            seen.add(str(at))
            yield str(at)
        following = at.__cause__ or at.__context__
        if not isinstance(following, Exception):
            return
        at = following


def _short(text: str) -> str:
    line = printable(" ".join(redacted(text).split()))  # before it is cut: half a key is one too
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1] + "…"
