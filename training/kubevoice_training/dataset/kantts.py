"""KAN-TTS' standard folder: wav/ID.wav, prosody/prosody.txt and, optionally, emotion_tag.txt.

docs/reference/kantts-format.md describes it.

Its interval/ files are not read: durations are learned, as they are for any other dataset.
"""

import re

from kubevoice.errors import InputError
from kubevoice.text import is_han

from kubevoice_training.dataset.prosody import strip_boundaries
from kubevoice_training.dataset.rows import MAX_ROWS, DatasetRow, decode_text

__all__ = ["EMOTION_TAGS", "PROSODY", "read_prosody"]

PROSODY = "prosody/prosody.txt"
EMOTION_TAGS = "emotion_tag.txt"
HEAD = re.compile(r"(\S+)[\t ]+(.+)")


def _emotions(tags: str) -> dict[str, str]:
    """Read lines of `ID emotion_NAME`."""
    pairs = [line.split() for line in tags.splitlines() if line.strip()]
    return {pair[0]: pair[1].removeprefix("emotion_") for pair in pairs if len(pair) == 2}


def read_prosody(data: bytes, tags: bytes = b"") -> list[DatasetRow]:
    """Parse prosody.txt: a line with id and marked text, and below it a line of pinyin.

    Lines that are neither, such as those for filled pauses, are passed over. Raises InputError if there is no
    utterance in it; faults of single ones are the caller's to find.
    """
    emotions = _emotions(decode_text(tags, EMOTION_TAGS))
    lines = decode_text(data, PROSODY).splitlines()
    rows: list[DatasetRow] = []
    for number, line in enumerate(lines):
        head = HEAD.fullmatch(line.rstrip())
        if head is None or line[0].isspace() or not any(is_han(c) for c in head[2]):
            continue
        if len(rows) >= MAX_ROWS:
            raise InputError(f"{PROSODY} has more than {MAX_ROWS} utterances; split the dataset")
        below = lines[number + 1].strip() if number + 1 < len(lines) else ""
        pinyin = "" if any(is_han(c) for c in below) else below
        name, marked = head[1], head[2].strip()
        fields = {"id": name, "text": strip_boundaries(marked), "wav_path": f"wav/{name}.wav", "speaker": ""}
        fields["emotion"] = emotions.get(name, "neutral")
        rows.append(DatasetRow(f"{PROSODY} line {number + 1}", fields, f"{marked}\n{pinyin}"))
    if not rows:
        raise InputError(f"{PROSODY} has no utterance; write an id, a tab and the text, and the pinyin below it")
    return rows
