"""A receipt in words: rows of a name and what stands there, for the page and for exports.

A receipt may come from a stranger's file, or from a newer version: what is not as it should be stands as JSON.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.markdown import literal_html
from app.sizes import show_usd
from engine.corpus.wording import counted

_BY = {
    "you": "by you",
    "question": "by the question",
    "rule": "by a rule",
    "size": "for its size",
    "model": "by the model",
    "reading": "nothing could be read",
    "gone": "gone from the disk",
}
_MOST_LINES = 400  # sources of a row; more are counted
_TIMES = {
    "read_s": "reading files",
    "load_s": "loading the model",
    "prefill_s": "prefill",
    "ttft_s": "first text after",
}
_SAMPLING = {
    "max_tokens": "at most {:,} tokens",
    "temperature": "temperature {}",
    "top_p": "top-p {}",
    "min_p": "min-p {}",
    "top_k": "top-k {}",
    "repeat_penalty": "repeat penalty {}",
    "presence_penalty": "presence penalty {}",
    "frequency_penalty": "frequency penalty {}",
}
_DOES_NOTHING = {"top_k": 0, "repeat_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0}


def receipt_rows(receipt: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Its rows in order, each with one line or more. Raises nothing."""
    left, rows = dict(receipt), []
    if left.get("server", "") is None:
        del left["server"]  # the model ran on this machine
    for name, keys, tell in _ROWS:
        if any(key in left for key in keys):
            try:
                lines = list(tell(receipt))
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
                continue  # what is left is told as it is
            for key in keys:
                left.pop(key, None)
            rows.append((name, lines or ["none"]))
    return rows + [(name, [_json(value)]) for name, value in left.items()]


def receipt_html(receipt: Mapping[str, Any]) -> str:
    """The rows as a table, on one line: nothing of what stands in it acts."""
    rows = []
    for name, lines in receipt_rows(receipt):
        shown = "".join(f"<div>{literal_html(line)}</div>" for line in lines)
        rows.append(f"<tr><th>{literal_html(name)}</th><td>{shown}</td></tr>")
    return f'<table class="receipt-table">{"".join(rows)}</table>'


def _asked(receipt: Mapping[str, Any]) -> Iterator[str]:
    answered = receipt.get("answered")
    yield f"{_moment(receipt['asked'])}" + (f", answered {_moment(answered)}" if answered else "")
    yield f"Longdesk {receipt['longdesk']}"


def _sent(receipt: Mapping[str, Any]) -> Iterator[str]:
    n_all = receipt["tokens_all"]
    of_all = f" of {n_all:,}" if n_all is not None else ""
    yield (f"{receipt['sources_sent']:,} of {counted(receipt['sources_all'], 'source')}, "
           f"{receipt['tokens_sent']:,}{of_all} tokens")  # fmt: skip
    lines = [f"{each['path']} · {counted(each['tokens'], 'token')}" for each in receipt["sources"]]
    yield from _limited(lines)


def _passes(receipt: Mapping[str, Any]) -> Iterator[str]:
    if receipt["passes"] is None:
        return
    slices = receipt["passes"]["slices"]
    n_kept, n_all = sum(bool(each["kept"]) for each in slices), receipt["sources_all"]
    read, reused = (sum(each[name] for each in slices) for name in ("read_tokens", "reused_tokens"))
    n_sources = len({piece["path"] for each in slices for piece in each["pieces"]})
    yield f"{counted(len(slices), 'pass', 'passes')}, {n_sources:,} of {counted(n_all, 'source')}"
    yield f"{read:,} tokens read, {reused:,} from the KV cache; {counted(n_kept, 'note')} kept from before"
    yield from _limited([_pass(number, each) for number, each in enumerate(slices, 1)])


