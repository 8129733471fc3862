"""The entries: which model at which quantization is published where, how large it is, and under which licence.

Sizes were published as bytes for two files, to three digits on Hugging Face's pages and in Unsloth's guide, and to
hundredths of a GiB by llama-bench. Where llama.cpp's own rule decides the types, the size is computed from it, which
agrees with every published one to the last digit. `size_source` says which it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from engine.memory.catalog.tensors import BEHEMOTH, MAVERICK, SCOUT, Dynamic, Shape, weight_bytes

LICENCE = "Llama 4 Community License"
LICENCE_URL = "https://www.llama.com/llama4/license/"
_HEADER_BYTES = 13_101_824  # before the weights: Scout's published Q3_K_S less its computed weights
_GIB = 1 << 30
_DEFAULT_QUANTIZATION = "q4_k_m"
_EXACT_TOLERANCE, _DYNAMIC_TOLERANCE = 0.01, 0.1  # dynamic files were published anew, up to 8 % smaller


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model at one quantization.

    repository: on Hugging Face, '' where there is none. files: paths in it as last seen, in order; () where its list
    was not seen. published_bytes: of all files, None where no number was found. estimated: figures of a plan that are
    estimates for this entry.
    """

    name: str
    shape: Shape = field(repr=False)
    quantization: str
    recipe: str | Dynamic = field(repr=False)
    repository: str
    files: tuple[str, ...]
    published_bytes: int | None
    size_source: str
    licence: str = LICENCE
    licence_url: str = LICENCE_URL
    estimated: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        return self.shape.title

    @property
    def size_bytes(self) -> int:
        """Bytes of all files: as published, or computed."""
        return self.published_bytes or weight_bytes(self.shape, self.recipe) + _HEADER_BYTES

    @property
    def size_is_published(self) -> bool:
        return self.published_bytes is not None

    @property
    def released(self) -> bool:
        return bool(self.repository)

    @property
    def weights_exact(self) -> bool:
        """Whether every tensor's type is known."""
        return "weights_bytes" not in self.estimated

    @property
    def weights_bytes(self) -> int:
        """What a plan shows for the weights: exact, or the published size where the types are not known."""
        return self.size_bytes if isinstance(self.recipe, Dynamic) else weight_bytes(self.shape, self.recipe)

    @property
    def size_tolerance(self) -> float:
        """The share by which a good file may differ from size_bytes."""
        return _DYNAMIC_TOLERANCE if isinstance(self.recipe, Dynamic) else _EXACT_TOLERANCE

    @property
    def stem(self) -> str:
        """What its files' names begin with; '' for a model that is not released."""
        name = self.repository.rpartition("/")[2].removesuffix("-GGUF")
        return f"{name}-{self.quantization}" if name else ""

    def owns(self, path: str) -> bool:
        """Whether a file's name is one of this entry's, split or whole, whatever its folder."""
        name = path.rpartition("/")[2]
        return bool(self.stem) and re.fullmatch(re.escape(self.stem) + r"(-\d{5}-of-\d{5})?\.gguf", name) is not None


@dataclass(frozen=True, slots=True)
class _Family:
    """One model's entries: their prefix, shape and repository."""

    prefix: str
    shape: Shape
    repository: str = ""

    def entry(
        self,
        quantization: str,
        *,
        recipe: str | Dynamic | None = None,
        n_parts: int | None = None,
        published_bytes: float = 0,
        source: str = "computed by llama.cpp's rule",
        estimated: tuple[str, ...] = (),
    ) -> Entry:
        """n_parts: of the files as seen in the repository, None where they were not seen."""
        return Entry(
            name=f"{self.prefix}-{quantization.lower()}",
            shape=self.shape,
            quantization=quantization,
            recipe=recipe or quantization,
            repository=self.repository,
            files=tuple(self._files(quantization, n_parts)) if n_parts else (),
            published_bytes=round(published_bytes) or None,
            size_source=source,
            estimated=estimated,
        )

    def dynamic(
        self, quantization: str, published_bytes: float, source: str, n_parts: int, recipe: str | Dynamic
    ) -> Entry:
        """Of Unsloth's dynamic quantizations, whose rules are not published."""
        return self.entry(
            quantization,
            recipe=recipe,
            n_parts=n_parts,
            published_bytes=published_bytes,
            source=source,
            estimated=_DYNAMIC,
        )

    def _files(self, quantization: str, n_parts: int) -> Iterator[str]:
        """As Unsloth lays them out: a lone file at the root, parts in a folder."""
        stem = f"{self.repository.rpartition('/')[2].removesuffix('-GGUF')}-{quantization}"
        if n_parts == 1:
            yield f"{stem}.gguf"
        for part in range(1, n_parts + 1) if n_parts > 1 else ():
            yield f"{quantization}/{stem}-{part:05d}-of-{n_parts:05d}.gguf"


_DYNAMIC = ("weights_bytes",)
_ALL = ("weights_bytes", "kv_bytes", "compute_bytes", "runtime_bytes")
_GUIDE = "Unsloth's guide"
_PAGE = "Hugging Face's page of the files"
_BENCH = "llama-bench"


