"""What an engine must know of a model to be planned for: its layers' KV caches, heads and weights. Values, pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Sees(StrEnum):
    """What a layer keeps of the tokens before."""

    ALL = "all"
    WINDOW = "window"  # the last so many
    CHUNK = "chunk"  # those of its own chunk (Llama 4)
    STATE = "state"  # a state of fixed size (linear attention), whatever came before


@dataclass(frozen=True, slots=True)
class LayerKv:
    """The KV cache of one layer.

    n_elements: of K and V of one token over all KV heads; n_kv_heads: by which they can be divided among GPUs, 0 where
    every GPU holds all of it (MLA). window: tokens that a layer with a window or chunk sees. state_bytes: of a request,
    in a layer that keeps a state instead.
    """

    n_elements: int
    n_kv_heads: int
    sees: Sees = Sees.ALL
    window: int = 0
    state_bytes: int = 0

    def elements_on(self, tensor_parallel: int) -> int:
        """Of one token on each of so many GPUs; KV heads are repeated where there are more GPUs than heads."""
        if not self.n_kv_heads:
            return self.n_elements
        return self.n_elements // self.n_kv_heads * max(1, self.n_kv_heads // tensor_parallel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Weights that are published, or that would come of a precision.

    precision: bf16, fp8, int4, nvfp4, or a GGUF's quantization. name: what an engine loads, a repository or a path.
    is_exact: whether n_bytes are counted, not reckoned. source: where the figure is from. min_gpus_kind: '' for all.
    """

    precision: str
    name: str
    n_bytes: int
    is_exact: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model as an engine sees it.

    window: tokens that it was trained for. n_ff: the widest feed-forward that a token meets. rope_elements: of one
    position in the engine's table of angles, which is as long as the window. checkpoints: its weights by precision, the
    usual one first. notes: sentences on what is not certain. kv_is_exact: else its KV cache is an upper bound.
    """

    name: str
    architecture: str
    window: int
    n_vocab: int
    n_embd: int
    n_ff: int
    n_heads: int
    n_kv_heads: int
    layers: tuple[LayerKv, ...] = field(repr=False)
    checkpoints: tuple[Checkpoint, ...]
    n_experts: int = 0
    sees_images: bool = False
    rope_elements: int = 128
    kv_is_exact: bool = True
    notes: tuple[str, ...] = ()

    def checkpoint(self, precision: str) -> Checkpoint | None:
        """The weights of a precision; 'auto' is the usual one."""
        if precision == "auto":
            return self.checkpoints[0]
        return next((each for each in self.checkpoints if each.precision == precision), None)

    @property
    def has_windows(self) -> bool:
        """Whether some layers keep less than all tokens, and others keep all."""
        return any(layer.sees in (Sees.WINDOW, Sees.CHUNK) for layer in self.layers)

    @property
    def has_chunks(self) -> bool:
        return any(layer.sees is Sees.CHUNK for layer in self.layers)

    @property
    def is_latent(self) -> bool:
        """Multi-head latent attention: every GPU holds the whole KV cache."""
        return any(layer.n_elements and not layer.n_kv_heads for layer in self.layers)

    def in_full(self) -> "ServedModel":
        """The same with every layer keeping every token, as an engine does that knows no windows."""
        layers = tuple(
            replace(layer, sees=Sees.ALL, window=0) if layer.sees in (Sees.WINDOW, Sees.CHUNK) else layer
            for layer in self.layers
        )
        return replace(self, layers=layers)


def largest_stage(layers: Sequence[LayerKv], n_stages: int) -> int:
    """How many layers the fullest of so many pipeline stages has."""
    return -(-len(layers) // n_stages)
