"""What the user set: flags over environment over file over defaults, in one frozen value."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from app.connections.named import NamedEngine as NamedEngine
from app.connections.named import check_model, named_engines
from app.environment import MODELS_OWN as MODELS_OWN
from app.environment import expanded as expanded
from app.environment import home_of as home_of
from app.environment import settings_in
from app.environment import template_named as template_named
from app.sizes import parse_bytes
from engine.corpus.rules import BARE_PAGES, names_pages
from engine.errors import UsageError, why_unread
from engine.kept_files import KeptFiles
from engine.memory.catalog.entry import find
from engine.memory.lora import Lora, lora_named
from engine.memory.rope import SCALINGS
from engine.memory.wanted import DEFAULT_REPLY, Wanted, is_thinking
from engine.prompt.choice import OwnTemplate, own_template
from engine.tensor_types import KV_TYPES as KV_TYPES
from engine.tokens.tiles import MOST_TILES

STARTER = "starter"
KV_DEVICES = ("auto", "gpu", "ram")
MOST_TOP_K = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting.

    home: LONGDESK_HOME, where all that the user owns lies. model: a GGUF file or a catalogue name. models: further
    folders that hold model files. roots: folders that the page may read. n_ctx: tokens of the context, None to choose.
    kv_named: kv_type was chosen for this run, so that no session keeps its own.
    n_threads: 0 for all cores. reply_tokens: --reply and --max-tokens. temperature to frequency_penalty: see Sampling;
    None for what the model's makers say where that is used, else Longdesk's own. system: the standing instruction, None
    for Longdesk's own. stops: texts before which a reply ends. thinking: 'on', 'off' or the most tokens that a model
    may think before it answers, None for what it does of itself. chat_template: a file that lays chats out in place of
    what the model brings, or one that was read already; None, and MODELS_OWN, for the model's. mmproj: the vision
    projector, None for the one that lies beside the model. max_tiles: images are scaled down to that many tiles at
    most. lora: adapters, each for the model that it was named with. rope_scaling: how a context beyond a model's window
    is made possible, None for not at all. tile_separators: Llama 4's marks between tiles are sent. draw_pages: which
    pages of a PDF a model that sees is shown: 'bare' (those without text), 'all', these ('1-23,30'), or those of these
    without text ('bare:1-23,30'). snapshot: whether KV states are kept; snapshot_budget: bytes that they may take on
    the disk, None to choose. quotes: whether words of the sources are looked for that show an answer; None does so with
    models that were found to be good at it. count_cache_budget: bytes that ids and readings of counted files may take,
    0 to keep none. notes_budget: bytes that notes of passes may take. engines: those over HTTP that have a name.
    """

    OWN: ClassVar = frozenset(
        {"reply_tokens", "temperature", "top_p", "min_p", "seed", "stops", "thinking"}
        | {"top_k", "repeat_penalty", "presence_penalty", "frequency_penalty"}
    )  # a question's, perhaps

    home: Path
    model: str = STARTER
    models: tuple[Path, ...] = ()
    roots: tuple[Path, ...] = ()
    n_ctx: int | None = None
    kv_type: str = "f16"
    kv_named: bool = False
    kv_device: str = "auto"
    n_threads: int = 0
    reply_tokens: int = DEFAULT_REPLY
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stops: tuple[str, ...] = ()
    thinking: str | None = None
    system: str | None = None
    chat_template: str | OwnTemplate | None = None
    mmproj: Path | None = None
    lora: tuple[Lora, ...] = ()
    rope_scaling: str | None = None
    max_tiles: int = MOST_TILES
    tile_separators: bool = True
    draw_pages: str = BARE_PAGES
    snapshot: bool = True
    snapshot_budget: int | None = None
    quotes: bool | None = None
    count_cache_budget: int = 1 << 30
    notes_budget: int = 256 << 20
    engines: tuple[NamedEngine, ...] = ()

    def __post_init__(self) -> None:
        """Raises UsageError for a value that no engine could take, wherever it was set."""
        for name, holds, what in (
            ("n_ctx", self.n_ctx is None or self.n_ctx >= 1, "at least 1"),
            ("reply_tokens", self.reply_tokens >= 1, "at least 1"),
            ("snapshot_budget", self.snapshot_budget is None or self.snapshot_budget >= 0, "0 or more"),
            ("count_cache_budget", self.count_cache_budget >= 0, "0 or more"),
            ("notes_budget", self.notes_budget >= 0, "0 or more"),
            ("n_threads", self.n_threads >= 0, "0 or more"),
            ("stops", all(0 < len(stop) <= 1_000 for stop in self.stops), "texts of 1 to 1,000 characters"),
            ("thinking", is_thinking(self.thinking or ""), "on, off, or a number of tokens"),
            ("temperature", _within(self.temperature, 0, 10), "from 0 to 10"),
            ("top_k", _within(self.top_k, 0, MOST_TOP_K), f"from 0 to {MOST_TOP_K:,}"),
            ("top_p", _within(self.top_p, 0, 1), "from 0 to 1"),
            ("min_p", _within(self.min_p, 0, 1), "from 0 to 1"),
            ("repeat_penalty", _within(self.repeat_penalty, 0.1, 10), "from 0.1 to 10"),
            ("presence_penalty", _within(self.presence_penalty, -10, 10), "from -10 to 10"),
            ("frequency_penalty", _within(self.frequency_penalty, -10, 10), "from -10 to 10"),
            ("kv_type", self.kv_type in KV_TYPES, f"one of {', '.join(KV_TYPES)}"),
            ("max_tiles", 1 <= self.max_tiles <= MOST_TILES, f"from 1 to {MOST_TILES}"),
            ("draw_pages", names_pages(self.draw_pages), "bare, all, or pages such as 1-23,30 or bare:1-23,30"),
            ("rope_scaling", self.rope_scaling in (None, *SCALINGS), f"one of {', '.join(SCALINGS)}"),
            ("kv_device", self.kv_device in KV_DEVICES, f"one of {', '.join(KV_DEVICES)}"),
        ):
            if not holds:
                raise UsageError(f"{name} is {getattr(self, name)!r}.", f"It must be {what}.")
        if not self.model.strip():  # an unset variable in a script; Path("") would be the working directory
            raise UsageError(
                "The name after --model is empty.",
                "Name a GGUF file or a model of the catalogue, or leave --model out.",
            )
        if "://" in self.model:  # it is stored with sessions
            check_model(self.model)

    @property
    def own_template(self) -> OwnTemplate | None:
        """The chat template that was chosen in place of a model's own. Raises as own_template of engine.prompt does."""
        if self.chat_template is None or self.chat_template == MODELS_OWN:
            return None
        if isinstance(self.chat_template, OwnTemplate):
            return self.chat_template
        return replace(own_template(Path(self.chat_template)), model=self.model)

    def lora_for(self, model: str) -> tuple[Lora, ...]:
        """The adapters that go with a --model value: an adapter is made for one model, and left out with others."""
        return tuple(each for each in self.lora if each.model in ("", model))

    def refuse_elsewhere(self, model: str) -> None:
        """Raises UsageError for what an engine elsewhere, of this --model value, cannot be given with a question."""
        for option, is_set in (
            ("--lora", bool(self.lora_for(model))),
            ("--rope-scaling", self.rope_scaling is not None and self.n_ctx is not None),
        ):
            if is_set:
                raise UsageError(
                    f"{option} is for a model file that runs here, and {model} is an engine elsewhere.",
                    f"Start that engine so, and leave {option} out.",
                )

    @property
    def wanted(self) -> Wanted:
        """What is asked of a plan."""
        return Wanted(
            n_ctx=self.n_ctx,
            kv_type=self.kv_type,
            kv_device=self.kv_device,
            reply_tokens=self.reply_tokens,
            thinking=self.thinking or "",
        )

    def engine(self, model: str | None = None) -> NamedEngine | None:
        """The engine of this name, of the settings' own model without one; None for a file, and for an address."""
        model = self.model if model is None else model
        return next((each for each in self.engines if each.name == model), None)

    @property
    def config_file(self) -> Path:
        """Where the user's settings stand."""
        return config_file(self.home)

    @property
    def cache(self) -> Path:
        """Where proofs about vocabularies and files that stand for models are kept: nothing of the user's."""
        return self.home / "cache"

    @property
    def count_cache(self) -> KeptFiles:
        """What is kept of files that were counted: the ids of their texts, and how each was read."""
        return KeptFiles(self.cache / "counts", self.count_cache_budget)


