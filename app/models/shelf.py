"""The models that a process has open to count and plan with, each kept until its file changes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import RLock

from app.models.places import find_model, find_plannable
from app.settings import Settings
from engine.errors import LongdeskError, ModelRefused
from engine.gguf import read_header
from engine.local.opened import OpenModel, makers_of_file, open_model, template_of, thinks_of
from engine.memory.adapter import with_adapters
from engine.memory.card import ModelCard, card_at, with_rope
from engine.memory.catalog.entry import Entry
from engine.memory.catalog.ghost import planned_card
from engine.memory.lora import Lora
from engine.memory.projector import candidates, projector_for
from engine.prompt.choice import OwnTemplate, TemplateUse
from engine.prompt.makers import Makers

_MAGIC = b"GGUF"
_Identity = tuple[Path, int, int, int]
_Key = tuple[_Identity, tuple[_Identity, ...]]
_Run = tuple[_Key, tuple[tuple[_Identity, float], ...]]


class Shelf:
    """Open models by what lies on the disk. May be used from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models: dict[tuple[_Run, OwnTemplate | None], OpenModel] = {}
        self._opening = RLock()

    def open(self, name: str, own: OwnTemplate | None = None, lora: Sequence[Lora] | None = None) -> OpenModel:
        """own: a chat template in place of the model's. lora: adapters, None for those of the settings. Raises
        ModelRefused for a file that cannot be used, UsageError for a name that is not known."""
        path = find_model(name, self._settings)
        with self._opening:
            lora = self._settings.lora_for(name) if lora is None else lora
            key = _run(path, lora), own
            if key not in self._models:
                if self._settings.mmproj is not None:
                    _refuse_other(self._settings.mmproj)
                opened = open_model(  # which says what may be wrong
                    path,
                    cache=self._settings.cache,
                    mmproj=self._settings.mmproj,
                    separators=self._settings.tile_separators,
                    max_tiles=self._settings.max_tiles,
                    own=own,
                )
                try:
                    self._models[key] = replace(opened, card=self._changed(opened.card, lora))
                except LongdeskError:
                    opened.close()
                    raise
            return self._models[key]

    def card(self, name: str) -> ModelCard:
        """What a model is, also one of the catalogue that is not on this machine. Raises ModelRefused, UsageError."""
        found = find_plannable(name, self._settings)
        if isinstance(found, Entry):
            return self._changed(planned_card(found, self._settings.cache / "ghosts"), ())
        lora = self._settings.lora_for(name)
        run = _run(found, lora)
        opened = next((opened for (of, _), opened in list(self._models.items()) if of == run), None)
        return opened.card if opened is not None else self._changed(card_at(found), lora)

    def _changed(self, card: ModelCard, lora: Sequence[Lora]) -> ModelCard:
        """The card of a model as it is run: with adapters, and with its window stretched. Raises as with_adapters and
        with_rope do."""
        card, scaling = with_adapters(card, lora), self._settings.rope_scaling
        return card if scaling is None else with_rope(card, scaling, self._settings.n_ctx)

    def refuse_projector(self, name: str) -> None:
        """Raises ModelRefused where a projector was named that is none, or not this model's: for who needs its card
        alone."""
        if self._settings.mmproj is not None:
            _refuse_other(self._settings.mmproj)
            projector_for(self.card(name), self._settings.mmproj)

    def template(self, name: str, own: OwnTemplate | None = None) -> TemplateUse | None:
        """Which chat template a model would be asked with, found without opening it; None where its file is not on this
        machine. Raises as open does."""
        found = find_plannable(name, self._settings)
        if isinstance(found, Entry):
            return None
        return template_of(read_header(found), own=own, cache=self._settings.cache)

    def makers(self, name: str, own: OwnTemplate | None = None) -> Makers | None:
        """What a model's makers say of sampling, found as template finds that."""
        found = find_plannable(name, self._settings)
        return None if isinstance(found, Entry) else makers_of_file(read_header(found), own=own)

    def thinks(self, name: str, own: OwnTemplate | None = None) -> bool:
        """Whether a model thinks before it answers, found as template finds that; False where its file is not on this
        machine."""
        found = find_plannable(name, self._settings)
        return not isinstance(found, Entry) and thinks_of(read_header(found), own=own, cache=self._settings.cache)

    def close(self) -> None:
        for opened in self._models.values():
            opened.close()


def _refuse_other(mmproj: Path) -> None:
    """Raises ModelRefused for what was named as a projector and is no GGUF; what else may be wrong, opening says."""
    try:
        _refuse_no_projector(mmproj)
    except OSError as error:
        why = error.strerror or error
        raise ModelRefused(f"{mmproj} cannot be read: {why}.", "Check the path after --mmproj.") from error


def _refuse_no_projector(mmproj: Path) -> None:
    """Raises ModelRefused, OSError."""
    remedy = "Name the model's mmproj file, a GGUF, or leave --mmproj out for the one that lies beside the model."
    if mmproj.is_dir():
        raise ModelRefused(f"{mmproj} is a folder, not a vision projector.", remedy)
    if not mmproj.exists():
        return
    if not mmproj.is_file():  # opening a named pipe would wait for a writer
        raise ModelRefused(f"{mmproj} is not a regular file, and so no vision projector.", remedy)
    with mmproj.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ModelRefused(f"{mmproj} is not a GGUF file, and so no vision projector.", remedy)


def _run(path: Path, lora: Sequence[Lora]) -> _Run:
    return _key(path), tuple((_identity(each.path), each.scale) for each in lora)


def _key(path: Path) -> _Key:
    """What an open model depends on: its file, and the projectors that lie beside it."""
    return _identity(path), tuple(map(_identity, candidates(path)))


def _identity(path: Path) -> _Identity:
    """What tells a file from the one that it was: its place, its inode, its size and when it was changed."""
    try:
        stat = path.stat()
    except OSError:
        return path.absolute(), 0, 0, 0
    return path.resolve(), stat.st_ino, stat.st_size, stat.st_mtime_ns
