"""A chat as templates are given it, and as they write it. Values only; rendering is left to `rendering`."""

from dataclasses import dataclass

Content = str | tuple[str, ...]  # a tuple stands for a list of parts, each of them text
Message = tuple[str, Content] | tuple[str, Content, str]  # role, content, and what was thought before it
Turns = tuple[Message, ...]
Variables = tuple[tuple[str, str | bool | int], ...]  # what the template is told: bos_token, enable_thinking, ...


@dataclass(frozen=True, slots=True)
class Rendered:
    """One conversation as the template writes it, or a clause that says why it does not.

    line: of the template, where it failed; 0 where nobody can tell.
    """

    text: str = ""
    fault: str = ""
    line: int = 0

    @property
    def reason(self) -> str:
        """The fault with its line; '' where there is none."""
        return f"{self.fault} (line {self.line})" if self.line else self.fault
