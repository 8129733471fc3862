"""`plan --engine`: whether a model and a corpus fit onto an engine's GPUs elsewhere, and the lines that start it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.cli.desk import open_desk
from app.cli.output.cluster import Cost, Counted, print_llama, print_serving
from app.models.places import find_plannable
from app.models.served import USUAL, Vocabulary, served_model, vocabulary_of
from app.settings import STARTER, read_settings
from engine.corpus.refusing import refuse_empty
from engine.corpus.rules import Rules
from engine.errors import UsageError
from engine.memory.catalog.entry import Entry
from engine.memory.cluster.kinds import Fleet, parse_fleet
from engine.memory.cluster.llama_rpc import hardware_of, launch_llama, named_file, plan_llama
from engine.memory.cluster.rules import Engine
from engine.memory.cluster.serving import Asked, plan_serving

LLAMA = "llamacpp"
_RAM_BYTES = 64 << 30  # of a node, where nobody says it
# options of `plan` that are llama.cpp's own, and those that are the other engines'
_LLAMAS = {
    **{"kv_type": "--kv", "kv_device": "--kv-device", "swa_full": "--swa-full", "n_ubatch": "--ubatch"},
    **{"lora": "--lora", "rope_scaling": "--rope-scaling"},
}
_OTHERS = {
    "weights": "--weights",
    "kv_cache_type": "--kv-type",
    "tensor": "--tp",
    "pipeline": "--pp",
    "experts": "--expert-parallel",
    "hybrid": "--hybrid",
    "utilization": "--gpu-memory-utilization",
    "max_seqs": "--max-seqs",
    "text_only": "--text-only",
    "offload_ram": "--offload-ram",
    "offload_disk": "--offload-disk",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be counted, and how."""

    paths: Sequence[Path]
    rules: Rules
    read_again: bool


def plan_cluster(
    reading: Reading, cluster: Mapping[str, Any], own: Mapping[str, Any], *, as_json: bool, **flags: Any
) -> int:
    """Prints the plan; 0 where it fits, 3 where it does not. own: --swa-full and --ubatch. flags: the settings'.

    Raises UsageError for options that do not go together, for GPUs and sizes that cannot be, and as served_model does.
    """
    engine = cluster["engine"]
    if not cluster["gpus"]:
        raise UsageError(f"--engine {engine} needs GPUs.", "Name them: --gpus 8xH100-80G, on each of --nodes N.")
    fleet = parse_fleet(cluster["gpus"], n_nodes=1 if cluster["nodes"] is None else cluster["nodes"])
    foreign, whose = (_OTHERS, cluster) if engine == LLAMA else (_LLAMAS, {**flags, **own})
    for name, option in foreign.items():
        if whose.get(name) is not None and whose[name] is not False:
            raise UsageError(f"{option} is no option of --engine {engine}.", _instead(option, engine))
    if engine != LLAMA and cluster["ram"] is not None:
        raise UsageError(
            f"--ram is for --engine {LLAMA}, which computes in main memory too.",
            "Where KV caches may go to it: --offload-ram SIZE.",
        )
    cost = Cost(cluster["price"], fleet.n_gpus)
    if engine == LLAMA:
        return _llama(reading, cluster, own, fleet, cost, as_json=as_json, **flags)
    return _serving(reading, cluster, fleet, cost, as_json=as_json, **flags)


def _instead(option: str, engine: str) -> str:
    if option == "--kv":
        return "Its KV cache's type is --kv-type."
    return "Use --kv for the KV cache's type, and --ram for main memory." if engine == LLAMA else "Leave it out."


def _serving(
    reading: Reading, cluster: Mapping[str, Any], fleet: Fleet, cost: Cost, *, as_json: bool, **flags: Any
) -> int:
    settings = read_settings(**flags)
    model = served_model(settings.model, settings)
    asked = Asked(
        engine=Engine(cluster["engine"]),
        precision=cluster["weights"] or "auto",
        kv_type=cluster["kv_cache_type"] or "auto",
        tensor=cluster["tensor"],
        pipeline=cluster["pipeline"],
        experts=bool(cluster["experts"]),
        utilization=cluster["utilization"],
        hybrid=cluster["hybrid"] if cluster["hybrid"] is not None else True,
        max_seqs=cluster["max_seqs"],
        text_only=bool(cluster["text_only"]),
        n_ctx=settings.n_ctx,
        reply_tokens=settings.reply_tokens,
        ram_bytes=cluster["offload_ram"] or 0,
        disk_bytes=cluster["offload_disk"] or 0,
    )
    plan_serving(model, fleet, asked)  # what cannot be is said before a corpus is read
    counted = Counted()
    if reading.paths:
        counted = _count(reading, vocabulary_of(settings.model, model.name, settings), **flags)
        asked = replace(asked, prompt_tokens=counted.n_tokens, template_tokens=counted.template_tokens)
    plan = plan_serving(model, fleet, asked)
    print_serving(plan, counted, cost, as_json=as_json)
    return 0 if plan.fits else 3


def _llama(
    reading: Reading,
    cluster: Mapping[str, Any],
    own: Mapping[str, Any],
    fleet: Fleet,
    cost: Cost,
    *,
    as_json: bool,
    **flags: Any,
) -> int:
    settings = read_settings(**flags)
    if settings.model == STARTER and flags.get("model") is None:
        settings = replace(settings, model=USUAL)
    found = find_plannable(settings.model, settings)
    counted = Counted()
    if reading.paths:
        title = found.model if isinstance(found, Entry) else ""
        counted = _count(reading, vocabulary_of(settings.model, title, settings), **flags)
    with open_desk(makes_home=False, **{**flags, "model": settings.model}) as desk:
        card = desk.planner().card
        wanted = replace(settings.wanted, n_ubatch=own["n_ubatch"], swa_full=own["swa_full"])
        ram_bytes = _RAM_BYTES if cluster["ram"] is None else cluster["ram"]
        made = plan_llama(card, hardware_of(fleet, ram_bytes), wanted, counted.n_tokens)
    launch = launch_llama(made.plan, fleet, _file_option(found))
    print_llama(made, launch, fleet, counted, cost, as_json=as_json)
    return 0 if made.plan.fits else 3


def _file_option(found: Path | Entry) -> str:
    """A catalogue's model is fetched by llama.cpp itself."""
    if isinstance(found, Entry):
        return f"-hf {found.repository}:{found.quantization}" if found.released else f"-m {found.name}.gguf"
    return named_file(str(found))


def _count(reading: Reading, vocabulary: Vocabulary, **flags: Any) -> Counted:
    """The corpus, counted with that vocabulary."""
    from app.cli.output.count import show_reading

    with open_desk(**{**flags, "model": vocabulary.model}) as desk:
        desk.about()
        with show_reading() as tell:
            corpus = desk.read_to_count(reading.paths, reading.rules, read_again=reading.read_again, tell=tell)
        refuse_empty(desk.legible(corpus), reading.paths)
        count = desk.count(corpus)
    return Counted(count.total_tokens, count.template_tokens, len(count.skipped), count.model, vocabulary.is_own)
