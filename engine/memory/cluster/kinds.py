"""GPUs by name: the memory that each reports, the memory that it is sold with, and where both are said. Pure.

What counts is what the driver reports to a program (torch.cuda.mem_get_info, which is what vLLM and SGLang divide): it
is less than what is on the box. The reported figures are those of PyTorch's own out-of-memory messages ("GPU 0 has a
total capacity of 139.80 GiB"), as they stand in public logs; drivers differ by up to 0.3 GiB.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from engine.corpus.wording import printable
from engine.errors import UsageError

_GIB = 1 << 30
_MOST_GPUS, _MOST_NODES = 1024, 256
_LEAST_PART = 3  # characters of a name that are enough: 4090
_BLACKWELL = ("B200", "B300", "GB200", "DGX-SPARK", "RTX-50", "RTX-PRO")
_FLEETS = tuple(  # how many, and which: 8xH100, 8 H100, H100x8, H100:8
    re.compile(rf"^\s*{each}\s*$", re.IGNORECASE)
    for each in (
        r"(?P<count>[+-]?\d+(?:\.\d+)?)\s*[x*×]\s*(?P<kind>\S.*?)",
        r"(?P<count>\d{1,2})\s+(?P<kind>[a-z].*?)",
        r"(?P<kind>\S.*?)\s*(?:[*×:]|(?<=\s)x|(?<=[\dg])x)\s*(?P<count>\d{1,4})",
        r"(?P<kind>\S.*?)(?P<count>)",
    )
)
_MEMORY = re.compile(r"(?<![A-Z0-9.])(\d{1,4})[\s_-]*G(?:i?B)?(?![A-Z0-9])", re.IGNORECASE)
_BESIDE = re.compile(  # words of a name that tell no kind from another
    r"\b(?:NVIDIA|AMD|GEFORCE|INSTINCT|RADEON|TESLA|GPUS?|CARDS?|TENSOR CORE"
    r"|SXM\d?|PCIE?|OAM|HBM\d?E?|GDDR\d\w?|[DH]GX(?! SPARK))\b"
)
_OWN = re.compile(r"^(?P<name>[^=]+)=\s*(?P<size>\d+(?:\.\d+)?)\s*(?:G(?:i?B)?)?$", re.IGNORECASE)
_NVIDIA, _AMD = "https://www.nvidia.com/en-us/data-center/", "https://www.amd.com/en/products/accelerators/instinct/"
_GEFORCE = "https://www.nvidia.com/en-us/geforce/graphics-cards/"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuKind:
    """One kind of GPU. reported_bytes: as a program sees them; nominal_gb: on the box, 0 for one that a user named.

    has_fp8, has_fp4: it computes in 8-bit, in 4-bit floats. is_amd: it needs ROCm. source: the maker's page with the
    nominal figure.
    """

    name: str
    reported_bytes: int
    nominal_gb: int
    has_fp8: bool = True
    has_fp4: bool = False
    is_amd: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """GPUs of one kind: per_node on each of n_nodes machines."""

    kind: GpuKind
    per_node: int
    n_nodes: int = 1

    @property
    def n_gpus(self) -> int:
        return self.per_node * self.n_nodes

    def __str__(self) -> str:
        on = f" on each of {self.n_nodes} nodes" if self.n_nodes > 1 else ""
        return f"{self.per_node} x {self.kind.name}{on}"


def _kind(
    name: str, reported_gib: float, nominal_gb: int, page: str, *, fp8: bool = True, amd: bool = False
) -> GpuKind:
    return GpuKind(
        name=name,
        reported_bytes=round(reported_gib * _GIB),
        nominal_gb=nominal_gb,
        has_fp8=fp8,
        has_fp4=name.startswith(_BLACKWELL),
        is_amd=amd,
        source=page,
    )


KINDS = (
    _kind("H100-80G", 79.18, 80, f"{_NVIDIA}h100/"),
    _kind("H100-NVL", 93.10, 94, f"{_NVIDIA}h100/"),
    _kind("H200-141G", 139.80, 141, f"{_NVIDIA}h200/"),
    _kind("GH200-96G", 94.50, 96, f"{_NVIDIA}grace-hopper-superchip/"),
    _kind("H20-96G", 94.97, 96, "https://docs.nvidia.com/datacenter/"),
    _kind("B200-180G", 178.35, 180, f"{_NVIDIA}dgx-b200/"),
    _kind("B300-288G", 267.69, 288, f"{_NVIDIA}dgx-b300/"),
    _kind("GB200-186G", 184.31, 186, f"{_NVIDIA}gb200-nvl72/"),
    _kind("DGX-SPARK-128G", 119.61, 128, "https://www.nvidia.com/en-us/products/workstations/dgx-spark/"),
    _kind("A100-80G", 79.14, 80, f"{_NVIDIA}a100/", fp8=False),
    _kind("A100-40G", 39.38, 40, f"{_NVIDIA}a100/", fp8=False),
    _kind("A30-24G", 23.50, 24, f"{_NVIDIA}products/a30-gpu/", fp8=False),
    _kind("L40S-48G", 44.39, 48, f"{_NVIDIA}l40s/"),
    _kind("L4-24G", 22.03, 24, f"{_NVIDIA}l4/"),
    _kind("A10-24G", 22.06, 24, f"{_NVIDIA}products/a10-gpu/", fp8=False),
    _kind("A10G-24G", 22.05, 24, "https://aws.amazon.com/ec2/instance-types/g5/", fp8=False),
    _kind("T4-16G", 14.56, 16, f"{_NVIDIA}tesla-t4/", fp8=False),
    _kind("V100-32G", 31.73, 32, f"{_NVIDIA}v100/", fp8=False),
    _kind("RTX-3060", 11.63, 12, f"{_GEFORCE}30-series/rtx-3060-3060ti/", fp8=False),
    _kind("RTX-3090", 23.56, 24, f"{_GEFORCE}30-series/rtx-3090-3090ti/", fp8=False),
    _kind("RTX-4080", 15.57, 16, f"{_GEFORCE}40-series/rtx-4080-family/"),
    _kind("RTX-4090", 23.52, 24, f"{_GEFORCE}40-series/rtx-4090/"),
    _kind("RTX-5080", 15.48, 16, f"{_GEFORCE}50-series/rtx-5080/"),
    _kind("RTX-5090", 31.36, 32, f"{_GEFORCE}50-series/rtx-5090/"),
    _kind("RTX-A6000", 47.40, 48, "https://www.nvidia.com/en-us/design-visualization/rtx-a6000/", fp8=False),
    _kind("RTX-6000-ADA", 47.37, 48, "https://www.nvidia.com/en-us/design-visualization/rtx-6000/"),
    _kind("RTX-PRO-6000", 94.97, 96, "https://www.nvidia.com/en-us/products/workstations/professional-desktop-gpus/"),
    _kind("MI210-64G", 63.98, 64, f"{_AMD}mi200/mi210.html", fp8=False, amd=True),
    _kind("MI250X-64G", 63.98, 64, f"{_AMD}mi200/mi250x.html", fp8=False, amd=True),
    _kind("MI300X-192G", 191.69, 192, f"{_AMD}mi300/mi300x.html", amd=True),
    _kind("MI325X-256G", 255.69, 256, f"{_AMD}mi300/mi325x.html", amd=True),
    _kind("MI355X-288G", 287.98, 288, f"{_AMD}mi350/mi355x.html", amd=True),
)
_BY_NAME = {kind.name: kind for kind in KINDS}


def parse_fleet(text: str, *, n_nodes: int = 1) -> Fleet:
    """The GPUs of --gpus: 8xH100-80G, H200, "8 x H100 80GB" or 4xMYCARD=48G, on each of n_nodes machines.

    Raises UsageError for a kind that is not known, with near names, for several kinds at once, and for no GPU.
    """
    if not 1 <= n_nodes <= _MOST_NODES:
        raise UsageError(f"{n_nodes} nodes are no cluster.", f"Give --nodes from 1 to {_MOST_NODES}.")
    if "," in text or "+" in text or ";" in text:
        raise UsageError(
            f"--gpus {text} names several kinds of GPUs.",
            "These engines divide a model evenly, so that the smallest GPU decides: name that kind for all of them.",
        )
    match = next(filter(None, (form.match(text) for form in _FLEETS)), None)
    if match is None or not re.search("[a-z0-9]", match["kind"], re.IGNORECASE):
        raise UsageError("--gpus names no GPUs.", "Write how many and which: --gpus 8xH100-80G.")
    count = int(match["count"] or 1) if (match["count"] or "1").isdecimal() else 0
    if not 1 <= count <= _MOST_GPUS:
        raise UsageError(
            f"--gpus {printable(text)} is {match['count']} GPUs.",
            f"Give from 1 to {_MOST_GPUS}, on one node; --nodes says how many nodes.",
        )
    return Fleet(find_kind(match["kind"]), count, n_nodes)


def find_kind(name: str) -> GpuKind:
    """The GPU of a name, in any case: in full, or a part that one kind alone has, with its memory or without; or
    NAME=48G, of one's own. H100 alone is the usual one. Raises UsageError with near names."""
    if own := _OWN.match(name.strip()):
        return _own(own["name"].strip(), float(own["size"]))
    size = _MEMORY.search(name)
    memory, plain = int(size[1]) if size else None, _plain(_MEMORY.sub(" ", name))
    if not plain:
        raise UsageError(
            f"{printable(name.strip())} names no GPU.",
            "Name its kind, as in H100-80G; or NAME=48G, with its memory in GiB.",
        )
    found = _named(plain)
    meant = [kind for kind in found if memory in (None, kind.nominal_gb)] or (
        [kind for kind in _begun(plain) if kind.nominal_gb == memory] if memory is not None else []
    )
    if len(meant) == 1:
        return meant[0]
    if meant:
        names = " or ".join(kind.name for kind in meant)
        raise UsageError(f"{printable(name.strip())} may be any of several GPUs.", f"Did you mean {names}?")
    near = [kind.name for kind in found] or get_close_matches(name.strip().upper(), _BY_NAME, n=3, cutoff=0.5)
    known = f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(_BY_NAME)}."
    raise UsageError(
        f"The table has no GPU {printable(name.strip())}.", f"{known} Any other: NAME=48G, with its memory in GiB."
    )


def _named(plain: str) -> list[GpuKind]:
    """Those of a name, whatever their memory; else those whose name begins so, else those that have it within."""
    exact = [kind for kind in KINDS if _without_memory(kind) == plain]
    return (
        exact
        or _begun(plain)
        or [kind for kind in KINDS if len(plain) >= _LEAST_PART and plain in _without_memory(kind)]
    )


def _begun(plain: str) -> list[GpuKind]:
    return [kind for kind in KINDS if _without_memory(kind).startswith(plain)]


def _without_memory(kind: GpuKind) -> str:
    return _plain(_MEMORY.sub(" ", kind.name))


def _own(name: str, size: float) -> GpuKind:
    if not 1 <= size <= 4096:
        raise UsageError(f"A GPU with {size:g} GiB is none.", "Give its memory in GiB: NAME=48G.")
    return GpuKind(name=name, reported_bytes=round(size * _GIB), nominal_gb=0, source="as it was named")


def _plain(name: str) -> str:
    """Without what people leave out or write otherwise: nvidia_h100 hbm3, DGX H100 SXM, rtx-4090."""
    bare = _BESIDE.sub(" ", re.sub("[^A-Z0-9]+", " ", name.upper()))
    return re.sub(" ", "", bare)
