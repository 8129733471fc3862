"""A model that is open for reading: all that counting and laying out need, with nothing of it loaded to run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from engine.corpus.source import Source
from engine.gguf import read_header
from engine.memory.card import ModelCard, read_card
from engine.memory.fingerprint import fingerprint
from engine.memory.projector import LLAMA4, Projector, projector_for, unfit_beside
from engine.prompt.layout import Exchange, Prompt, lay_out
from engine.prompt.template import ChatTemplate, read_template
from engine.tokens.documents import Document, IdCache, encode_documents
from engine.tokens.encode import Tokenizer, open_tokenizer
from engine.tokens.sight import Sight
from engine.tokens.tiles import MOST_TILES


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model's card, tokenizer and chat template; where it sees, its projector and what that makes of pictures.

    unfit: where it does not, a sentence for each file beside it that is named like a projector and cannot serve.
    """

    card: ModelCard
    tokenizer: Tokenizer
    template: ChatTemplate
    projector: Projector | None = None
    sight: Sight | None = None
    unfit: tuple[str, ...] = ()

    def documents(
        self, sources: Sequence[Source], cache: IdCache, numbers: Mapping[str, int] | None = None
    ) -> tuple[Document, ...]:
        """Every source as ids; see encode_documents."""
        return encode_documents(self.tokenizer, sources, cache, sight=self.sight, numbers=numbers)

    def limited(self, max_tiles: int) -> "OpenModel":
        """The same, but its images are scaled down to that many tiles at most."""
        return replace(self, sight=self.sight.limited(max_tiles)) if self.sight is not None else self

    def tokens_within(self, document: Document, max_tiles: int) -> int:
        """What a document would take if its images were scaled down to that many tiles; as it is, where it has none."""
        if self.sight is None or not self.sight.has_tiles:
            return document.n_tokens
        limited = self.sight.limited(max_tiles)
        views = [(shown.view, limited.view(shown.file, document.digest, shown.picture)) for shown in document.shown]
        return document.n_tokens - sum(view.n_tokens - other.n_tokens for view, other in views)

    def close(self) -> None:
        """Ends the children that count."""
        self.tokenizer.close()
        if self.sight is not None:
            self.sight.close()

    def prompt(self, exchanges: Sequence[Exchange], *, system: str, today: date) -> Prompt:
        """The prompt that asks the last exchange's question; see engine.prompt.layout.lay_out."""
        return lay_out(exchanges, system=system, template=self.template, tokenizer=self.tokenizer, today=today)


def open_model(
    path: Path,
    *,
    cache: Path | None = None,
    mmproj: Path | None = None,
    separators: bool = True,
    max_tiles: int = MOST_TILES,
) -> OpenModel:
    """Reads a GGUF's header, vocabulary and template. cache: see open_tokenizer.

    mmproj: the projector, None for the one that lies beside the model. separators, max_tiles: see Sight.
    Raises ModelRefused, also for a projector that is not the model's.
    """
    header = read_header(path)
    card = read_card(header)
    tokenizer = open_tokenizer(header, cache=cache)
    vocabulary = tokenizer.vocabulary
    template = read_template(
        header.text("tokenizer.chat_template"),
        bos=vocabulary.text_of(tokenizer.facts.bos_id),
        eos=vocabulary.text_of(vocabulary.eos_id),
    )
    projector = projector_for(card, mmproj)
    if projector is None:
        return OpenModel(card, tokenizer, template, unfit=unfit_beside(card))
    sight = Sight(
        path,
        projector.path,
        is_tiled=projector.kind == LLAMA4,
        digest=fingerprint(projector),
        side=projector.image_size,
        tile_tokens=projector.tile_tokens,
        specials=vocabulary.specials,
        separators=separators,
        max_tiles=max_tiles,
    )
    return OpenModel(card, tokenizer, template, projector, sight)
