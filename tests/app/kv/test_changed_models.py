"""Saved KV caches of a model that was changed: with adapters, with its window stretched. Each is used where it was made
so, and nowhere else; and so is all else that hangs on what a model writes."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.question import Answered, Notice, Question
from app.settings import Settings
from engine.errors import DoesNotFit, ModelRefused, UsageError
from engine.memory.lora import Lora
from tests.models.lora import build_lora


@pytest.fixture
def settings(tmp_path: Path, llama_gguf: Path) -> Settings:
    (tmp_path / "a.txt").write_text("".join(f"line {line} of some\n" for line in range(60)))
    return Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=4, n_threads=1, quotes=False)


def asked(settings: Settings, folder: Path) -> tuple[int, str, list[str]]:
    """Tokens that a new session's question reuses, the answer, and what is said meanwhile."""
    desk = Desk(settings)
    try:
        corpus = desk.read([folder / "a.txt"])
        events = list(desk.ask(Question(text="Why?", corpus=corpus), cancel=Flag()))
    finally:
        desk.close()
    answered = next(event for event in events if isinstance(event, Answered))
    notices = [event.text for event in events if isinstance(event, Notice)]
    return answered.turn.reused_tokens or 0, answered.turn.text, notices


Change = Callable[[Settings, Path], Settings]


def with_lora(scale: float = 1.0, seed: int = 1) -> Change:
    def change(settings: Settings, folder: Path) -> Settings:
        path = folder / f"{seed}.gguf"
        if not path.exists():
            build_lora(path, Path(settings.model), seed=seed)
        return replace(settings, lora=(Lora(path, scale),))

    return change


def stretched(scaling: str, n_ctx: int) -> Change:
    return lambda settings, _: replace(settings, rope_scaling=scaling, n_ctx=n_ctx)


@pytest.mark.slow  # four engines
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (with_lora(), with_lora(0.5)),
        (stretched("yarn", 12_000), stretched("linear", 12_000)),
    ],
)
def test_a_saved_cache_comes_back_to_what_made_it_alone(
    one: Change, other: Change, settings: Settings, tmp_path: Path
) -> None:
    first, plain, second = (
        asked(each, tmp_path) for each in (one(settings, tmp_path), settings, other(settings, tmp_path))
    )
    assert (first[0], plain[0], second[0]) == (0, 0, 0)
    assert first[1] != plain[1]
    again = asked(one(settings, tmp_path), tmp_path)
    assert again[0] > 100 and again[1] == first[1]


def test_notes_readings_and_evidence_are_told_apart(settings: Settings, tmp_path: Path) -> None:
    changed = [settings, with_lora()(settings, tmp_path), with_lora(0.5)(settings, tmp_path)]
    changed.append(stretched("yarn", 9_000)(settings, tmp_path))
    digests = []
    for each in changed:
        desk = Desk(each)
        backend = desk.backend()
        digests.append(backend.digest())
        assert (backend.about.origin is not None) and bool(backend.about.notes) == (each is not settings)
        desk.close()
    assert len(set(digests)) == len(changed)


def test_a_copy_of_an_adapter_is_the_same(settings: Settings, tmp_path: Path) -> None:
    one = with_lora()(settings, tmp_path)
    copy = shutil.copy(tmp_path / "1.gguf", tmp_path / "copy.gguf")
    desks = [Desk(one), Desk(replace(settings, lora=(Lora(Path(copy)),)))]
    assert len({desk.backend().digest() for desk in desks}) == 1
    for desk in desks:
        desk.close()


def test_an_adapter_goes_with_its_model(settings: Settings, tmp_path: Path, gemma3_gguf: Path) -> None:
    """On the page another model may be chosen: the adapter stays with the one that it was named with."""
    bound = replace(with_lora()(settings, tmp_path).lora[0], model=settings.model)
    desk = Desk(replace(settings, lora=(bound,)))
    loras = []
    for model in (settings.model, str(gemma3_gguf), settings.model):
        desk.use_model(model)
        origin = desk.about().origin
        assert origin is not None
        loras.append(len(origin.lora))
    assert loras == [1, 0, 1]
    with pytest.raises(ModelRefused, match="LoRA adapter"):
        desk.use_model(str(bound.path))
    assert desk.settings.model == settings.model
    desk.close()
    everywhere = Desk(replace(settings, lora=(replace(bound, model=""),)))
    with pytest.raises(ModelRefused, match="an adapter for llama models"):
        everywhere.use_model(str(gemma3_gguf))
    everywhere.close()


def test_an_engine_elsewhere_takes_neither(settings: Settings, tmp_path: Path) -> None:
    for changed, option in ((with_lora(), "--lora"), (stretched("yarn", 9_000), "--rope-scaling")):
        desk = Desk(replace(changed(settings, tmp_path), model="http://127.0.0.1:9"))
        with pytest.raises(UsageError, match=option):
            desk.backend()
        desk.close()


def test_beyond_the_window_it_is_refused_without_the_option(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match="--rope-scaling yarn --ctx"):
        asked(replace(settings, n_ctx=9_000), tmp_path)
