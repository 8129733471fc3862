"""What a GGUF is for that is no language model that writes text: refused where it is opened, with what to give instead.

A file tells by `general.type`, its architecture, its fields, or the names of its tensors; files from before
`general.type` only by the last three. Names of architectures: llama.cpp, src/llama-arch.cpp; of others, the programs
that write such files (stable-diffusion.cpp, whisper.cpp, ComfyUI-GGUF).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from engine.errors import ModelRefused
from engine.memory.header import AnyHeader

_A_CHAT_MODEL = "Name the GGUF of a chat model, such as a Llama, Qwen or Gemma."
_MODELS_OWN = "Name the model's own GGUF with --model"
_EMBEDDERS = frozenset(
    ("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert", "jina-bert-v2", "jina-bert-v3",
     "eurobert", "gemma-embedding", "llama-embed", "roberta", "xlm-roberta", "distilbert", "mpnet", "deberta")
)  # fmt: skip
_ENCODER_DECODERS = frozenset(
    ("t5", "mt5", "flan-t5", "bart", "mbart", "marian", "m2m_100", "nllb", "pegasus", "madlad")
)
_TEXT_ENCODERS = frozenset(("t5encoder", "umt5", "clip_l", "clip_g", "clip-text", "text-encoder"))
_DIFFUSION = frozenset(("dream", "llada", "llada-moe", "llada2", "rnd1", "diffucoder", "sdar", "diffusion-gemma"))
_PICTURES = frozenset(
    ("flux", "flux2", "sd1", "sd2", "sd3", "sdxl", "wan", "ltxv", "hyvid", "hidream", "lumina2", "lumina", "aura",
     "qwen_image", "cosmos", "chroma", "z_image", "mochi", "pixart", "kandinsky", "pig", "diffusion", "vae")
)  # fmt: skip
_VOICES = frozenset(
    ("wavtokenizer-dec", "qwen3tts", "pockettts", "parler-tts", "parler", "kokoro", "dia", "snac", "bark",
     "csm-vocoder", "mimi", "vocos", "encodec", "bigvgan")
)  # fmt: skip
_LISTENERS = frozenset(("whisper", "parakeet", "canary", "moonshine", "wav2vec2"))
_DRAFTS = frozenset(("eagle", "eagle2", "eagle3", "dflash", "medusa", "gemma4-assistant"))
_POOLINGS = {1: "mean", 2: "CLS", 3: "last token"}
_RANK = 4
_LORA = re.compile(r"\.lora_[ab]$")


@dataclass(frozen=True, slots=True)
class _Look:
    """What of a file its purpose shows in; of a split one the first header has the fields, all have tensors."""

    header: AnyHeader
    type: str
    architecture: str
    names: frozenset[str]

    @property
    def path(self) -> str:
        return str(self.header.path)

    def has_key(self, *starts: str) -> bool:
        return any(key.startswith(starts) for key in self.header.metadata)

    def has_tensor(self, *starts: str) -> bool:
        return any(name.startswith(starts) for name in self.names)

    def has_only(self, is_one: Callable[[str], bool]) -> bool:
        """Whether it has tensors, and all of them are such."""
        return bool(self.names) and all(map(is_one, self.names))

    def own(self, key: str) -> object:
        """A field of its architecture."""
        return self.header.metadata.get(f"{self.architecture}.{key}")

    @property
    def is_language_model(self) -> bool:
        return "token_embd.weight" in self.names


def refuse_other(parts: Sequence[AnyHeader]) -> None:
    """Raises ModelRefused for what is no language model, with what it is. parts: the headers of all its files."""
    names = frozenset(tensor.name for tensor in chain.from_iterable(part.tensors for part in parts))
    first = parts[0]
    look = _Look(first, first.text("general.type").lower(), first.text("general.architecture").lower(), names)
    for kind in _KINDS:
        if (refused := kind(look)) is not None:
            fact, remedy = refused
            raise ModelRefused(f"{look.path} is {fact}.", remedy)


def refuse_empty(parts: Sequence[AnyHeader]) -> None:
    """Raises ModelRefused for a file without a single tensor, which can count and nothing else."""
    if any(part.tensors for part in parts):
        return
    path = parts[0].path
    if len(parts[0].strings("tokenizer.ggml.tokens")):
        raise ModelRefused(
            f"{path} is a vocabulary alone: it holds no weights (0 tensors).",
            "Name the GGUF of the whole model.",
        )
    raise ModelRefused(f"{path} holds no weights: it has 0 tensors.", "Download or convert it again.")


_Refusal = tuple[str, str] | None


def _adapter(look: _Look) -> _Refusal:
    is_lora = any(map(_LORA.search, look.names)) or look.has_key("adapter.lora.")
    if look.type != "adapter" and not look.has_key("adapter.type") and not is_lora:
        return None
    kind = look.header.text("adapter.type") or "lora"
    if kind != "lora":
        return f"an adapter of the kind {kind}, not a model", f"{_MODELS_OWN}; Longdesk applies LoRA adapters alone."
    base = look.header.text("general.base_model.0.name")
    of = base or (f"a {look.architecture} model" if look.architecture else "a model")
    name = look.header.path.name
    return f"a LoRA adapter for {of}, not a model", f"Give it beside its model: --model MODEL.gguf --lora {name}."


def _matrix(look: _Look) -> _Refusal:
    is_named = "imatrix" in (look.type, look.architecture) or look.has_key("imatrix.")
    if not is_named and not look.has_only(lambda name: name.endswith((".in_sum2", ".counts"))):
        return None
    return "an importance matrix (imatrix), which is for quantizing a model, not a model", f"{_MODELS_OWN}."


def _projector(look: _Look) -> _Refusal:
    is_named = look.type in ("mmproj", "projector", "clip-vision") or look.architecture == "clip"
    has_parts = look.has_tensor("v.", "a.", "mm.") and not look.is_language_model
    if not is_named and not (look.has_key("clip.") or has_parts):
        return None
    hears = look.header.metadata.get("clip.has_audio_encoder") is True
    sees = look.header.metadata.get("clip.has_vision_encoder") is True or not hears
    if not sees:
        return "an audio projector, not a language model", f"{_MODELS_OWN}; Longdesk sends no sound."
    return "a vision projector, not a language model", f"{_MODELS_OWN}, and this one with --mmproj."


def _control_vector(look: _Look) -> _Refusal:
    is_named = look.architecture == "controlvector" or look.has_key("controlvector.")
    if not is_named and not look.has_only(lambda name: name.startswith("direction.")):
        return None
    return "a control vector, not a model", f"{_MODELS_OWN}; Longdesk applies no control vectors."


def _vocabulary(look: _Look) -> _Refusal:
    if look.type != "vocab":
        return None
    return "a vocabulary alone, without weights", "Name the GGUF of the whole model."


def _diffusion(look: _Look) -> _Refusal:
    if look.architecture not in _DIFFUSION and not look.has_key("diffusion."):
        return None
    return (
        f"a diffusion language model ({look.architecture}): it fills in a whole text at once, and has no KV cache that "
        "could be kept",
        _A_CHAT_MODEL,
    )


def _ranker(look: _Look) -> _Refusal:
    classifies = look.has_key(f"{look.architecture}.classifier.") or look.has_tensor("cls.")
    if look.own("pooling_type") != _RANK and not classifies:
        return None
    return f"a reranker or classifier ({look.architecture}): it scores texts and writes none", _A_CHAT_MODEL


def _embedder(look: _Look) -> _Refusal:
    pooling = look.own("pooling_type")
    if look.architecture in _EMBEDDERS or look.has_tensor("token_types"):
        why = look.architecture
    elif isinstance(pooling, int) and pooling in _POOLINGS:
        why = f"{look.architecture}, {_POOLINGS[pooling]} pooling"
    elif look.own("attention.causal") is False:
        why = f"{look.architecture}, which reads in both directions"
    else:
        return None
    return f"an embedding model ({why}): it makes vectors of texts and writes none", _A_CHAT_MODEL


def _pair(look: _Look) -> _Refusal:
    encodes, decodes = look.has_tensor("enc.blk.", "encoder."), look.has_tensor("dec.blk.", "decoder.")
    if look.architecture in _LISTENERS:
        return f"a model that writes down speech ({look.architecture}), not one that answers", _A_CHAT_MODEL
    if look.architecture in _TEXT_ENCODERS or (encodes and not decodes and look.architecture not in _ENCODER_DECODERS):
        return f"a text encoder ({look.architecture}), as image generators use it: it writes no text", _A_CHAT_MODEL
    if (
        look.architecture in _ENCODER_DECODERS
        or (encodes and decodes)
        or look.own("decoder_start_token_id") is not None
    ):
        return (
            f"an encoder-decoder model ({look.architecture}): it reads with one half and writes with the other, which "
            "Longdesk cannot run",
            _A_CHAT_MODEL,
        )
    return None


def _other_art(look: _Look) -> _Refusal:
    if look.architecture in _PICTURES or look.has_tensor("model.diffusion_model.", "first_stage_model."):
        return f"a model that makes pictures or film ({look.architecture or 'by its tensors'})", _A_CHAT_MODEL
    if look.architecture in _VOICES or look.has_key("wavtokenizer."):
        return f"a model that makes sound ({look.architecture}), a part of text to speech", _A_CHAT_MODEL
    if look.architecture in _DRAFTS:
        return (
            f"a draft model ({look.architecture}), which only guesses ahead for another one",
            f"{_MODELS_OWN}; Longdesk does without drafts.",
        )
    return None


_KINDS: Iterable[Callable[[_Look], _Refusal]] = (
    _adapter, _matrix, _control_vector, _projector, _vocabulary, _diffusion, _ranker, _pair, _other_art, _embedder,
)  # fmt: skip
