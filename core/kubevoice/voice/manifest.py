"""The manifest of a voice bundle, voice.json."""

from typing import Literal

from pydantic import Field, JsonValue

from kubevoice.validation import CamelModel

__all__ = ["GRAPHS", "Emotion", "VoiceManifest", "VoiceStats"]

GRAPHS = ("encoder.onnx", "decoder.onnx", "postnet.onnx", "vocoder.onnx")
"""The four networks of every bundle."""


class Emotion(CamelModel):
    """An emotion that the voice was trained on: its label and its row in the embedding table."""

    label: str
    id: int = Field(ge=0)


class VoiceStats(CamelModel):
    """Means and standard deviations by which F0 (Hz) and energy were normalised in training."""

    pitch_mean: float
    pitch_std: float = Field(gt=0)
    energy_mean: float
    energy_std: float = Field(gt=0)


class VoiceManifest(CamelModel):
    """The content of voice.json."""

    format: Literal[1] = 1
    name: str
    language: str = "zh"
    english: bool = False
    """Whether it was trained on English phones; if not, English words become Mandarin syllables."""
    sample_rate: int = Field(gt=0)
    hop: int = Field(gt=0)
    mels: int = Field(gt=0)
    outputs_per_step: int = Field(gt=0)
    speakers: tuple[str, ...] = Field(min_length=1)
    """A speaker's row in the embedding table is its place in this list."""
    speaker_rows: int = Field(gt=0)
    """Rows of the speaker table, the width of the graphs' speaker weights."""
    emotions: tuple[Emotion, ...] = Field(min_length=1)
    emotion_rows: int = Field(gt=0)
    styles: tuple[str, ...] = ()
    vocoder_context: tuple[int, int] | None = None
    """Frames before and after a frame that its samples depend on; None where the vocoder must see all at once."""
    unit_language: str = "PinYin"
    base: str | None = None
    dataset_digest: str | None = None
    training: dict[str, JsonValue] = Field(default_factory=dict)
    stats: VoiceStats
    metrics: dict[str, float] = Field(default_factory=dict)
    attribution: tuple[str, ...] = ()
    export_max_abs_diff: dict[str, float] = Field(default_factory=dict)
    """Largest difference between each ONNX graph and the torch network it was made from."""
    files: dict[str, str] = Field(default_factory=dict)
    """Path of every other file of the bundle and its SHA-256 in hex."""
