"""The engine: linguistic units to samples with ONNX Runtime and numpy alone.

SAMBERT's decoder is autoregressive, one step of `outputs_per_step` frames at a time, and each step attends
to a band of its own past and of the text ahead. The loop runs here, on the host; the graphs are stateless,
so one engine may be used from several threads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import Controls, emotion_weights, gains, pitch_shift, speaker_weights
from kubevoice.engine.intensity import exaggerated
from kubevoice.engine.refining import PostNet, Refinement
from kubevoice.engine.vocoding import Vocoder, Vocoding
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.session import open_session
from kubevoice.text import Unit, UnitTables
from kubevoice.voice import Bundle, VoiceManifest, load_bundle

__all__ = ["Encoded", "Engine"]

Array = NDArray[np.float32]
ENCODED = ("memory", "memory_keys", "memory_values", "durations", "frames")
FIRST_FRAMES, MOST_FRAMES = 36, 96
"""Mel frames that are decoded before the first piece of a stream, and before any later one at most."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder makes of N units: all that is known of a sentence before any of it is decoded."""

    memory: Array
    """[S, D], a state for each of the decoder's steps."""
    keys: Array
    values: Array
    """Of the memory, [L, S, C] each."""
    durations: Array
    """Mel frames of each unit [N] before they are rounded."""
    frames: NDArray[np.int64]
    """Mel frames that each unit is spoken for [N]; a frame is `manifest.hop` samples."""
    volumes: tuple[float, ...]
    """Factor on the samples of each unit."""