def _within(value: float | None, least: float, most: float) -> bool:
    return value is None or least <= value <= most


def read_settings(environment: Mapping[str, str] = os.environ, **flags: Any) -> Settings:
    """LONGDESK_HOME/config.toml, then the variables of the environment, then the flags that are not None. Adapters of
    the file and of the environment go with the model that is named there.

    Raises UsageError for a file that does not parse or names what is not known.
    """
    home = home_of(environment)
    settings = replace(Settings(home=home), **_from_file(config_file(home)))
    settings = replace(settings, lora=_bound(settings))
    told = settings_in(environment)
    settings = replace(settings, **told)
    if "lora" in told:
        settings = replace(settings, lora=_bound(settings))
    settings = replace(settings, **{name: value for name, value in flags.items() if value is not None})
    if settings.engine() is not None:  # a file of an engine's name does not hide it
        return settings
    return replace(settings, model=absolute_model(settings.model))


def _bound(settings: Settings) -> tuple[Lora, ...]:
    """The adapters, for the model that the settings name."""
    is_engine = settings.engine() is not None
    model = settings.model if is_engine else absolute_model(settings.model)
    return tuple(replace(each, model=model) for each in settings.lora)


def config_file(home: Path) -> Path:
    return home / "config.toml"


def engines_in(home: Path) -> tuple[NamedEngine, ...]:
    """The engines over HTTP that config.toml names now. Raises as read_settings does."""
    engines: tuple[NamedEngine, ...] = _from_file(config_file(home)).get("engines", ())
    return engines


