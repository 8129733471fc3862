"""A real package summarized from the command line: stopped at 60 % and gone on with, killed and gone on with, whole,
and again after an edit. By the starter, or by a real model (`python -m tests.bench summary --model FILE`).

The package is sqlite-utils as it is installed here, more than 60,000 tokens. What it took goes to standard error.
"""

import json
import re
import shutil
import signal
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from app.models.places import starter_model
from tests.bench.table import Row
from tests.command_line import CommandLine

_PACKAGE, _LEAST_TOKENS = "sqlite_utils", 60_000
_STOP_AT, _KILL_AT = 0.6, 0.75
_STEP = re.compile(r"^([\d,]+) of ([\d,]+) · ")
_EDITED = "plugins.py"


def rows(model: str | None = None) -> Iterator[Row]:
    """model: a GGUF file of an instruct model."""
    with TemporaryDirectory() as given:
        folder = Path(given)
        code = folder / _PACKAGE
        shutil.copytree(Path(sysconfig.get_path("purelib"), _PACKAGE), code, ignore=shutil.ignore_patterns("*.pyc"))
        longdesk = CommandLine(folder / "home", Path(model) if model is not None else starter_model())
        command = ("summarize", code, "--out", folder / "out", "--json")
        n_tokens = longdesk("count", code, "--json").document["total_tokens"]
        yield Row("tokens that a package should have, and has", _LEAST_TOKENS, n_tokens, "", 1.0)

        stopped, _ = _broken_off(longdesk, command, _STOP_AT, signal.SIGINT)
        yield Row("exit code of Stop, and what is promised", stopped, 130, "", 1.0)
        _, kept = _broken_off(longdesk, command, _KILL_AT, signal.SIGKILL)
        yield Row("passes done before Stop that are read again", float(kept < _STOP_AT), 1.0, "", 0.0)
        whole, took, err = _run(longdesk, command)
        yield Row("passes done before the kill that are read again", float(_share_kept(err) < _KILL_AT), 1.0, "", 0.0)
        yield from _of(whole, took)

        edited = code / _EDITED
        edited.write_text(edited.read_text() + '\n\ndef last_words():\n    """Says good-bye."""\n    return "bye"\n')
        again, took, _ = _run(longdesk, command)
        yield from _of_again(whole, again, took)


def _broken_off(longdesk: CommandLine, command: tuple[object, ...], share: float, sign: int) -> tuple[int, float]:
    """Runs until this share of the steps is done, and sends the signal. The exit code, and the share that was kept."""
    running = longdesk.start(*command)
    assert running.stderr is not None
    said = ""
    for line in running.stderr:
        said += line
        found = _STEP.match(line)
        if found and _number(found[1]) >= share * _number(found[2]):
            break
    running.send_signal(sign)
    _, rest = running.communicate()
    print(f"broken off with {sign} behind {said.splitlines()[-1]!r}", rest, file=sys.stderr, flush=True)
    return running.returncode, _share_kept(said)


def _run(longdesk: CommandLine, command: tuple[object, ...]) -> tuple[dict[str, Any], float, str]:
    begun = perf_counter()
    running = longdesk.start(*command)
    out, err = running.communicate()
    assert running.returncode == 0, err
    print(err, file=sys.stderr, flush=True)
    return json.loads(out), perf_counter() - begun, err


def _share_kept(said: str) -> float:
    """Of the steps up to the last one that was kept."""
    steps = [(found, line) for line in said.splitlines() if (found := _STEP.match(line))]
    kept = [_number(found[1]) / _number(found[2]) for found, line in steps if "kept from before" in line]
    return max(kept, default=0.0)


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _of(summary: dict[str, Any], took: float) -> Iterator[Row]:
    reading = summary["reading"]
    print(f"{reading}, the last run {took:,.0f} s, {summary['evidence']!r}", file=sys.stderr, flush=True)
    yield Row("sources that were not read exactly once", reading["n_sources"] - reading["n_once"], 1.0, "", 0.0)
    published = [page for page in summary["pages"] if not page["why_not"]]
    bare = [page for page in published if not summary["evidence"] and not any(map(_is_shown, _statements(page)))]
    yield Row("pages without a verified quote, where quotes are looked for", len(bare), len(published), "", 0.0)
    yield Row("replies that are not whole, cut by their length", reading["n_calls"] - reading["n_whole"],
              reading["n_calls"], "", None)  # fmt: skip
    shown = [statement for page in published for statement in _statements(page) if _is_shown(statement)]
    yield Row("statements with words, of all", len(shown), sum(len(_statements(page)) for page in published), "", None)


def _of_again(before: dict[str, Any], again: dict[str, Any], took: float) -> Iterator[Row]:
    redone = {page["name"] for page in again["pages"] if page["redone"]}
    print(f"again {took:,.0f} s, {again['reading']}, redone: {sorted(redone)}", file=sys.stderr, flush=True)
    digests = {page["name"]: page["sources"] for page in before["pages"]}
    due = {page["name"] for page in again["pages"] if page["sources"] != digests.get(page["name"])}
    yield Row("pages redone that need not be, of those that need not", len(redone - due), len(digests), "", 0.0)
    yield Row("pages not redone that must be, of those that must", len(due - redone), len(due), "", 0.0)
    yield Row("sources that were not read exactly once, after an edit",
              again["reading"]["n_sources"] - again["reading"]["n_once"], 1.0, "", 0.0)  # fmt: skip
    kept = again["reading"]["n_kept"]
    yield Row("passes read after an edit, of all", again["reading"]["n_passes"] - kept, again["reading"]["n_passes"],
              "", 0.5)  # fmt: skip


def _statements(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [statement for section in page["sections"] for statement in section["statements"]]


def _is_shown(statement: dict[str, Any]) -> bool:
    return bool(statement["citation"]) and statement["citation"]["status"] == "verified"