def _pass(number: int, read: Mapping[str, Any]) -> str:
    """A row for one pass."""
    pieces, facts = read["pieces"], read["note"]["facts"]
    paths = list(dict.fromkeys(str(piece["path"]) for piece in pieces))
    what = paths[0] if len(paths) == 1 else f"{counted(len(paths), 'source')}, {paths[0]} to {paths[-1]}"
    n_tokens = sum(piece["tokens"] for piece in pieces)
    kept = ", kept from before" if read["kept"] else ""
    return f"pass {number:,}: {what} · {counted(n_tokens, 'token')} · {counted(len(facts), 'fact')}{kept}"


def _left_out(receipt: Mapping[str, Any]) -> Iterator[str]:
    lines = []
    for each in receipt["left_out"]:
        tokens = f" · {counted(each['tokens'], 'token')}" if each.get("tokens") is not None else ""
        lines.append(f"{each['path']} · {_BY.get(each['by'], each['by'])}: {each['reason']}{tokens}")
    yield from _limited(lines)


def _prompt(receipt: Mapping[str, Any]) -> Iterator[str]:
    read, reused = receipt["read_tokens"], receipt["reused_tokens"]
    told = (receipt.get("server") or {}).get("prompt_tokens")  # what it read by its own count, of which these are parts
    total = receipt["prompt_tokens"] if told is None else read + reused
    yield f"{counted(total, 'token')}: {read:,} read, {reused:,} from the KV cache"
    before = "" if total == receipt["prompt_tokens"] else ", as counted before"
    yield ", ".join(f"{part} {n:,}" for part, n in receipt["tokens"].items()) + before


def _history(receipt: Mapping[str, Any]) -> Iterator[str]:
    if receipt["history"]:
        yield ", ".join(f"question {at + 1:,}" for at in receipt["history"])


def _model(receipt: Mapping[str, Any]) -> Iterator[str]:
    model = receipt["model"]
    about = (model["name"], model.get("architecture"), model.get("quantization"))
    yield ", ".join(str(each) for each in about if each)
    if model.get("file"):
        size = f", {model['bytes']:,} bytes" if model.get("bytes") is not None else ""
        yield f"{model['file']}{size}"
    for name, what in (("projector", "projector"), ("header_digest", "header"), ("vocabulary", "vocabulary")):
        if model.get(name):
            yield f"{what} {model[name]}"


def _cache(receipt: Mapping[str, Any]) -> Iterator[str]:
    context = receipt.get("context_tokens")
    of = [str(receipt["kv_type"]) or "the server's own"]
    yield ", ".join(of + ([f"context of {counted(context, 'token')}"] if context is not None else []))


def _settings(receipt: Mapping[str, Any]) -> Iterator[str]:
    settings = dict(receipt["settings"])
    for name, value in _DOES_NOTHING.items():
        if settings.get(name) == value:
            del settings[name]
    known = [how.format(settings.pop(name)) for name, how in _SAMPLING.items() if settings.get(name) is not None]
    seed, stops = settings.pop("seed", None), settings.pop("stops", None)
    ends = [f"stops at {_json(stops)[1:-1]}"] if stops else []
    yield ", ".join([*known, f"seed {seed}" if seed is not None else "no seed", *ends])
    if makers := settings.pop("makers", None):
        yield f"as the model's makers say: {', '.join(str(name).replace('_', '-') for name in makers)}"
    if settings:
        yield ", ".join(
            f"{name} {value if isinstance(value, str) else _json(value)}" for name, value in settings.items()
        )


def _quotes(receipt: Mapping[str, Any]) -> Iterator[str]:
    quotes = receipt["quotes"]
    if quotes is None:
        return
    tried = f": it found words {quotes['found']} times in {quotes['tried']}" if quotes["tried"] is not None else ""
    reason = str(quotes["reason"]) or f"looked for behind each statement{tried and ', the model was tried' + tried}"
    yield from dict.fromkeys((reason, *map(str, quotes["remarks"])))  # the first time, the reason is a remark as well


