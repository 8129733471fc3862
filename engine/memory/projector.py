"""A vision projector (mmproj): what turns images into a model's embeddings, and whether it belongs to a model.

Read from the GGUF header alone. What an image costs by it is left to engine.tokens, running it to engine.runtime.
Fields and tensors: llama.cpp 0c1e57098, tools/mtmd/clip-impl.h and clip.cpp (clip_n_mmproj_embd).
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import commonprefix
from pathlib import Path

from engine.errors import ModelRefused
from engine.gguf import Header, read_header
from engine.memory.card import ModelCard, ModelFile

# the tensor whose dimension is the width of the embeddings, where the field for it cannot be trusted or is another's
_WIDTHS = {
    "llama4": ("mm.model.fc.weight", 1),
    "gemma3": ("mm.input_projection.weight", 0),
    "idefics3": ("mm.model.fc.weight", 1),
    "qwen2vl_merger": ("mm.2.bias", 0),
    "qwen2.5vl_merger": ("mm.2.bias", 0),
    "qwen3vl_merger": ("mm.2.bias", 0),  # of one layer's embeddings; deepstack gives more of the same width
    "internvl": ("mm.model.mlp.3.weight", 1),
    "pixtral": ("mm.2.weight", 1),
}
LLAMA4 = "llama4"
_OWN = {LLAMA4: "llama4", "gemma3": "gemma3"}  # kinds and the one architecture that reads them, and them alone
_SCALE = ("clip.vision.projector.scale_factor", "clip.vision.spatial_merge_size")
_PIECES = {LLAMA4: 10, "idefics3": 17}  # that an image is cut into at most, as its real models have it
_OWN_SIZE = ("gemma3",)  # images are scaled to the projector's own size
_ANY_SIZE = ("qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger")  # images keep theirs, up to a limit
_MASKED = ("qwen2.5vl_merger",)  # windows: a mask of every patch against every other, in 4, 2 and 4 bytes
_DEPTHS = {"qwen3vl_merger": 4}  # embeddings a cell: three layers' beside the last one's
_LARGEST_PATCHES = 4096  # where nothing is known
_LARGEST_IMAGE = 8192  # pixels a side, llama.cpp's own limit
# No descriptor or memory left, a disk or a server that does not answer.
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN, errno.ESTALE, errno.ETIMEDOUT}
_MOST_CANDIDATES = 64  # files of a folder that are looked into


@dataclass(frozen=True, slots=True)
class Projector:
    """One mmproj file.

    kind: as llama.cpp names it ('llama4', 'gemma3', 'qwen2.5vl_merger', ...), which decides how it counts an image.
    image_size, patch_size: pixels of a tile's or a whole image's side (0 where any size goes), and of a patch's.
    merge: patches a side that become one token; 1 where the file does not say, and llama.cpp may know better.
    n_embd: the width of the embeddings it makes; a model must read as wide ones. 0 where the file does not say.
    files: its one file, as a model's card names its own. width, n_ff: of the encoder's own layers, 0 where the file
    does not say.
    """

    path: Path
    name: str
    kind: str
    image_size: int
    patch_size: int
    merge: int
    n_embd: int
    n_bytes: int
    files: tuple[ModelFile, ...] = field(default=(), repr=False)
    width: int = 0
    n_ff: int = 0

    @property
    def tile_tokens(self) -> int:
        """Tokens of one image of image_size a side."""
        return (self.image_size // self.patch_size // self.merge) ** 2

    def memory_bytes(self, n_cells: int) -> int:
        """About what it takes beside the model for an image of so many embeddings [estimate, rather too much]: its
        weights; on their way through a layer, the patches of what it encodes at once; what mtmd makes of the pixels;
        and the embeddings. Attention is computed bit by bit and adds next to nothing, but for Qwen 2.5's masks.

        mtmd reserves for the images that come: its warm-up at a size of its own is left out. Against the most that a
        child grew by, in MiB: Llama 4's of 24 layers 1,024 wide 708 / 685, Gemma 3's of 27, 1,152 wide, 1,014 / 996,
        Idefics 3's of 12 layers 768 wide 285 / 271, Qwen 2 VL's of 8 layers 1,280 wide 463 / 437 for 560 pixels a side
        and 869 / 828 for 1,400; tiny ones up to 26 too much, 74 for an image of 9 million pixels. Unmeasured: Qwen
        2.5's masks.
        """
        n_patches = self._patches(n_cells)
        layer = 4 * n_patches * (4 * self.width + self.n_ff)
        pixels = 12 * _PIECES.get(self.kind, 1) * self.image_size**2 + 36 * n_patches * self.patch_size**2
        masks = 10 * n_patches**2 if self.kind in _MASKED else 0
        embeddings = 12 * n_cells * self.n_embd * _DEPTHS.get(self.kind, 1)
        return self.n_bytes + layer + pixels + masks + embeddings + (24 << 20)

    def _patches(self, n_cells: int) -> int:
        """The most patches that are encoded at once, where an image takes so many embeddings."""
        fixed = (self.image_size // self.patch_size) ** 2
        if self.kind in _PIECES or self.kind in _OWN_SIZE:
            return fixed
        shown = n_cells * self.merge**2
        return shown if self.kind in _ANY_SIZE else max(fixed or _LARGEST_PATCHES, shown)

    def refusal(self, card: ModelCard) -> str:
        """Why it is not this model's, as the end of a sentence; '' where nothing says so: llama.cpp asks for the width
        alone, and a stranger of the same width is read as noise."""
        kinds = [kind for kind, architecture in _OWN.items() if architecture == card.architecture]
        if _OWN.get(self.kind, card.architecture) != card.architecture or self.kind not in (kinds or [self.kind]):
            return f"the mmproj is of the kind {self.kind}, the model a {card.architecture}"
        if self.n_embd not in (0, card.n_embd):
            return f"the mmproj makes {self.n_embd:,} wide embeddings, the model reads {card.n_embd:,}"
        return ""


def read_projector(path: Path) -> Projector:
    """Raises ModelRefused: no readable GGUF, no projector, none for images, or sizes that make no sense."""
    header = read_header(path)
    if header.text("general.architecture") != "clip":
        raise ModelRefused(
            f"{path} is no vision projector: it is a {header.text('general.architecture') or 'nameless'} model.",
            "Name the mmproj file that was made for the model.",
        )
    kind = header.text("clip.projector_type") or header.text("clip.vision.projector_type")
    if not kind or header.metadata.get("clip.has_vision_encoder") is not True:
        raise ModelRefused(f"{path} is a projector, but not one for images.", "Name an mmproj file with vision.")
    image_size, patch_size = header.integer("clip.vision.image_size"), header.integer("clip.vision.patch_size")
    merge = next((value for key in _SCALE if (value := header.integer(key))), 1)
    in_limits = 0 <= image_size <= _LARGEST_IMAGE and 0 < patch_size < 1 << 16 and 0 < merge < 1 << 16
    if not in_limits or (kind == LLAMA4 and image_size < patch_size * merge):
        raise ModelRefused(
            f"{path} is malformed: images of {image_size} pixels, patches of {patch_size}, {merge} a side to a token.",
            "Download or convert it again.",
        )
    return Projector(
        path=path,
        name=header.text("general.name") or path.stem,
        kind=kind,
        image_size=image_size,
        patch_size=patch_size,
        merge=merge,
        n_embd=_width(header, kind),
        n_bytes=header.file_bytes,
        files=(ModelFile(path, header.file_bytes, header.data_start, header.digest),),
        width=header.integer("clip.vision.embedding_length"),
        n_ff=header.integer("clip.vision.feed_forward_length"),
    )


def projector_for(card: ModelCard, named: Path | None = None) -> Projector | None:
    """The named projector, or the one that lies beside the model and fits it best; None where none does.

    Raises ModelRefused for a named one that cannot be read or does not belong to the model.
    """
    if named is None:
        return next(iter(projectors_beside(card)), None)
    if not named.exists():
        raise ModelRefused(f"There is no projector file at {named}.", "Check the path after --mmproj.")
    projector = read_projector(named)
    if reason := projector.refusal(card):
        raise ModelRefused(
            f"{named.name} does not belong to {card.path.name}: {reason}.",
            "Name the mmproj file that was made for this model.",
        )
    return projector


def projectors_beside(card: ModelCard) -> tuple[Projector, ...]:
    """The projectors in the model's folder that may be its own, the likeliest first: named most like the model, then
    larger. Scout's and Maverick's are equally wide, so a folder that holds both is told apart by names alone."""
    fitting = [found for found in _beside(card) if isinstance(found, Projector)]
    model = card.path
    return tuple(sorted(fitting, key=lambda each: (-_likeness(model, each.path), -each.n_bytes, each.path.name)))


def unfit_beside(card: ModelCard) -> tuple[str, ...]:
    """A sentence for each file in the model's folder that is named like a projector and cannot serve."""
    return tuple(found for found in _beside(card) if isinstance(found, str))


