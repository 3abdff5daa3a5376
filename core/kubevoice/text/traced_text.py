"""Text that keeps, for each character, its position in the input."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

__all__ = ["Origin", "TracedText"]

Origin = int | None


@dataclass(frozen=True, slots=True)
class TracedText:
    """A text and, for each of its characters, the code-point index of the input that it stands for.

    The origin is None where a stage made the character: 五 of "5" is nowhere in the input.
    """

    text: str
    origins: tuple[Origin, ...]

    @classmethod
    def from_input(cls, text: str) -> Self:
        """Return an input, each character with its own index."""
        return cls(text, tuple(range(len(text))))

    @classmethod
    def join(cls, parts: Iterable["TracedText"]) -> Self:
        """Return texts one after another."""
        pieces = list(parts)
        origins = tuple(origin for part in pieces for origin in part.origins)
        return cls("".join(part.text for part in pieces), origins)

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, part: slice) -> "TracedText":
        return TracedText(self.text[part], self.origins[part])

    def __add__(self, other: "TracedText") -> "TracedText":
        return TracedText(self.text + other.text, self.origins + other.origins)

    def sub(self, pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]) -> "TracedText":
        """Replace every match; what `replacement` returns has no origin, unless it is the match itself."""
        texts: list[str] = []
        origins: list[Origin] = []
        at = 0
        for match in pattern.finditer(self.text):
            replaced = replacement(match)
            if replaced == match[0]:
                continue
            texts += [self.text[at : match.start()], replaced]
            origins += [*self.origins[at : match.start()], *[None] * len(replaced)]
            at = match.end()
        if not at and not texts:
            return self
        return TracedText("".join(texts) + self.text[at:], (*origins, *self.origins[at:]))

    def translate(self, change: Callable[[str], str]) -> "TracedText":
        """Change each character on its own; all that one became keeps its origin, and "" drops it."""
        made = [change(character) for character in self.text]
        origins = [origin for new, origin in zip(made, self.origins, strict=True) for _ in new]
        return TracedText("".join(made), tuple(origins))

    def strip(self) -> "TracedText":
        """Return it without white space at either end."""
        start = len(self.text) - len(self.text.lstrip())
        return self[start : max(start, len(self.text.rstrip()))]