def _cost(receipt: Mapping[str, Any]) -> Iterator[str]:
    cost = receipt["cost"]
    if cost is None:
        return
    about, prices = "~" if cost["estimated"] else "", cost["prices"]
    yield (
        f"{about}{show_usd(cost['total'])} for {cost['prompt_tokens']:,} tokens sent, {cost['cached_tokens']:,} of "
        f"them from the server's cache, and {cost['reply_tokens']:,} written"
    )
    cached = f", {show_usd(prices['cached'])} from the cache" if prices["cached"] is not None else ""
    whose = "as the server says" if prices["published"] else "as entered"
    yield f"a million tokens: {show_usd(prices['input'])} sent{cached}, {show_usd(prices['output'])} written, {whose}"


def _server(receipt: Mapping[str, Any]) -> Iterator[str]:
    """What a server said of the answer, and how far its count is off ours."""
    server = receipt["server"]
    if server is None:
        return
    yield str(server["engine"])
    told, differs = server["prompt_tokens"], server["differs_by"]
    ours = f"{server['counted_tokens']:,} counted before ({server['counted']})"
    if told is None:
        yield f"it does not say how many tokens the prompt had; {ours}"
    else:
        off = f"{abs(differs):,} {'more' if differs > 0 else 'fewer'} than the " if differs else "as many as the "
        yield f"it counts {counted(told, 'token')} in the prompt, {off}{ours}"
    cached = server["cached_tokens"]
    yield f"{cached:,} tokens from its prefix cache" if cached is not None else "it does not say what its cache held"
    speeds = (("read", server["read_per_s"]), ("written", server["written_per_s"]))
    rates = [f"{rate:,.0f} tokens a second {what}" for what, rate in speeds if rate is not None]
    if rates:
        yield ", ".join(rates)
    if server["reasoning"]:
        n_tokens = server["reasoning_tokens"]
        yield f"what it thought before{f' ({n_tokens:,} tokens)' if n_tokens else ''}: {server['reasoning']}"


def _times(receipt: Mapping[str, Any]) -> Iterator[str]:
    times = receipt["times"]
    told = [f"{what} {times[name]:,.1f} s" for name, what in _TIMES.items() if times.get(name) is not None]
    if told:
        yield ", ".join(told)


def _hash(receipt: Mapping[str, Any]) -> Iterator[str]:
    yield str(receipt["prompt_hash"])
    if receipt.get("prompt_hash_of"):
        yield str(receipt["prompt_hash_of"])


_Tell = Callable[[Mapping[str, Any]], Iterator[str]]
# a row's name, the keys that it tells, and how
_ROWS: tuple[tuple[str, tuple[str, ...], _Tell], ...] = (
    ("Asked", ("asked", "answered", "longdesk"), _asked),
    ("Sent", ("sources", "sources_sent", "sources_all", "tokens_sent", "tokens_all"), _sent),
    ("Passes", ("passes",), _passes),
    ("Left out", ("left_out",), _left_out),
    ("Prompt", ("prompt_tokens", "read_tokens", "reused_tokens", "tokens"), _prompt),
    ("Earlier in it", ("history",), _history),
    ("Reply", ("reply_tokens",), lambda receipt: iter([counted(receipt["reply_tokens"], "token")])),
    ("Model", ("model",), _model),
    ("KV cache", ("kv_type", "context_tokens"), _cache),
    ("Settings", ("settings", "seed"), _settings),
    ("Server", ("server",), _server),
    ("Words that show it", ("quotes",), _quotes),
    ("Instruction", ("system",), lambda receipt: iter([str(receipt["system"])] if receipt["system"] else [])),
    ("Date in it", ("date",), lambda receipt: iter([str(receipt["date"])])),
    ("Cost", ("cost",), _cost),
    ("Times", ("times",), _times),
    ("Prompt's hash", ("prompt_hash", "prompt_hash_of"), _hash),
)


def _moment(time: str) -> str:
    return str(time).replace("T", " ").replace("Z", " UTC")


def _limited(lines: list[str]) -> Iterator[str]:
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"and {len(lines) - _MOST_LINES:,} more"


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return repr(type(value))
