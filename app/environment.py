"""Settings that the environment names: variables, and what each is taken for. Also paths as people write them."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from app.sizes import parse_tokens
from engine.errors import UsageError
from engine.memory.lora import NO_LORA, Lora, lora_named

MODELS_OWN = "model"  # what a chat template is called that the model brings


def settings_in(environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings by their names. Raises UsageError for what makes no sense."""
    return {name: taken(text) for name, (key, taken) in _VARIABLES.items() if (text := environment.get(key))}


def template_named(name: str) -> str:
    """A --chat-template value that means the same from any working directory."""
    return name if name == MODELS_OWN else str(expanded(Path(name)).absolute())


def home_of(environment: Mapping[str, str]) -> Path:
    """LONGDESK_HOME, where all that the user owns lies."""
    return expanded(Path(environment.get("LONGDESK_HOME") or user_data_path("longdesk", appauthor=False)))


def expanded(path: Path) -> Path:
    """With ~ as a home folder. Raises UsageError for a user that does not exist."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise UsageError(f"{path} begins with a home folder that does not exist.", "Write the path in full.") from None


def _tokens(text: str) -> int:
    try:
        return parse_tokens(text)
    except ValueError as error:
        raise UsageError(f"LONGDESK_CTX is {text!r}.", str(error)) from None


def _loras_in(text: str) -> tuple[Lora, ...]:
    return () if text == NO_LORA else tuple(lora_named(each) for each in text.splitlines())


def _roots_in(text: str) -> tuple[Path, ...]:
    """The folders of LONGDESK_ROOTS: a JSON list of strings, as `longdesk up` sets it, or paths as in PATH."""
    if text.startswith("["):
        with suppress(ValueError, RecursionError):
            roots = json.loads(text)
            if isinstance(roots, list) and all(isinstance(root, str) for root in roots):
                return tuple(Path(root) for root in roots if root)
    return tuple(Path(root) for root in text.split(os.pathsep) if root)


_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "model": ("LONGDESK_MODEL", str),
    "mmproj": ("LONGDESK_MMPROJ", lambda text: expanded(Path(text))),
    "lora": ("LONGDESK_LORA", _loras_in),
    "chat_template": ("LONGDESK_CHAT_TEMPLATE", template_named),
    "n_ctx": ("LONGDESK_CTX", _tokens),
    "rope_scaling": ("LONGDESK_ROPE_SCALING", str),
    "roots": ("LONGDESK_ROOTS", _roots_in),
}