def is_path(path: Path, name: str) -> bool:
    """Whether a --model value is a path: a folder that is called scout does not hide the catalogue's Scout."""
    if "/" in name or name.endswith(".gguf") or os.path.isfile(path):  # unlike Path's, it raises for no name
        return True
    return os.path.exists(path) and find(name) is None


def absolute_model(name: str) -> str:
    """A --model value that means the same from any working directory."""
    path = expanded(Path(name))
    return str(path.absolute()) if os.path.exists(path) and is_path(path, name) else name


_FILE_TYPES: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "models": list,
    "roots": list,
    "n_ctx": int,
    "kv_type": str,
    "kv_device": str,
    "n_threads": int,
    "reply_tokens": int,
    "temperature": (int, float),
    "top_p": (int, float),
    "min_p": (int, float),
    "top_k": int,
    "repeat_penalty": (int, float),
    "presence_penalty": (int, float),
    "frequency_penalty": (int, float),
    "seed": int,
    "stops": list,
    "thinking": (str, int),
    "system": str,
    "chat_template": str,
    "mmproj": str,
    "lora": (list, str),
    "rope_scaling": str,
    "max_tiles": int,
    "tile_separators": bool,
    "draw_pages": str,
    "snapshot": bool,
    "snapshot_budget": (int, str),
    "quotes": bool,
    "count_cache_budget": (int, str),
    "notes_budget": (int, str),
    "engines": dict,
}


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {why_unread(error)}.", "Mend or remove it.") from None
    for name, value in values.items():
        if name not in _FILE_TYPES:
            raise UsageError(f"{path} sets {name}, which is not known.", f"Known are {', '.join(_FILE_TYPES)}.")
        if not isinstance(value, _FILE_TYPES[name]) or (isinstance(value, bool) and _FILE_TYPES[name] is not bool):
            raise UsageError(f"{path} sets {name} to {value!r}.", "docs/command-line.md shows what it takes.")
    if "engines" in values:
        values["engines"] = named_engines(values["engines"], str(path))
    for name in ("roots", "models"):
        if name in values:
            values[name] = tuple(expanded(Path(str(folder))) for folder in values[name])
    taken: dict[str, Any] = {"thinking": str, "stops": lambda stops: tuple(map(str, stops))}
    taken |= {"chat_template": template_named, "mmproj": lambda path: expanded(Path(path))}
    values |= {name: take(values[name]) for name, take in taken.items() if name in values}
    if "lora" in values:
        named = [values["lora"]] if isinstance(values["lora"], str) else values["lora"]
        values["lora"] = tuple(lora_named(str(each)) for each in named)
    for name in ("snapshot_budget", "count_cache_budget", "notes_budget"):
        if isinstance(budget := values.get(name), str):
            try:
                values[name] = parse_bytes(budget)
            except ValueError as error:
                raise UsageError(f"{path} sets {name}: {error}") from None
    return values
