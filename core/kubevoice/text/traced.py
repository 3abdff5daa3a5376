"""Text that remembers where it came from."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

__all__ = ["Origin", "Traced"]

Origin = int | None


@dataclass(frozen=True, slots=True)
class Traced:
    """A text and, for each of its characters, the code-point index of the input that it stands for.

    The origin is None where a stage made the character: 五 of "5" is nowhere in the input.
    """

    text: str
    origins: tuple[Origin, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """Return an input as it is."""
        return cls(text, tuple(range(len(text))))

    @classmethod
    def join(cls, parts: Iterable["Traced"]) -> Self:
        """Return texts one after another."""
        found = list(parts)
        origins = tuple(origin for part in found for origin in part.origins)
        return cls("".join(part.text for part in found), origins)

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, part: slice) -> "Traced":
        return Traced(self.text[part], self.origins[part])

    def __add__(self, other: "Traced") -> "Traced":
        return Traced(self.text + other.text, self.origins + other.origins)

    def sub(self, pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]) -> "Traced":
        """Replace every match; what `replacement` returns has no origin, unless it is the match itself."""
        texts: list[str] = []
        origins: list[Origin] = []
        at = 0
        for found in pattern.finditer(self.text):
            made = replacement(found)
            if made == found[0]:
                continue
            texts += [self.text[at : found.start()], made]
            origins += [*self.origins[at : found.start()], *[None] * len(made)]
            at = found.end()
        if not at and not texts:
            return self
        return Traced("".join(texts) + self.text[at:], (*origins, *self.origins[at:]))

    def translate(self, change: Callable[[str], str]) -> "Traced":
        """Change each character on its own; all that one became keeps its origin, and "" drops it."""
        made = [change(character) for character in self.text]
        origins = [origin for new, origin in zip(made, self.origins, strict=True) for _ in new]
        return Traced("".join(made), tuple(origins))

    def strip(self) -> "Traced":
        """Return it without white space at either end."""
        start = len(self.text) - len(self.text.lstrip())
        return self[start : max(start, len(self.text.rstrip()))]
