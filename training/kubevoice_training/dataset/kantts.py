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


def _read_emotion_tags(tags: str) -> dict[str, str]:
    """Read lines of `ID emotion_NAME`."""
    pairs = [line.split() for line in tags.splitlines() if line.strip()]
    return {pair[0]: pair[1].removeprefix("emotion_") for pair in pairs if len(pair) == 2}


def read_prosody(data: bytes, tags: bytes = b"") -> list[DatasetRow]:
    """Parse prosody.txt: a line with id and marked text, and below it a line of pinyin.

    Lines that are neither, such as those for filled pauses, are ignored. Faults of single utterances are not reported
    here; `check_dataset` finds them.

    Parameters
    ----------
    data
        Content of prosody.txt, in UTF-8.
    tags
        Content of emotion_tag.txt; empty if there is none, in which case every utterance is neutral.

    Returns
    -------
    list of DatasetRow
        A row for each utterance.

    Raises
    ------
    InputError
        If there is no utterance, or there are more than `MAX_ROWS`, or a file is not UTF-8.
    """
    emotions = _read_emotion_tags(decode_text(tags, EMOTION_TAGS))
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
