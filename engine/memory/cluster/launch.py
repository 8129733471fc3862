"""The lines that start an engine as planned, to copy, and what each option is for. Pure.

Options are those of `vllm serve` (docs.vllm.ai), `sglang.launch_server` (docs.sglang.io) and `trtllm-serve`
(nvidia.github.io/TensorRT-LLM). HEAD stands for the address of the first node.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from engine.memory.cluster.rules import SGLANG_SEQS, VLLM_SHARE, Engine, swa_ratio
from engine.memory.cluster.served import Sees
from engine.memory.cluster.serving import ServingPlan

HEAD = "HEAD"
PORTS = {Engine.VLLM: 8000, Engine.SGLANG: 30000, Engine.TRTLLM: 8000}
_GIB = 1 << 30
_DISK = "/var/vllm-kv"
_AITER = "VLLM_ROCM_USE_AITER=1"
_CHUNKS = "VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE=1"


@dataclass(frozen=True, slots=True)
class Option:
    """One option with its value, as it is typed, and why it stands there."""

    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Command:
    """A line to run. where: on which machine."""

    where: str
    line: str


@dataclass(frozen=True, slots=True)
class Launch:
    """All that starts an engine: commands in order, the options of the last kind of them, files to write first."""

    commands: tuple[Command, ...]
    options: tuple[Option, ...]
    warnings: tuple[str, ...]
    url: str
    files: tuple[tuple[str, str], ...] = ()


def launch(plan: ServingPlan) -> Launch:
    """How to start the planned engine."""
    make = {Engine.VLLM: _vllm, Engine.SGLANG: _sglang, Engine.TRTLLM: _trtllm}[plan.asked.engine]
    return make(plan)


def _url(plan: ServingPlan) -> str:
    host = HEAD if plan.fleet.n_nodes > 1 else "localhost"
    return f"http://{host}:{PORTS[plan.asked.engine]}"


def _warnings(plan: ServingPlan) -> Iterator[str]:
    yield (
        "Whoever reaches the port can ask: keep it within your own network, or set a key (--api-key) and TLS in front."
    )
    if plan.asked.ram_bytes or plan.asked.disk_bytes:
        yield (
            "What lies in RAM or on the disk saves reading a prompt again. It makes no context larger: the KV cache of "
            "a request that runs is on the GPUs."
        )


def _vllm(plan: ServingPlan) -> Launch:
    options, asked = list(_vllm_options(plan)), plan.asked
    chunks = asked.hybrid and plan.model.has_chunks
    before = f"{_CHUNKS} " if chunks else ""
    if plan.fleet.kind.is_amd:
        before = f"{_AITER} {before}"
        options.append(Option(_AITER, "AMD's own kernels, which are faster"))
    if chunks:
        options.append(
            Option(
                _CHUNKS, "layers that see a chunk keep that alone; vLLM 0.10 to 0.12 want to be told, later ones not"
            )
        )
    serve = f"{before}vllm serve {shlex.quote(plan.checkpoint.name)}"
    line = _joined(serve, options)
    if plan.fleet.n_nodes == 1:
        commands: tuple[Command, ...] = (Command("the node", line),)
    else:
        commands = (
            Command("the first node", "ray start --head --port=6379"),
            Command("every other node", f"ray start --address={HEAD}:6379"),
            Command("the first node", line),
        )
    warnings = list(_warnings(plan))
    if asked.disk_bytes:
        warnings.append(
            f"vLLM deletes no file in {_DISK} and knows no limit there: delete old ones yourself. This is the way of "
            "vLLM 0.32; older versions reach the disk by LMCache."
        )
    return Launch(commands, tuple(options), tuple(warnings), _url(plan))


def _vllm_options(plan: ServingPlan) -> Iterator[Option]:
    asked, divided = plan.asked, plan.split
    yield Option(f"--tensor-parallel-size {divided.tensor}", "GPUs that share every layer: the fast links of one node")
    if divided.pipeline > 1:
        yield Option(f"--pipeline-parallel-size {divided.pipeline}", "groups of layers, one after the other")
    if plan.fleet.n_nodes > 1:
        yield Option("--distributed-executor-backend ray", "Ray starts the workers on the other nodes")
    if divided.experts:
        yield Option("--enable-expert-parallel", "each GPU holds whole experts instead of a slice of every one")
    yield Option(f"--max-model-len {plan.context_tokens}", "the largest prompt and reply together; more is refused")
    share = asked.utilization if asked.utilization is not None else VLLM_SHARE
    yield Option(f"--gpu-memory-utilization {share:g}", "the share of each GPU that vLLM takes")
    if asked.kv_type != "auto":
        name = {"bf16": "bfloat16"}.get(asked.kv_type, asked.kv_type)
        yield Option(f"--kv-cache-dtype {name}", "how the KV cache is stored; fp8 takes half of 16 bits")
    if not asked.hybrid and plan.model.has_windows:
        yield Option("--disable-hybrid-kv-cache-manager", "every layer keeps every token")
    if asked.max_seqs is not None:
        yield Option(f"--max-num-seqs {asked.max_seqs}", "requests at once; fewer leave more memory for the context")
    if plan.model.sees_images:
        n_images = 0 if asked.text_only else 10
        why = "no images, so that the encoder takes nothing" if asked.text_only else "images that one request may have"
        yield Option(f"--limit-mm-per-prompt '{{\"image\": {n_images}}}'", why)
    n_gib = max(1, asked.ram_bytes * plan.fleet.n_nodes // _GIB)
    if asked.disk_bytes:
        extra = {
            "spec_name": "TieringOffloadingSpec",
            "cpu_bytes_to_use": n_gib * _GIB,
            "secondary_tiers": [{"type": "fs", "root_dir": _DISK}],
        }
        connector = {"kv_connector": "OffloadingConnector", "kv_role": "kv_both", "kv_connector_extra_config": extra}
        why = "bytes of RAM over all GPUs for KV caches that are not in use, and the folder for what RAM does not hold"
        yield Option(f"--kv-transfer-config {shlex.quote(json.dumps(connector))}", why)
    elif asked.ram_bytes:
        yield Option(f"--kv-offloading-size {n_gib}", "GiB of RAM over all GPUs for KV caches that are not in use")
        yield Option("--kv-offloading-backend native", "vLLM's own way to RAM")
    yield Option("--enable-prompt-tokens-details", "the answer says how much of the prompt was in the cache")


def _sglang(plan: ServingPlan) -> Launch:
    options = list(_sglang_options(plan))
    several = plan.fleet.n_nodes > 1
    if several:
        options.append(Option(f"--nnodes {plan.fleet.n_nodes}", "how many nodes start together"))
        options.append(Option(f"--dist-init-addr {HEAD}:20000", "where they find each other: the first node"))
    serve = f"python3 -m sglang.launch_server --model-path {shlex.quote(plan.checkpoint.name)}"
    line = _joined(serve, options)
    nodes = [Command("the node", line)]
    if several:
        nodes = [Command(f"node {rank + 1}", f"{line} --node-rank {rank}") for rank in range(plan.fleet.n_nodes)]
        options.append(Option("--node-rank N", "which node this is; the first is 0"))
    return Launch(tuple(nodes), tuple(options), tuple(_warnings(plan)), _url(plan))


def _sglang_options(plan: ServingPlan) -> Iterator[Option]:
    asked, divided = plan.asked, plan.split
    yield Option(f"--tp-size {divided.tensor}", "GPUs that share every layer")
    if divided.pipeline > 1:
        yield Option(f"--pp-size {divided.pipeline}", "groups of layers, one after the other")
    if divided.experts:
        yield Option(f"--ep-size {divided.tensor}", "each GPU holds whole experts instead of a slice of every one")
    yield Option(f"--context-length {plan.context_tokens}", "the largest prompt and reply together")
    yield Option(
        f"--max-running-requests {asked.max_seqs or SGLANG_SEQS}",
        "requests at once; each has a table as long as the context, and the default has thousands",
    )
    if asked.utilization is not None:
        yield Option(f"--mem-fraction-static {asked.utilization:g}", "the share for weights and KV cache")
    if asked.kv_type != "auto":
        name = {"fp8": "fp8_e4m3", "bf16": "bf16"}[asked.kv_type]
        yield Option(f"--kv-cache-dtype {name}", "how the KV cache is stored; 8 bits take half of 16")
    windowed = next((layer for layer in plan.model.layers if layer.sees in (Sees.WINDOW, Sees.CHUNK)), None)
    if windowed is not None and asked.hybrid:
        ratio = swa_ratio(windowed, plan.context_tokens)
        yield Option(f"--swa-full-tokens-ratio {ratio:g}", "layers with a window have memory for this share of tokens")
    elif windowed is not None:
        yield Option("--disable-hybrid-swa-memory", "every layer keeps every token")
    if plan.model.sees_images and not asked.text_only:
        yield Option("--enable-multimodal", "images too")
    if asked.ram_bytes or asked.disk_bytes:
        n_gb = max(1, round(asked.ram_bytes / 1e9 / plan.fleet.per_node))
        yield Option("--enable-hierarchical-cache", "KV caches that are not in use go to RAM")
        yield Option(f"--hicache-size {n_gb}", "GB of RAM for each GPU")
    if asked.disk_bytes:
        yield Option("--hicache-storage-backend file", "and on to files (SGLANG_HICACHE_FILE_BACKEND_STORAGE_DIR)")
    yield Option("--enable-cache-report", "the answer says how much of the prompt was in the cache")
    yield Option("--host 0.0.0.0", "other machines may ask; 127.0.0.1 keeps it on this one")


def _trtllm(plan: ServingPlan) -> Launch:
    options, name = list(_trtllm_options(plan)), "longdesk.yaml"
    serve = f"trtllm-serve {shlex.quote(plan.checkpoint.name)}"
    line = _joined(serve, options)
    where = "the node"
    if plan.fleet.n_nodes > 1:
        hosts = ",".join(f"NODE{at + 1}:{plan.fleet.per_node}" for at in range(plan.fleet.n_nodes))
        line = f"mpirun -n {plan.fleet.n_gpus} -H {hosts} trtllm-llmapi-launch {line}"
        where = "the first node, of those that MPI reaches"
    return Launch(
        (Command(where, line),), tuple(options), tuple(_warnings(plan)), _url(plan), ((name, _trtllm_file(plan)),)
    )


def _trtllm_options(plan: ServingPlan) -> Iterator[Option]:
    asked, divided = plan.asked, plan.split
    yield Option(f"--tp_size {divided.tensor}", "GPUs that share every layer")
    if divided.pipeline > 1:
        yield Option(f"--pp_size {divided.pipeline}", "groups of layers, one after the other")
    if divided.experts:
        yield Option(f"--ep_size {divided.tensor}", "each GPU holds whole experts instead of a slice of every one")
    yield Option(f"--max_seq_len {plan.context_tokens}", "the largest prompt and reply together")
    yield Option("--max_num_tokens 8192", "tokens computed at once")
    if asked.max_seqs is not None:
        yield Option(f"--max_batch_size {asked.max_seqs}", "requests at once")
    share = asked.utilization if asked.utilization is not None else 0.9
    yield Option(f"--kv_cache_free_gpu_memory_fraction {share:g}", "of what the weights leave, for the KV cache")
    yield Option("--extra_llm_api_options longdesk.yaml", "the rest of the settings")
    yield Option("--host 0.0.0.0", "other machines may ask; localhost keeps it on this one")


def _trtllm_file(plan: ServingPlan) -> str:
    lines = ["enable_chunked_prefill: true", "kv_cache_config:", "  enable_block_reuse: true"]
    if plan.asked.kv_type == "fp8":
        lines.append("  dtype: fp8")
    if plan.asked.ram_bytes:
        lines.append(f"  host_cache_size: {plan.asked.ram_bytes}")
    if plan.asked.disk_bytes:
        lines.append(f"  disk_cache_size: {plan.asked.disk_bytes}")
        lines.append("  disk_cache_path: /var/trtllm-kv")
    return "\n".join(lines) + "\n"


def _joined(start: str, options: list[Option]) -> str:
    return " ".join((start, *(option.text for option in options if option.text.startswith("-"))))
