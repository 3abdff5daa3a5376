"""Text that keeps, for each character, its position in the input."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

__all__ = ["Origin", "TracedText"]

Origin = int | None


@dataclass(frozen=True, slots=True)
class TracedText:
    """A text with the origin of each of its characters.

    Attributes
    ----------
    text
        The text, T characters.
    origins
        For each character, the code-point index in the input that it stands for, [T]; None where a stage made it: 五 of
        "5" is not in the input.
    """

    text: str
    origins: tuple[Origin, ...]

    @classmethod
    def from_input(cls, text: str) -> Self:
        """Trace an input, each character to its own index.

        Parameters
        ----------
        text
            The input.

        Returns
        -------
        TracedText
            The traced text.
        """
        return cls(text, tuple(range(len(text))))

    @classmethod
    def join(cls, parts: Iterable["TracedText"]) -> Self:
        """Concatenate texts.

        Parameters
        ----------
        parts
            Texts with origins of the same input.

        Returns
        -------
        TracedText
            All of them in order.
        """
        texts = list(parts)
        origins = tuple(origin for part in texts for origin in part.origins)
        return cls("".join(part.text for part in texts), origins)

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, part: slice) -> "TracedText":
        return TracedText(self.text[part], self.origins[part])

    def __add__(self, other: "TracedText") -> "TracedText":
        return TracedText(self.text + other.text, self.origins + other.origins)

    def sub(self, pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]) -> "TracedText":
        """Replace every match of a pattern.

        Parameters
        ----------
        pattern
            The pattern.
        replacement
            Returns the replacement of a match. It has no origin, unless it equals the match.

        Returns
        -------
        TracedText
            The new text.
        """
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

    def unwrap(self, pattern: re.Pattern[str]) -> "TracedText":
        """Replace every match of a pattern by its last group.

        Parameters
        ----------
        pattern
            A pattern with groups, the last of which matches.

        Returns
        -------
        TracedText
            The new text; what is kept has its origins.
        """
        parts: list[TracedText] = []
        at = 0
        for match in pattern.finditer(self.text):
            parts += [self[at : match.start()], self[match.start(pattern.groups) : match.end(pattern.groups)]]
            at = match.end()
        return TracedText.join([*parts, self[at:]]) if parts else self

    def translate(self, change: Callable[[str], str]) -> "TracedText":
        """Change each character on its own.

        Parameters
        ----------
        change
            Returns the characters that one becomes; "" removes it. They keep its origin.

        Returns
        -------
        TracedText
            The new text.
        """
        changed = [change(character) for character in self.text]
        origins = [origin for new, origin in zip(changed, self.origins, strict=True) for _ in new]
        return TracedText("".join(changed), tuple(origins))

    def strip(self) -> "TracedText":
        """Return the text without white space at either end.

        Returns
        -------
        TracedText
            A part of this text.
        """
        start = len(self.text) - len(self.text.lstrip())
        return self[start : max(start, len(self.text.rstrip()))]
