"""The options that several commands share, so that they are called and read the same everywhere."""

from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from app.dates import today
from app.door.addresses import checked_names
from app.models.places import model_names, refuse_as_path
from app.settings import KV_TYPES, MOST_TOP_K, template_named
from app.sizes import parse_bytes, parse_tokens
from engine.corpus.walk.streams import STDIN
from engine.errors import LongdeskError, UsageError
from engine.memory.lora import NO_LORA, Lora, lora_named
from engine.memory.rope import SCALINGS
from engine.tokens.tiles import MOST_TILES

_MOST_TOKENS = 1 << 31  # llama.cpp counts them in 32 bits


class Tokens(click.ParamType[int | None]):
    """A number of tokens: 4096, 128K, 1M. auto: what "auto" stands for."""

    name = "N"

    def __init__(self, *, auto: int | None = None) -> None:
        self._auto = auto

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int | None:
        if isinstance(value, int):
            return value
        if value == "auto":
            return self._auto
        try:
            tokens = parse_tokens(value)
        except ValueError as error:
            self.fail(str(error), param, context)
        if not 1 <= tokens <= _MOST_TOKENS:
            self.fail(f"It must be from 1 to {_MOST_TOKENS:,}.", param, context)
        return tokens


class Figure(click.FloatRange):
    """A number within bounds; what is no number at all is none."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        found = super().convert(value, param, context)
        if found != found:  # nan is within all bounds
            self.fail(f"{value!r} is no number.", param, context)
        return found


class Bytes(click.ParamType[int]):
    """A size: 500M, 20G, 0."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, context)


class Day(click.ParamType[date]):
    """A date: 2026-11-12, or today."""

    name = "DATE"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return today() if value.strip().casefold() == "today" else date.fromisoformat(value.strip())
        except ValueError:
            self.fail(f"{value!r} is no date: write it as 2026-11-12, or today.", param, context)


