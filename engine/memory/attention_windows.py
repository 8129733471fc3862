"""Which layers of a model see a window of the context only, by llama.cpp's rule for its architecture.

Source: load_arch_hparams in src/models/*.cpp, and set_swa_pattern in src/llama-hparams.cpp. Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Windows:
    """For each layer whether it sees a window only, and that window in tokens; 0 without any.

    exact: whether llama.cpp's rule for this architecture is known; if not, no layer is said to have a window.
    """

    flags: tuple[bool, ...]
    n_tokens: int
    exact: bool


@dataclass(frozen=True, slots=True)
class _Rule:
    """period: in so many layers one is global, the last or, with global_first, the first of them.

    unsaid: the window in tokens where the file says nothing of it. always: the window whatever the file says.
    needs_one: the architecture has windows even where the file says 0, and what llama.cpp makes of that is not known.
    """

    period: int
    unsaid: int = 0
    always: int = 0
    global_first: bool = False
    needs_one: bool = False


_RULES = {
    "llama4": _Rule(4, unsaid=8192, always=8192),  # chunks
    "gemma2": _Rule(2, unsaid=4096, needs_one=True),
    "gemma3": _Rule(6),
    "gpt-oss": _Rule(2, needs_one=True),
    "cohere2": _Rule(4, needs_one=True),
    "olmo2": _Rule(4),
    "smallthinker": _Rule(4, always=4096, global_first=True),
    "exaone4": _Rule(4, unsaid=4096, needs_one=True),
}
_NEVER = ("llama", "qwen2", "qwen3", "phi3")  # whatever the file says
_EXAONE_WITH_WINDOWS = 64  # layers; the smaller model of that architecture has none


def windows_of(architecture: str, n_layers: int, *, said: int, pattern: object) -> Windows:
    """The windows of a model with so many layers.

    said: the file's attention.sliding_window in tokens, -1 where it is missing. pattern: its
    attention.sliding_window_pattern, None where it is missing.
    """
    none = (False,) * n_layers
    if architecture in _NEVER or (architecture == "exaone4" and n_layers != _EXAONE_WITH_WINDOWS):
        return Windows(none, 0, exact=True)
    if architecture not in _RULES:
        return Windows(none, 0, exact=said <= 0)
    rule = _RULES[architecture]
    n_tokens = rule.unsaid if said < 0 else said
    if n_tokens <= 0:
        return Windows(none, 0, exact=not rule.needs_one)
    return Windows(_flags(rule, n_layers, pattern), rule.always or n_tokens, exact=True)


def _flags(rule: _Rule, n_layers: int, pattern: object) -> tuple[bool, ...]:
    """The file may overrule the rule: with a flag for each layer, or with another period."""
    if isinstance(pattern, list):
        return tuple(bool(flag) for flag in (pattern + [False] * n_layers)[:n_layers])
    period = pattern if isinstance(pattern, int) else rule.period
    if period <= 0:
        return (True,) * n_layers
    if rule.global_first:
        return tuple(at % period != 0 for at in range(n_layers))
    return tuple(at % period < period - 1 for at in range(n_layers))