def _scout() -> Iterator[Entry]:
    family = _Family("scout", SCOUT, "unsloth/Llama-4-Scout-17B-16E-Instruct-GGUF")
    yield family.entry("BF16", n_parts=5)
    yield family.entry("Q8_0", n_parts=3, source="computed by llama.cpp's rule; the files are 106.67 GiB")
    yield family.entry("Q6_K", n_parts=2, source="computed by llama.cpp's rule; llama-bench prints 82.35 GiB")
    yield family.entry("Q5_K_M", n_parts=2)
    yield family.entry("Q4_K_M", n_parts=2, source="computed by llama.cpp's rule; llama-bench prints 60.86 GiB")
    yield family.entry("Q4_K_S", n_parts=2)
    yield family.entry("Q3_K_M", n_parts=2, source="computed by llama.cpp's rule; llama-bench prints 48.19 GiB")
    yield family.entry("Q3_K_S", n_parts=1, published_bytes=46_740_372_480, source="the published file's bytes")
    yield family.entry("Q2_K", n_parts=1, source="computed by llama.cpp's rule; 36.8 GiB elsewhere")
    yield family.entry("Q2_K_L", n_parts=1, source="computed: Q2_K with embeddings at Q8_0", estimated=_DYNAMIC)
    for row in (
        ("UD-Q4_K_XL", 57.74 * _GIB, _BENCH, 2, _dynamic("Q4_K", "Q4_K", "Q6_K", 2)),
        ("UD-Q3_K_XL", 52.9e9, f"{_GUIDE}; the file is under 50 GB now", 1, _dynamic("Q3_K", "Q4_K", "Q4_K", 3)),
        ("UD-Q2_K_XL", 39.65 * _GIB, _BENCH, 1, _dynamic("Q2_K", "Q3_K", "Q3_K", 8)),
        ("UD-IQ2_XXS", 38.6e9, _GUIDE, 1, _dynamic("IQ2_XXS", "IQ2_S", "Q4_K", 9)),
        ("UD-IQ1_M", 35.4e9, _GUIDE, 1, _dynamic("IQ1_M", "IQ2_XXS", "Q4_K", 8, rest="Q5_K")),
        ("UD-IQ1_S", 33.8e9, _GUIDE, 1, _dynamic("IQ1_S", "IQ2_XXS", "Q4_K", 9)),
    ):
        yield family.dynamic(*row)


def _maverick() -> Iterator[Entry]:
    family = _Family("maverick", MAVERICK, "unsloth/Llama-4-Maverick-17B-128E-Instruct-GGUF")
    yield family.entry("BF16", n_parts=18, published_bytes=801_469_242_368, source="the published files' bytes")
    yield family.entry("Q8_0", n_parts=9, source="computed by llama.cpp's rule; 397 GiB elsewhere")
    yield family.entry("Q6_K")
    yield family.entry("Q5_K_M")
    yield family.entry("Q4_K_M", n_parts=5, source="computed by llama.cpp's rule; 243 GB elsewhere")
    yield family.entry("Q3_K_M")
    yield family.entry("Q2_K")
    for row in (
        ("UD-Q4_K_XL", 216.18 * _GIB, _BENCH, 5, _dynamic("Q4_K", "Q4_K", "Q5_K", 3)),
        ("UD-Q3_K_XL", 179.5e9, _PAGE, 4, _dynamic("Q3_K", "Q3_K", "Q4_K", 1, rest="Q6_K")),
        ("UD-Q2_K_XL", 142.16 * _GIB, _BENCH, 4, _dynamic("Q2_K", "Q3_K", "Q3_K", 4)),
        ("UD-IQ2_XXS", 135.3e9, _PAGE, 3, _dynamic("IQ2_XXS", "IQ2_S", "Q3_K", 8)),
        ("UD-IQ1_M", 127.5e9, _PAGE, 3, _dynamic("IQ1_M", "IQ2_XXS", "Q4_K", 5, rest="Q6_K")),
        ("UD-IQ1_S", 122e9, _GUIDE, 3, _dynamic("IQ1_S", "IQ2_XXS", "Q5_K", 4)),
    ):
        yield family.dynamic(*row)


def _behemoth() -> Iterator[Entry]:
    family = _Family("behemoth", BEHEMOTH)
    for quantization in ("BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"):
        yield family.entry(
            quantization, source="computed for a shape that fits the announced parameters", estimated=_ALL
        )


def _dynamic(gate_up: str, down: str, better: str, n_better: int, *, rest: str = "Q4_K") -> Dynamic:
    return Dynamic(gate_up=gate_up, down=down, better=better, n_better=n_better, rest=rest)


ENTRIES = (*_scout(), *_maverick(), *_behemoth())
_BY_NAME = {entry.name: entry for entry in ENTRIES}


def find(name: str) -> Entry | None:
    """The entry of a name, in any case; a model's name alone means its Q4_K_M."""
    wanted = name.strip().lower()
    return _BY_NAME.get(wanted) or _BY_NAME.get(f"{wanted}-{_DEFAULT_QUANTIZATION}")


def near(name: str) -> tuple[str, ...]:
    """Names that a mistyped one may have meant, the nearest first."""
    known = ("scout", "maverick", "behemoth", *_BY_NAME)
    return tuple(get_close_matches(name.strip().lower(), known, n=3, cutoff=0.55))
