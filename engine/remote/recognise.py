"""Which engine a server is, by what it says of itself, and which of its models is meant."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from engine.errors import LongdeskError, ModelRefused, UsageError
from engine.remote.address import Address
from engine.remote.compatible import Adapter, LmStudio, OpenAi, TensorRtLlm, stem
from engine.remote.connection import Connection, TooLong
from engine.remote.faults import no_api
from engine.remote.llama_server import LlamaServer
from engine.remote.ollama import Ollama
from engine.remote.vllm import SgLang, Vllm

_MOST_NAMED = 12
_PLAIN = " /:@!$&()*+,;=[]{}|<>\\^~?"  # stands in the fragment of an address as it is, between quotes too
# by what `owned_by` says in the list of models
_OWNERS: Mapping[str, type[Adapter]] = {
    "vllm": Vllm,
    "sglang": SgLang,
    "llamacpp": LlamaServer,
    "tensorrt_llm": TensorRtLlm,
    "library": Ollama,
    "organization_owner": LmStudio,
}
_NO_CHAT = ("embedding", "embeddings", "reranker")  # kinds of models that LM Studio lists too

Listed = Mapping[str, Any]


def recognise(address: Address, key: str | None = None) -> Adapter:
    """The engine at an address, with the model that is meant.

    Raises UsageError for a model that it does not have, or where it has several and none was named; ModelRefused for
    what is no API; EngineFailed where nobody listens, the key is wrong, or the like.
    """
    connection, models = _listed(address, key)
    try:
        kind = _kind(connection, models)
        if kind is LmStudio:
            models = _of_lm_studio(connection) or models
        model = chosen(models, address)
        if kind is LlamaServer:
            return LlamaServer(connection, model, router=len(models) > 1 or "status" in model)
        return kind(connection, model)
    except TooLong:  # nothing was sent that could be
        connection.close()
        raise no_api(address) from None
    except LongdeskError:
        connection.close()
        raise


def chosen(models: Sequence[Listed], address: Address) -> Listed:
    """The model that the address names, or the only one. Raises UsageError."""
    names, wanted = [str(model.get("id", "")) for model in models], address.model
    if not models:
        raise UsageError(f"{address.host} has no model loaded.", "Load one there.")
    if not wanted:
        if len(models) == 1:
            return models[0]
        raise UsageError(
            f"{address.host} has several models: {_named(names)}.",
            f"Name one: --model '{address.root}#{quote(names[0], safe=_PLAIN)}'.",
        )
    for fits in (lambda name: name == wanted, lambda name: wanted in (stem(name), PurePosixPath(name).name)):
        found = [model for model, name in zip(models, names, strict=True) if fits(name)]
        if len(found) == 1:
            return found[0]
    by_alias = [model for model in models if wanted in (model.get("aliases") or ())]
    if len(by_alias) == 1:
        return by_alias[0]
    raise UsageError(f"{address.host} has no model {wanted}.", f"It has {_named(names)}.")


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED:,} more"


def _listed(address: Address, key: str | None) -> tuple[Connection, list[Listed]]:
    """The models that a server lists. An API whose address ends otherwise than in /v1 is tried as it was written."""
    connection = Connection(address, key)
    try:
        return connection, _models(connection)
    except LongdeskError as error:
        connection.close()
        if not isinstance(error, ModelRefused) or address.root.count("/") < 3:
            raise
    other = Connection(replace(address, base=address.root), key)
    try:
        return other, _models(other)
    except LongdeskError:
        other.close()
        raise


def _models(connection: Connection) -> list[Listed]:
    try:
        told = connection.get("/models", of_api=True)
    except TooLong:
        raise no_api(connection.address) from None
    listed = told.get("data") if isinstance(told, dict) else told  # some answer with the list alone
    if not isinstance(listed, list):
        raise no_api(connection.address)
    named: list[Listed] = [model for model in listed if isinstance(model, dict) and isinstance(model.get("id"), str)]
    return list({model["id"]: model for model in reversed(named)}.values())[::-1]  # a gateway lists one twice


def _kind(connection: Connection, models: Sequence[Listed]) -> type[Adapter]:
    owners = {str(model.get("owned_by", "")).casefold() for model in models}
    for owner, kind in _OWNERS.items():
        if owner in owners and (kind not in (Ollama, LmStudio) or _says_so(kind, connection)):
            return kind
    if connection.address.host.endswith("api.openai.com"):
        return OpenAi
    if not models and _says_so(Ollama, connection):
        return Ollama
    return Adapter


def _says_so(kind: type[Adapter], connection: Connection) -> bool:
    """Whether a server has the calls that only this engine has: the owner alone may be another's too."""
    if kind is Ollama:
        told = connection.find("/api/version")
        return isinstance(told, dict) and "version" in told
    return bool(_of_lm_studio(connection))


def _of_lm_studio(connection: Connection) -> list[Listed]:
    """LM Studio's own list: with windows, and with what each model is."""
    told = connection.find("/api/v0/models")
    listed = told.get("data") if isinstance(told, dict) else None
    if not isinstance(listed, list):
        return []
    return [each for each in listed if isinstance(each, dict) and each.get("type") not in _NO_CHAT and "id" in each]
