"""Closing marks that no mark opened: whether one ends thoughts, or an answer speaks of it.

A template that opens a thought in its prompt, where nobody sees it, lets a model write "thoughts</think>answer". The
rule is docs/command-line.md's: such a mark ends thoughts unless it stands in code, between quotes or within a sentence,
or its opening mark stands before it. Which marks come into question, and cutting there, is left to `parting`.
"""

import re
from collections.abc import Iterable
from enum import Enum, auto
from unicodedata import east_asian_width

from engine.prompt.marks import Mark

_SIGNS = re.compile(r"[<\[|\u25c1]")  # no one writes it in passing; "Here is my response:" is no such mark
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})(.*)")
_INLINE = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)")
_LISTED = re.compile(r"\s*(?:[-*+>|#]+|\d{1,3}[.)])")  # what a list item, a row or a heading begins with
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019\u00bb)\]*_]*$")
_OPEN = "([{<=/\\\u201c\u2018\u00ab"  # right before a mark, these name it
_AROUND = "\"'*_|~"  # these too, where no word stands before them
_GOES_ON = ",;:.!?)]}"  # behind it, the sentence goes on


class Ends(Enum):
    """What a closing mark does."""

    YES = auto()  # it ends thoughts
    NO = auto()
    FENCED = auto()  # it stands in a block of code, if that has an end
    OPEN = auto()  # what follows decides


def telling(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """Those whose closing marks tell by themselves what they are; the longer ones first."""
    return tuple(sorted((mark for mark in marks if _SIGNS.search(mark.closing)), key=lambda each: -len(each.closing)))


def judged(before: str, after: str, mark: Mark, *, last: bool, control: bool = False) -> Ends:
    """Whether thoughts end at a closing mark. before: all that was said; after: what is there behind it, all of it
    where it is the last. control: it came as a token that stands for nothing else, which is no word of a sentence."""
    bare, fence = _without_code(before)
    if fence and not (last and not _is_closed(fence, after)):
        return Ends.FENCED
    line = bare[bare.rfind("\n") + 1 :]
    if "`" in line or bare.rfind(mark.opening) > bare.rfind(mark.closing):
        return Ends.NO
    return Ends.YES if control else _between_sentences(line, after, last=last)


def _between_sentences(line: str, after: str, *, last: bool) -> Ends:
    """line: what stands before it on its line."""
    rest = after.partition("\n")[0]
    follows = rest.lstrip()[:1]
    if not follows and "\n" not in after and not last:
        return Ends.OPEN
    goes_on = rest[:1].isspace() and follows.islower()
    if rest[:1] and rest[0] in _GOES_ON:
        return Ends.NO
    head = line.rstrip()
    if not head:
        return Ends.NO if goes_on else Ends.YES
    if _LISTED.fullmatch(head) or _opens(line):
        return Ends.NO
    if line != head:
        return Ends.YES if _SENTENCE_END.search(head) and not goes_on else Ends.NO
    return Ends.NO if _is_wide(head[-1]) and _is_wide(rest[:1]) else Ends.YES


def _opens(line: str) -> bool:
    """Whether it ends with a sign that names what follows it."""
    word = line.rstrip(_AROUND)
    return line[-1] in _OPEN or (word != line and (not word or word[-1].isspace() or word[-1] in _OPEN))


def _is_wide(character: str) -> bool:
    """Whether it is a letter of a script that writes no spaces between words."""
    return character.isalpha() and east_asian_width(character) in "WF"


def _without_code(text: str) -> tuple[str, str]:
    """The text without blocks of code that have an end, and without code in lines; and the fence of the block in which
    it ends, '' for none."""
    bare: list[str] = []
    fence, at = "", 0
    for line in text.split("\n"):
        found = _FENCE.fullmatch(line)
        if not fence:
            if found and not (found[1][0] == "`" and "`" in found[2]):
                fence, at = found[1], len(bare)
            bare.append(_INLINE.sub("", line))
        elif found and _closes(fence, found):
            del bare[at:]
            bare.append("")
            fence = ""
        else:
            bare.append(line)
    return "\n".join(bare), fence


def _is_closed(fence: str, after: str) -> bool:
    return any((found := _FENCE.fullmatch(line)) and _closes(fence, found) for line in after.split("\n")[1:])


def _closes(fence: str, found: re.Match[str]) -> bool:
    return found[1].startswith(fence) and not found[2].strip()
