"""A model that is open for reading: all that counting and laying out need, with nothing of it loaded to run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from engine.gguf import read_header
from engine.memory.card import ModelCard, read_card
from engine.prompt.layout import Exchange, Prompt, lay_out
from engine.prompt.template import ChatTemplate, read_template
from engine.tokens.encode import Tokenizer, open_tokenizer


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model's card, tokenizer and chat template."""

    card: ModelCard
    tokenizer: Tokenizer
    template: ChatTemplate

    def prompt(self, exchanges: Sequence[Exchange], *, system: str, today: date) -> Prompt:
        """The prompt that asks the last exchange's question; see engine.prompt.layout.lay_out."""
        return lay_out(exchanges, system=system, template=self.template, tokenizer=self.tokenizer, today=today)


def open_model(path: Path, *, cache: Path | None = None) -> OpenModel:
    """Reads a GGUF's header, vocabulary and template. cache: see open_tokenizer. Raises ModelRefused."""
    header = read_header(path)
    card = read_card(header)
    tokenizer = open_tokenizer(header, cache=cache)
    vocabulary = tokenizer.vocabulary
    template = read_template(
        header.text("tokenizer.chat_template"),
        bos=vocabulary.text_of(tokenizer.facts.bos_id),
        eos=vocabulary.text_of(vocabulary.eos_id),
    )
    return OpenModel(card, tokenizer, template)
