"""llama.cpp on hardware that is not this machine's: GPUs of a node, or of several over RPC, and the first one's main
memory. By the same planner that plans for this machine, with its estimate in place of a dry run. Pure.

RPC as in tools/rpc/README.md of llama.cpp: rpc-server lends the GPUs of its node; the model is split by layers over all
GPUs, remote ones first, so that each token passes through every node in turn.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.memory.budget import Device, Hardware, Measured, Placement, Plan, Wanted
from engine.memory.card import ModelCard
from engine.memory.cluster.kinds import Fleet
from engine.memory.cluster.launch import HEAD, Command, Launch, Option
from engine.memory.placement import estimate
from engine.memory.planner import Planner, make_plan

PORT, RPC_PORT = 8080, 50052
_SYSTEM_BYTES = 4 << 30  # of main memory, for the system and what else runs
_KEPT = 0.8  # of the largest context, where nobody asks for one: all of it is an estimate
_WARNINGS = (
    "llama.cpp calls its RPC a proof of concept, fragile and insecure: anybody who reaches an rpc-server's port may "
    "take that machine over. Keep it within a network of your own, never on an open one.",
    "Over RPC the nodes work one after the other, not at once: it makes room, not speed. Every token waits for the "
    "network at each node.",
    "At its start the first node sends the weights to the others; -c keeps them there, so that the next start is fast.",
    "All nodes need the same build of llama.cpp, made with -DGGML_RPC=ON.",
)


def hardware_of(fleet: Fleet, ram_bytes: int) -> Hardware:
    """The GPUs as llama.cpp orders them, remote ones first, and the main memory of the first node."""
    own = "ROCm" if fleet.kind.is_amd else "CUDA"
    n_remote = fleet.per_node * (fleet.n_nodes - 1)
    names = [*(f"RPC{at}" for at in range(n_remote)), *(f"{own}{at}" for at in range(fleet.per_node))]
    size = fleet.kind.reported_bytes
    gpus = tuple(Device(name, "gpu", size, size) for name in names)
    return Hardware(Device("RAM", "ram", max(0, ram_bytes - _SYSTEM_BYTES), ram_bytes), gpus)


@dataclass(frozen=True, slots=True)
class LlamaPlan:
    """A plan, and the largest context with which nothing is read from disk again and again; 0 where none fits."""

    plan: Plan
    largest_context: int


def plan_llama(card: ModelCard, hardware: Hardware, wanted: Wanted, prompt_tokens: int = 0) -> LlamaPlan:
    """The plan for so many tokens. Where neither a context was asked for nor a prompt is there, it is for most of the
    largest context. Raises as make_plan does."""

    def measure(card: ModelCard, placement: Placement) -> Measured:
        """The estimate, with compute buffers on every GPU that has layers."""
        guessed = estimate(card, placement)
        on_gpus = [(gpu.name, guessed.compute_bytes) for gpu in hardware.gpus] if placement.n_gpu_layers else []
        return replace(guessed, buffers=(("CPU", guessed.compute_bytes), *on_gpus))

    planner = Planner(card, hardware, measure)
    largest = _largest(planner, replace(wanted, n_ctx=None, reply_tokens=1))
    if not wanted.n_ctx and not prompt_tokens and largest * _KEPT > wanted.reply_tokens:
        wanted = replace(wanted, n_ctx=largest if largest == card.window else int(largest * _KEPT) // 1024 * 1024)
    plan = make_plan(card, prompt_tokens=prompt_tokens, wanted=wanted, hardware=hardware, measure=measure)
    estimated = tuple(dict.fromkeys((*plan.estimated, "compute_bytes", "runtime_bytes")))
    return LlamaPlan(replace(plan, estimated=estimated), largest)


def _largest(planner: Planner, wanted: Wanted) -> int:
    """In steps of 256 tokens."""

    def fits(n_steps: int) -> bool:
        n_ctx = min(planner.card.window, n_steps * 256)
        plan = planner.fitting(0, replace(wanted, n_ctx=n_ctx))
        return plan is not None and not any(need.is_tight for need in plan.needs)

    low, high = 0, -(-planner.card.window // 256)
    if fits(high):
        return planner.card.window
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low * 256


def launch_llama(plan: Plan, fleet: Fleet, model: str) -> Launch:
    """The lines that start it. model: the option that names the file, -m FILE or -hf REPOSITORY."""
    options = tuple(_options(plan, fleet, model))
    commands = []
    if fleet.n_nodes > 1:
        commands.append(Command("every other node", f"rpc-server -H 0.0.0.0 -p {RPC_PORT} -c"))
    line = " ".join(("llama-server", *(option.text for option in options)))
    commands.append(Command("the first node" if fleet.n_nodes > 1 else "the node", line))
    url = f"http://{HEAD if fleet.n_nodes > 1 else 'localhost'}:{PORT}"
    return Launch(tuple(commands), options, _WARNINGS if fleet.n_nodes > 1 else (), url)


def _options(plan: Plan, fleet: Fleet, model: str) -> Iterator[Option]:
    placement = plan.placed
    yield Option(model, "the model's file")
    yield Option(f"-c {placement.n_ctx}", "the context: prompt and reply together")
    yield Option("-np 1", "one request at a time: more would divide the context among them")
    if placement.n_gpu_layers:
        n_layers = placement.n_gpu_layers
        yield Option(
            f"-ngl {n_layers}", "so many layers, counted from the last, on the GPUs; the output is one of them"
        )
    else:
        yield Option("-ngl 0", "all layers in main memory: the GPUs only help with some of the work")
    if placement.expert_layers_in_ram:
        why = "the experts of the first so many layers stay in main memory: of them a token uses a few"
        yield Option(f"--n-cpu-moe {placement.expert_layers_in_ram}", why)
    if not placement.kv_on_gpu:
        yield Option("--no-kv-offload", "the KV cache lies in main memory")
    if placement.kv_type != "f16":
        yield Option(f"-ctk {placement.kv_type} -ctv {placement.kv_type}", "how keys and values are stored")
    if placement.n_ubatch != 512:
        yield Option(f"-ub {placement.n_ubatch}", "tokens computed at once")
    if placement.swa_full:
        yield Option("--swa-full", "layers with a window keep every token")
    if len([share for share in placement.tensor_split if share]) > 1:
        shares = ",".join(f"{share:g}" for share in placement.tensor_split)
        yield Option(f"-ts {shares}", "layers on each GPU, in the order in which llama.cpp lists them")
    if fleet.n_nodes > 1:
        nodes = ",".join(f"NODE{at + 2}:{RPC_PORT}" for at in range(fleet.n_nodes - 1))
        yield Option(f"--rpc {nodes}", "the other nodes' rpc-servers")
    yield Option("--host 0.0.0.0", "other machines may ask; 127.0.0.1 keeps it on this one")


def named_file(path: str) -> str:
    """The option for a file."""
    return f"-m {shlex.quote(path)}"
