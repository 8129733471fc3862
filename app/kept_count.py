"""A count that still holds: what `count` printed of these paths, for as long as nothing that it was made from changed.

A part of the count cache, and the quickest: not one file is opened, no vocabulary and nothing that reads or counts is
imported. What it was made from are the files (by `engine.corpus.walk.survey`), the model's files and those beside it,
the settings, the day (a template may say it), the code that counts, and the libraries that it stands on. Counts with
images are not kept: how many tokens the name of an image takes depends on the order of the sources, and so on sessions.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.models.places import find_model
from app.settings import Settings
from engine.corpus.rules import Rules
from engine.corpus.walk.survey import look_at, survey
from engine.errors import LongdeskError
from engine.kept_files import KeptFiles

_ENDING = ".count"
_LIBRARIES = ("llama_cpp", "tiktoken", "gigatoken", "jinja2", "pypdf", "pypdfium2", "PIL")
_CODE = (Path(__file__).parent, Path(__file__).parent.parent / "engine")


@dataclass(frozen=True, slots=True)
class KeptCount:
    """Where the count of these paths is kept, or will be; name is "" where it cannot be."""

    files: KeptFiles
    name: str
    paths: Sequence[Path]
    rules: Rules

    def find(self) -> dict[str, Any] | None:
        """The document of `count --json`, where it still holds."""
        if not self.name or self.files.read_head(self.name) is None:
            return None
        told = survey(self.paths, self.rules)
        with suppress(ValueError, KeyError, TypeError):
            kept = json.loads(self.files.read_body(self.name) or b"null")  # of one moment: others may be writing
            if told is not None and kept["survey"] == told:
                document: dict[str, Any] = kept["document"]
                return document
        return None

    def keep(self, document: dict[str, Any], survey: str | None) -> None:
        """survey: of the files that the document is of; see Corpus.survey."""
        if self.name and survey is not None and not any(source["images"] for source in document["sources"]):
            kept = json.dumps({"survey": survey, "document": document})
            self.files.write(self.name, b"", [kept.encode()])


def kept_count(paths: Sequence[Path], rules: Rules, settings: Settings) -> KeptCount:
    """For paths as the user gave them."""
    try:
        model = find_model(settings.model, settings)
        parts: list[object] = [[os.path.abspath(path) for path in paths], rules, settings, date.today(), sys.version]
        parts += [
            _looks(model.parent, model.name),
            _look(settings.mmproj),
            *(_look(each.path) for each in settings.lora),
            _look(Path(settings.chat_template) if isinstance(settings.chat_template, str) else None),
            *map(_code, _CODE),
            *map(_library, _LIBRARIES),
        ]
    except (LongdeskError, OSError, ValueError):  # whoever counts says what is wrong
        return KeptCount(settings.count_cache, "", paths, rules)
    name = blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest() + _ENDING
    return KeptCount(settings.count_cache, name, paths, rules)


def _looks(folder: Path, model: str) -> list[object]:
    """The model's file and those beside it, one of which may make it see."""
    names = {model, *(name for name in os.listdir(folder) if name.lower().endswith(".gguf"))}
    return [(str(folder / name), _look(folder / name)) for name in sorted(names)]


def _look(path: Path | None) -> object:
    try:
        return path and look_at(os.stat(path))
    except OSError:
        return None


def _code(folder: Path) -> list[object]:
    """Tells the code below a folder from any other."""
    return [
        (at, name, look_at(os.stat(os.path.join(at, name))))
        for at, _, names in os.walk(folder)
        if not at.endswith("__pycache__")
        for name in names
    ]


def _library(name: str) -> object:
    """Tells an installed library from another version of it, without importing it."""
    spec = find_spec(name)
    return spec and spec.origin and _look(Path(spec.origin))
