"""How a model is divided among GPUs: tensor, pipeline and expert parallel sizes that the engines accept. Pure."""

from dataclasses import dataclass

from engine.errors import UsageError
from engine.memory.cluster.kinds import Fleet
from engine.memory.cluster.served import ServedModel


@dataclass(frozen=True, slots=True)
class Split:
    """tensor: GPUs that share each layer. pipeline: groups of layers, one after the other. experts: whole experts go to
    different GPUs, instead of a slice of every expert to each."""

    tensor: int
    pipeline: int
    experts: bool = False


def tensor_sizes(model: ServedModel, most: int) -> tuple[int, ...]:
    """The tensor parallel sizes that are possible: attention heads divide evenly, and KV heads do or are repeated."""
    return tuple(size for size in range(1, most + 1) if _divides(model, size))


def _divides(model: ServedModel, size: int) -> bool:
    if model.n_heads % size:
        return False
    n_kv = model.n_kv_heads
    return model.is_latent or n_kv % size == 0 or size % n_kv == 0


def split(
    model: ServedModel,
    fleet: Fleet,
    *,
    tensor: int | None = None,
    pipeline: int | None = None,
    experts: bool = False,
) -> Split:
    """The wanted sizes, or the usual ones: as many GPUs of a node as can share a layer, the rest one after the other.

    Raises UsageError for sizes that the model or the GPUs do not allow.
    """
    tensor = tensor if tensor is not None else _usual_tensor(model, fleet, pipeline)
    _check_tensor(model, fleet, tensor)
    pipeline = pipeline if pipeline is not None else fleet.n_gpus // tensor
    if tensor * pipeline != fleet.n_gpus:
        raise UsageError(
            f"--tp {tensor} with --pp {pipeline} takes {tensor * pipeline} GPUs, and there are {fleet.n_gpus}.",
            "Their product must be the number of GPUs on all nodes.",
        )
    if pipeline > len(model.layers):
        raise UsageError(
            f"{model.name} has {len(model.layers)} layers, too few for {pipeline} stages.", "Use fewer GPUs."
        )
    if experts and not model.n_experts:
        raise UsageError(f"{model.name} has no experts.", "Leave --expert-parallel out.")
    if experts and model.n_experts % tensor:
        raise UsageError(
            f"The {model.n_experts} experts of {model.name} cannot be divided among {tensor} GPUs.",
            "Use another --tp, or leave --expert-parallel out.",
        )
    return Split(tensor, pipeline, experts)


def _usual_tensor(model: ServedModel, fleet: Fleet, pipeline: int | None) -> int:
    if pipeline is not None:
        if pipeline < 1 or fleet.n_gpus % pipeline:
            raise UsageError(f"{fleet.n_gpus} GPUs cannot be divided into {pipeline} stages.", "Use another --pp.")
        return fleet.n_gpus // pipeline
    return max(size for size in tensor_sizes(model, fleet.per_node) if fleet.per_node % size == 0)


def _check_tensor(model: ServedModel, fleet: Fleet, tensor: int) -> None:
    if _divides(model, tensor) and fleet.n_gpus % tensor == 0:
        return
    sizes = [size for size in tensor_sizes(model, fleet.n_gpus) if fleet.n_gpus % size == 0]
    possible = ", ".join(map(str, sizes))
    if model.n_heads % tensor:
        fact = f"The {model.n_heads} attention heads of {model.name} cannot be divided among {tensor} GPUs."
    elif not _divides(model, tensor):
        fact = (
            f"The {model.n_kv_heads} KV heads of {model.name} can be neither divided among {tensor} GPUs nor repeated "
            "evenly."
        )
    else:
        fact = f"{fleet.n_gpus} GPUs are no multiple of {tensor}."
    raise UsageError(fact, f"With {fleet.n_gpus} GPUs --tp may be {possible}; the rest is --pp, stages of layers.")