def _beside(card: ModelCard) -> Iterator[Projector | str]:
    for path in candidates(card.path)[:_MOST_CANDIDATES]:
        try:
            found = read_projector(path)
        except ModelRefused as error:  # nobody named it: another may do
            if getattr(error.__context__, "errno", 0) in _PASSING:  # that says nothing of the file
                raise
            yield error.fact
            continue
        reason = found.refusal(card)
        yield f"{path.name} lies beside it, but {reason}." if reason else found


def candidates(model: Path) -> tuple[Path, ...]:
    """The files in the model's folder that are named like projectors, by name."""
    try:
        return tuple(sorted(path for path in model.parent.iterdir() if _is_named_so(path) and path.name != model.name))
    except OSError:
        return ()


def _is_named_so(path: Path) -> bool:
    return path.suffix.lower() == ".gguf" and "mmproj" in path.stem.lower()


def _likeness(model: Path, projector: Path) -> int:
    """Characters at their start that the two names share, 'mmproj' left out of the projector's."""
    bare = projector.stem.lower().replace("mmproj", "").strip("-_. ")
    return len(commonprefix([model.stem.lower(), bare]))


def _width(header: Header, kind: str) -> int:
    if kind in _WIDTHS:
        name, dim = _WIDTHS[kind]
        tensor = next((tensor for tensor in header.tensors if tensor.name == name), None)
        if tensor is not None and dim < len(tensor.dims):
            return tensor.dims[dim]
    return header.integer("clip.vision.projection_dim")
