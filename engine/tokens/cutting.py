"""Where a text that is too long for an encoder in one go is cut; the parts' ids are joined, nothing is lost."""

import re

from engine.tokens.vocabulary import Vocabulary

# tiktoken's regex engine panics at 10^6 white-space characters in a row, llama.cpp's recursion overflows an 8 MiB
# stack at 50,000 characters of one kind [measured]: longer runs are cut, the same way for both
_LONGEST_RUN = 200_000
_LONG_RUN = re.compile(rf"(?<!\s)\s{{{_LONGEST_RUN},}}|(?<!\S)\S{{{_LONGEST_RUN},}}")
_SLICE = 8_192  # characters


class Cutter:
    """Cuts texts for one vocabulary.

    llama.cpp's SentencePiece copies all ids so far at every character that is in no piece: 200,000 emojis take 8 s
    [measured]. A cut behind such a character changes no id, since nothing merges with it.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._apart: re.Pattern[str] | None = None
        if vocabulary.family == "llama":
            pieces = "".join(vocabulary.texts).replace("\u2581", "\u2581 ")
            self._apart = re.compile("[^" + re.escape("".join(sorted(set(pieces)))) + "]")

    def cut(self, text: str) -> list[str]:
        """The text in parts, in order; one part where it is short or nothing asks for a cut."""
        cuts = [0]
        if self._apart is not None and len(text) > _SLICE:
            for match in self._apart.finditer(text):
                if match.end() - cuts[-1] >= _SLICE:
                    cuts.append(match.end())
        elif len(text) > _LONGEST_RUN:
            for match in _LONG_RUN.finditer(text):
                cuts += range(match.start() + _LONGEST_RUN, match.end(), _LONGEST_RUN)
        return [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]
