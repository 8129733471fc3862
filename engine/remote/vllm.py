"""vLLM and SGLang: what both tell to Prometheus, and how each counts."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import EngineAway, LongdeskError
from engine.memory.capacity import Capacity
from engine.remote.compatible import Adapter, Request
from engine.remote.connection import SHORT_S, Connection, Fields, TooLong
from engine.remote.said import fields, ids, whole

_SAMPLE = re.compile(
    r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?=\s|$)", re.MULTILINE
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# a dot, as small as an image can be
_DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
)


def samples(page: str | None, *names: str) -> list[tuple[str, Mapping[str, str], float]]:
    """What a page of metrics says under these names: name, labels and value of each."""
    found = list[tuple[str, Mapping[str, str], float]]()
    for match in _SAMPLE.finditer(page or ""):
        if match[1] in names:
            found.append((match[1], dict(_LABEL.findall(match[2] or "")), float(match[3])))
    return found


class Vllm(Adapter):
    """It counts whole chats, and tells what its KV cache holds, how full it is and who waits."""

    engine = "vLLM"
    takes_min_p = True
    tells_template = True
    takes_top_k = True
    repeats = "repetition_penalty"
    holds_forms = True
    goes_on = True
    how_counted = ""

    def version(self) -> str:
        told = self.connection.find("/version")
        return str(told.get("version", "")) if isinstance(told, dict) else ""

    def sees(self) -> bool:
        """It does not say, so it is asked to count a dot."""
        look = {"type": "image_url", "image_url": {"url": _DOT}}
        try:
            return self.count([{"role": "user", "content": [look, {"type": "text", "text": "a"}]}]) is not None
        except EngineAway:
            raise  # it says nothing of what it sees
        except (LongdeskError, TooLong):
            return False

    def tokenize(self, texts: Sequence[str]) -> list[list[int]] | None:
        bodies = [{"model": self.id, "prompt": text, "add_special_tokens": False} for text in texts]
        return [ids(found) for found in self.connection.post_all("/tokenize", bodies)]

    def count(self, messages: Sequence[Fields], *, begun: bool = False) -> int | None:
        body = {"model": self.id, "messages": list(messages), **_begun(begun)}
        return whole(fields(self.connection.post("/tokenize", body)).get("count"))

    def capacity(self, wait_s: float = SHORT_S) -> Capacity | None:
        """Of all its engines together, where it has several."""
        config, usage, running, waiting = _VLLM
        told = samples(self.connection.text("/metrics", wait_s=wait_s), *_VLLM)
        sizes = [whole(labels.get("kv_cache_size_tokens")) or 0 for name, labels, _ in told if name == config]
        if not told:
            return None
        total, shares = sum(sizes), [value for name, _, value in told if name == usage]
        return Capacity(
            total=total or None,
            used=round(total * sum(shares) / max(1, len(shares))),
            running=int(sum(value for name, _, value in told if name == running)),
            waiting=int(sum(value for name, _, value in told if name == waiting)),
        )

    def read_so_far(self, begun_with: Capacity | None) -> int | None:
        """By how much more of its KV cache is used: an estimate where others are asking too."""
        now = self.glance()
        if now is None or begun_with is None or now.total is None:
            return None
        return max(0, now.used - begun_with.used)

    def body(self, request: Request) -> Fields:
        body = {**super().body(request), **_begun(request.begun)}
        return {**body, "structured_outputs": {"grammar": request.form}} if request.form is not None else body


class SgLang(Adapter):
    """It counts texts and no chats: what the chat's own marks take is an estimate."""

    engine = "SGLang"
    takes_min_p = True
    tells_template = True
    takes_top_k = True
    repeats = "repetition_penalty"
    holds_forms = True
    goes_on = True
    how_counted = "the server counts texts, and no chats"

    def __init__(self, connection: Connection, model: Mapping[str, Any]) -> None:
        super().__init__(connection, model)
        told = connection.find("/get_model_info") or connection.find("/model_info")
        self._told: Mapping[str, Any] = told if isinstance(told, dict) else {}

    def version(self) -> str:
        told = self.connection.find("/get_server_info") or self.connection.find("/server_info")
        return str(told.get("version", "")) if isinstance(told, dict) else ""

    def sees(self) -> bool:
        return super().sees() or self._told.get("has_image_understanding") is True

    def tokenize(self, texts: Sequence[str]) -> list[list[int]] | None:
        bodies = [{"model": self.id, "prompt": text, "add_special_tokens": False} for text in texts]
        return [ids(found) for found in self.connection.post_all("/tokenize", bodies)]

    def capacity(self, wait_s: float = SHORT_S) -> Capacity | None:
        """Its ranks say the same each: the largest counts."""
        total, used, running, waiting = _SGLANG
        told = samples(self.connection.text("/metrics", wait_s=wait_s), *_SGLANG)
        if not told:
            return None
        most = {name: max((value for found, _, value in told if found == name), default=0.0) for name in _SGLANG}
        return Capacity(
            total=int(most[total]) or None, used=int(most[used]), running=int(most[running]), waiting=int(most[waiting])
        )

    def body(self, request: Request) -> Fields:
        body = super().body(request)
        if request.begun:
            body["continue_final_message"] = True
        return {**body, "ebnf": request.form} if request.form is not None else body


_VLLM = ("vllm:cache_config_info", "vllm:kv_cache_usage_perc", "vllm:num_requests_running", "vllm:num_requests_waiting")
_SGLANG = (
    "sglang:max_total_num_tokens",
    "sglang:num_used_tokens",
    "sglang:num_running_reqs",
    "sglang:num_queue_reqs",
)


def _begun(begun: bool) -> Fields:
    return {"add_generation_prompt": False, "continue_final_message": True} if begun else {}
