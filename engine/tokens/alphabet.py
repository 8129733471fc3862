"""Which characters a vocabulary has tokens for. What it lacks is said and left out, never replaced."""

from collections import Counter

from engine.tokens.vocabulary import Vocabulary

_SPACE = "\u2581"  # how SentencePiece writes a space


class Alphabet:
    """The characters that a vocabulary can represent, from its single bytes and, in SentencePiece, its pieces.

    llama.cpp drops a byte that a byte-level vocabulary lacks and ends the process on one that SentencePiece lacks;
    tiktoken panics. So texts are rid of them before any of the three sees them.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._missing = b""
        self._pieces: frozenset[str] = frozenset()
        if vocabulary.is_byte_level:
            self._missing = bytes(byte for byte in range(256) if bytes([byte]) not in vocabulary.ranks)
        elif vocabulary.family == "llama":
            self._pieces = frozenset(vocabulary.texts)
            self._missing = bytes(byte for byte in range(256) if f"<0x{byte:02X}>" not in self._pieces)

    def missing(self, text: str) -> Counter[str]:
        """The characters of a text that have no token, lone surrogates among them, with how often they occur."""
        if self._has_all(text):
            return Counter()
        missing = {character for character in set(text) if not self._has(character)}
        return Counter(character for character in text if character in missing)

    def representable(self, text: str) -> str:
        """The text without its missing characters."""
        missing = self.missing(text)
        return text.translate(dict.fromkeys(map(ord, missing))) if missing else text

    def _has_all(self, text: str) -> bool:
        """Quick, and False at worst: translating bytes costs a tenth of looking at characters."""
        try:
            raw = text.encode()
        except UnicodeEncodeError:
            return False
        return not self._missing or len(raw.translate(None, self._missing)) == len(raw)

    def _has(self, character: str) -> bool:
        if "\ud800" <= character <= "\udfff":
            return False
        piece = _SPACE if character == " " else character
        return piece in self._pieces or not any(byte in self._missing for byte in character.encode())