class Projector(click.Path):
    """The path of a vision projector. Whether it can be read is said where it is opened, as of any input."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        if value == "":  # an unset variable in a script; Path("") would be the working directory
            raise UsageError("The path after --mmproj is empty.", "Name the mmproj file, or leave --mmproj out.")
        return super().convert(value, param, context)


def together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _as_paths(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Path, ...]:
    if "" in values:  # an unset variable in a script; Path("") would be the working directory
        raise UsageError("One of the paths is empty.", "Name a file or folder.")
    for value in values:
        if value != "-":
            refuse_as_path(value)
    return tuple(STDIN if value == "-" else Path(value) for value in values)


def names_pages() -> bool:
    """Whether the command itself says which pages are drawn; in the settings they are for the files that have them."""
    return click.get_current_context().params.get("draw_pages") is not None


def _complete_model(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Engines by name, what the catalogue has, and files: what a shell offers behind --model."""
    with suppress(LongdeskError):
        found = [CompletionItem(name) for name in model_names() if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")]
    return []


class Thinking(click.ParamType[str]):
    """on, off, or how many tokens a model may think."""

    name = "on|off|N"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> str:
        if value in ("on", "off"):
            return str(value)
        if value in ("0", 0):
            return "off"
        return str(Tokens().convert(value, param, context))


def _as_template(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value == "":  # an unset variable in a script
        raise UsageError("The path after --chat-template is empty.", "Name a file, or leave --chat-template out.")
    return template_named(value) if value is not None else None


def _as_lora(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Lora, ...] | None:
    if values == (NO_LORA,):
        return ()
    return tuple(map(lora_named, values)) or None


PATHS = click.argument("paths", nargs=-1, type=click.Path(readable=False), callback=_as_paths)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the document as JSON.")
MODEL = click.option(
    "--model",
    metavar="M",
    shell_complete=_complete_model,
    help="A GGUF file, a name from the catalogue, an engine's name, or a server: http://host:port, with #name where it "
    "has several models. Default: the starter.",
)
ALLOW = click.option(
    "--allow",
    "names",
    multiple=True,
    metavar="NAME",
    callback=lambda _, __, names: checked_names(names),
    help="A further name by which browsers may ask for it, such as a proxy's; may be given several times.",
)
MMPROJ = click.option(
    "--mmproj", type=Projector(), metavar="FILE", help="The vision projector. Default: beside the model."
)
CHAT_TEMPLATE = click.option(
    "--chat-template",
    callback=_as_template,
    metavar="FILE|model",
    help="Lay chats out with this file, a template in Jinja, in place of the model's own; model for that one.",
)
LORA = click.option(
    "--lora",
    multiple=True,
    callback=_as_lora,
    metavar="FILE[:SCALE]",
    help="Apply this LoRA adapter to the model, at a scale (1 is full); may be repeated. none: without one.",
)
THINKING = click.option(
    "--thinking",
    type=Thinking(),
    help="Let the model think before it answers, or not, or for at most N tokens, which are kept free for that beside "
    "the reply. Default: what it does of itself.",
)
COMPUTING = together(
    click.option("--swa-full", is_flag=True, help="Keep the whole cache of windowed layers too."),
    click.option(
        "--ubatch",
        "n_ubatch",
        type=click.IntRange(1, 65536),
        metavar="N",
        help="Tokens computed at once. Default: 512, or less.",
    ),
)
CORPUS = together(
    PATHS,
    click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches, as .gitignore would."),
    MODEL,
    MMPROJ,
    LORA,
    CHAT_TEMPLATE,
    click.option("--max-tiles", type=click.IntRange(1, MOST_TILES), metavar="N", help="Scale images down to N tiles."),
    click.option(
        "--draw-pages",
        metavar="bare|all|PAGES",
        help="PDF pages sent as images: those without text (the default), all, these (1-23,30), or those of these "
        "without text (bare:1-23,30).",
    ),
    click.option(
        "--tile-separators/--no-tile-separators", default=None, help="Send Llama 4's marks between tiles. Default: yes."
    ),
)
CLUSTER = together(
    click.option(
        "--engine",
        type=click.Choice(("vllm", "sglang", "trtllm", "llamacpp")),
        help="Plan for this engine on GPUs elsewhere, and print the lines that start it.",
    ),
    click.option("--gpus", metavar="NxKIND", help="The GPUs of each node: 8xH100-80G, or 2xMINE=48G."),
    click.option("--nodes", type=int, metavar="N", help="Nodes with those GPUs. Default: 1."),
    click.option(
        "--weights", type=click.Choice(("auto", "bf16", "fp8", "int4", "nvfp4")), help="Precision of the weights."
    ),
    click.option(
        "--kv-type", "kv_cache_type", type=click.Choice(("auto", "bf16", "fp8")), help="Type of the engine's KV cache."
    ),
    click.option("--tp", "tensor", type=click.IntRange(1, 4096), metavar="N", help="GPUs that share each layer."),
    click.option("--pp", "pipeline", type=click.IntRange(1, 4096), metavar="N", help="Stages of layers."),
    click.option("--expert-parallel", "experts", is_flag=True, help="Whole experts to each GPU."),
    click.option("--hybrid/--no-hybrid", default=None, help="Layers with a window keep that alone. Default: yes."),
    click.option(
        "--gpu-memory-utilization",
        "utilization",
        type=Figure(0.05, 1),
        metavar="SHARE",
        help="The share of each GPU's memory that the engine takes. Default: its own.",
    ),
    click.option("--max-seqs", type=click.IntRange(1, 65536), metavar="N", help="Requests at once."),
    click.option("--text-only", is_flag=True, help="Without images, whose encoder takes memory."),
    click.option("--offload-ram", type=Bytes(), help="RAM of each node for KV caches that are not in use."),
    click.option("--offload-disk", type=Bytes(), help="Disk of each node for the same."),
    click.option("--ram", type=Bytes(), help="Main memory of the first node, for llamacpp. Default: 64G."),
    click.option("--price-per-hour", "price", type=Figure(0, 1e6), metavar="MONEY", help="Of one GPU, for an hour."),
)
CLUSTER_NAMES = (
    *("engine", "gpus", "nodes", "weights", "kv_cache_type", "tensor", "pipeline", "experts", "hybrid", "utilization"),
    *("max_seqs", "text_only", "offload_ram", "offload_disk", "ram", "price"),
)
SAMPLING = together(
    click.option(
        "--temperature", type=Figure(0, 10), metavar="T",
        help="0 is greedy. Default: 0, and for models that think what their makers say.",
    ),
    click.option("--top-k", type=click.IntRange(0, MOST_TOP_K), metavar="K", help="Of the K likeliest tokens; 0: all."),
    click.option("--top-p", type=Figure(0, 1), metavar="P"),
    click.option("--min-p", type=Figure(0, 1), metavar="P"),
    click.option(
        "--repeat-penalty", type=Figure(0.1, 10), metavar="R", help="Above 1 against tokens that the reply had lately."
    ),
    click.option("--presence-penalty", type=Figure(-10, 10), metavar="R", help="The same, once for each such token."),
    click.option("--frequency-penalty", type=Figure(-10, 10), metavar="R", help="The same, as often as it was there."),
    click.option("--seed", type=int, metavar="S"),
)  # fmt: skip
READ_AGAIN = click.option(
    "--read-again", is_flag=True, help="Open files too that did not change since they were counted."
)
CTX = click.option("--ctx", "n_ctx", type=Tokens(), metavar="N|auto", help="Tokens of the context (128K, 1M).")
ROPE_SCALING = click.option(
    "--rope-scaling",
    type=click.Choice(SCALINGS),
    help="Let --ctx go beyond the model's window, its positions scaled so; answers get worse.",
)
CONTEXT = together(
    CTX,
    click.option(
        "--kv", "kv_type", type=click.Choice(KV_TYPES, case_sensitive=False), help="Type of the KV cache. Default: f16."
    ),
    ROPE_SCALING,
    click.option("--kv-device", type=click.Choice(("auto", "gpu", "ram")), help="Where the KV cache lives."),
)