class Engine:
    """One loaded voice."""

    def __init__(self, bundle: Bundle, *, threads: int = 1, opener: Callable[[Path, int], Any] = open_session) -> None:
        """Load the graphs of a checked bundle; `opener` is given each one's path and the threads to use."""
        self._bundle = bundle
        self.threads = threads
        self._tables = UnitTables.load(bundle.manifest.unit_language)
        sessions = (opener(bundle.path / f"{n}.onnx", threads) for n in ("encoder", "decoder", "postnet", "vocoder"))
        self._encoder, self._decoder, postnet, vocoder = sessions
        self._postnet, self._vocoder = PostNet(postnet), Vocoder(vocoder, bundle.manifest)
        self.manner = bundle.manner()
        """How the voice reads text."""

    @classmethod
    def load(cls, bundle_dir: Path, *, threads: int = 1) -> Self:
        """Load a voice bundle from a folder, checking every file against its digest."""
        return cls(load_bundle(bundle_dir), threads=threads)

    @property
    def manifest(self) -> VoiceManifest:
        """What the bundle says about itself."""
        return self._bundle.manifest

    @property
    def revision(self) -> str:
        """The bundle's digest."""
        return self._bundle.digest

    @property
    def sample_rate(self) -> int:
        """Samples per second of what `synthesize` returns."""
        return self.manifest.sample_rate

    def synthesize(
        self,
        units: Sequence[Unit],
        *,
        speaker: str | int | None = None,
        emotion: str | None = None,
        intensity: float = 1.0,
        speed: float = 1.0,
        pitch: float = 0.0,
        volume: float = 1.0,
    ) -> Array:
        """Speak one sentence: mono samples [T], not yet limited to [-1, 1] if `volume` exceeds 1.

        Raises InputError if there are no units, a control is out of range or the voice lacks the speaker or
        emotion.
        """
        return self.speak(units, Controls(speaker, emotion, intensity, speed, pitch, volume))

    def speak(self, units: Sequence[Unit], controls: Controls | Sequence[Controls]) -> Array:
        """`synthesize`, its wishes in one value, or in one for each unit."""
        return np.concatenate(list(self.stream(units, controls)))

    def stream(
        self, units: Sequence[Unit], controls: Controls | Sequence[Controls], *, frames: int = FIRST_FRAMES
    ) -> Iterator[Array]:
        """Yield the samples that `speak` returns as they are made; raises as `synthesize` does.

        The first piece comes after `frames` mel frames were decoded, and each one after it is twice as long, for then
        there is something to listen to meanwhile, and fewer pieces cost less.
        """
        each = [controls] * len(units) if isinstance(controls, Controls) else controls
        yield from self.decode(self.encode(units, each), frames=frames)

    def encode(self, units: Sequence[Unit], controls: Sequence[Controls]) -> Encoded:
        """Prepare one sentence for `decode`; raises as `synthesize` does."""
        if not units:
            raise InputError("there is nothing to speak: no linguistic units were given")
        memory, keys, values, durations, frames = self._encode(units, controls, ENCODED)
        if not frames.any():
            raise KubeVoiceError(f"voice {self.manifest.name} gave these {len(units)} units no duration at all")
        return Encoded(memory, keys, values, durations, frames, tuple(one.volume for one in controls))

    def decode(self, encoded: Encoded, *, frames: int = FIRST_FRAMES) -> Iterator[Array]:
        """Yield the samples of a sentence as `stream` does."""
        gain = gains(encoded.volumes, encoded.frames * self.manifest.hop)
        refinement, vocoding = Refinement(self._postnet), Vocoding(self._vocoder)
        memory, keys, values, total = encoded.memory, encoded.keys, encoded.values, int(encoded.frames.sum())
        band = int(float(encoded.durations.max()) / self.manifest.outputs_per_step + 0.5)
        spoken = 0
        for mel, last in self._decode(memory, keys, values, band, total, frames):
            audio = vocoding.push(refinement.push(mel, last=last), last=last)
            if len(audio):
                yield audio * gain[spoken : spoken + len(audio)]
                spoken += len(audio)

    def frames(self, units: Sequence[Unit], controls: Sequence[Controls]) -> NDArray[np.int64]:
        """Return how many mel frames [N] `stream` speaks each unit for; the encoder alone tells.

        A frame is `manifest.hop` samples. Raises InputError for what the voice cannot speak.
        """
        found: NDArray[np.int64] = self._encode(units, controls, ["frames"])[0]
        return found

    def _encode(self, units: Sequence[Unit], controls: Sequence[Controls], outputs: Sequence[str]) -> tuple[Any, ...]:
        """Return the outputs of the encoder that are asked for."""
        count, manifest = len(units), self.manifest
        rows = {one: row for row, one in enumerate(dict.fromkeys(controls))}
        row_of = np.array([rows[one] for one in controls])
        feeds = self._tables.encode(units) | {
            "emotion_weights": np.stack([emotion_weights(manifest, c.emotion, c.intensity) for c in rows])[row_of],
            "speaker_weights": np.stack([speaker_weights(manifest, c.speaker) for c in rows])[row_of],
            "duration_scale": np.array([1.0 / c.speed for c in controls], np.float32),
            "pitch_shift": np.zeros(count, np.float32),
            "energy_shift": np.zeros(count, np.float32),
        }
        extra = np.array([max(0.0, c.intensity - 1.0) for c in controls], np.float32)
        if extra.any():
            rest = np.tile(emotion_weights(manifest, None, 1.0), (count, 1))
            feeds |= exaggerated(self._encoder.run, feeds, rest, extra, manifest.stats)
        semitones = np.array([c.pitch for c in controls], np.float32)
        if semitones.any():
            # The shift is a ratio of the voice's own contour, so that must be known first. The encoder is
            # cheap beside the decoder and the vocoder.
            (contour,) = self._encoder.run(["pitch"], feeds)
            feeds["pitch_shift"] = feeds["pitch_shift"] + pitch_shift(contour, manifest.stats, semitones)
        return tuple(self._encoder.run(list(outputs), feeds))

    def _decode(
        self, memory: Array, keys: Array, values: Array, band: int, total: int, size: int
    ) -> Iterator[tuple[Array, bool]]:
        """Run the autoregressive loop: yield mel [T, M] before the postnet in blocks, and which block is the last.

        Step t sees its own states t - band .. t and the text's states t .. t + band. The first block has `size` frames
        or a few more.
        """
        steps, manifest = len(memory), self.manifest
        begin = 0
        mel = np.empty((steps, manifest.outputs_per_step, manifest.mels), np.float32)
        past_keys, past_values = np.empty_like(keys), np.empty_like(values)
        frame = np.zeros(manifest.mels, np.float32)
        run, outputs = self._decoder.run, ["frames", "key", "value"]
        for t in range(steps):
            past, ahead = slice(max(0, t - band), t), slice(t, t + band + 1)
            mel[t], past_keys[:, t], past_values[:, t] = run(
                outputs,
                {
                    "frame": frame,
                    "memory": memory[t],
                    "memory_keys": keys[:, ahead],
                    "memory_values": values[:, ahead],
                    "past_keys": past_keys[:, past],
                    "past_values": past_values[:, past],
                },
            )
            frame = mel[t, -1]
            last, end = t == steps - 1, (t + 1) * manifest.outputs_per_step
            if last or end - begin >= size:
                # The last step may go past the end; the postnet must not see those frames, nor did it in training.
                yield mel.reshape(-1, manifest.mels)[begin : min(end, total)], last
                begin, size = end, min(2 * size, MOST_FRAMES)
