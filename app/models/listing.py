"""What `longdesk models` prints: the JSON documents of its contract, and the same for people to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.models.places import gguf_files, locate, places
from app.models.verification import Verification
from app.sizes import show_bytes
from engine.memory.catalog.entry import ENTRIES, Entry

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry and its file on this machine, the first of its parts; None where it is not there."""

    entry: Entry
    path: Path | None


def list_models(home: Path, named: Sequence[Path]) -> tuple[Placed, ...]:
    """Every entry of the catalogue, and where it lies on this machine."""
    files = tuple(gguf_files(places(home, named)))
    return tuple(Placed(entry, locate(entry, files)) for entry in ENTRIES)


def placed_json(placed: Placed) -> Json:
    """One model: the document of `models where --json`, and an element of that of `models list --json`."""
    entry = placed.entry
    return {
        "name": entry.name,
        "model": entry.model,
        "quantization": entry.quantization,
        "path": str(placed.path) if placed.path else None,
        "repository": entry.repository or None,
        "files": list(entry.files),
        "size_bytes": entry.size_bytes,
        "size_is_published": entry.size_is_published,
        "size_source": entry.size_source,
        "released": entry.released,
        "licence": entry.licence if entry.released else None,
        "licence_url": entry.licence_url if entry.released else None,
    }


def list_text(listed: Sequence[Placed]) -> str:
    """A table: name, size, where it is. ~ stands before sizes that are not exact."""
    width = max(len(placed.entry.name) for placed in listed)
    lines = [
        f"{placed.entry.name:<{width}}  {_size(placed.entry):>10}  {_place(placed)}{_licence(placed.entry)}"
        for placed in listed
    ]
    lines.append(
        "\n~ is an estimate. `longdesk models get NAME` downloads one; `longdesk plan --model NAME` needs no download."
    )
    return "\n".join(lines)


def where_text(placed: Placed) -> str:
    """The path alone where it is on this machine, so that a script can use it; else where it is published."""
    entry = placed.entry
    if placed.path:
        return str(placed.path)
    if not entry.released:
        return f"{entry.model} was announced and never released. It can be planned only."
    files = "\n".join(f"  {file}" for file in entry.files) or f"  {entry.stem}*.gguf"
    return (
        f"{entry.name} is not on this machine.\n"
        f"{entry.model} at {entry.quantization}, {_size(entry)} ({entry.size_source})\n"
        f"https://huggingface.co/{entry.repository}\n{files}\n"
        f"{entry.licence}: {entry.licence_url}\n"
        f"`longdesk models get {entry.name}` downloads it."
    )


def verification_json(verification: Verification) -> Json:
    """The document of `models verify --json`."""
    return {
        "path": str(verification.path),
        "name": verification.entry.name if verification.entry else None,
        "passed": verification.passed,
        "checks": [
            {"check": check.name, "passed": check.passed, "detail": check.detail} for check in verification.checks
        ],
        "sha256": dict(verification.sha256),
    }


def verification_text(verification: Verification) -> str:
    """A line a check, then the digests."""
    lines = [f"{'ok    ' if check.passed else 'FAILED'}  {check.name}: {check.detail}" for check in verification.checks]
    lines += [f"{digest}  {name}" for name, digest in verification.sha256]
    return "\n".join(lines)


def _size(entry: Entry) -> str:
    return ("" if entry.weights_exact else "~") + show_bytes(entry.size_bytes)


def _place(placed: Placed) -> str:
    if placed.path:
        return str(placed.path)
    return placed.entry.repository or "announced, not released: for planning only"


def _licence(entry: Entry) -> str:
    return f"  ({entry.licence})" if entry.released else ""
