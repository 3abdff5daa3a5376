"""The engine: linguistic units to samples with ONNX Runtime and numpy alone.

SAMBERT's decoder is autoregressive, one step of `outputs_per_step` frames at a time, and each step attends
to a band of its own past and of the text ahead. The loop runs here, on the host; the graphs are stateless,
so one engine may be used from several threads.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import Controls, emotion_weights, gains, pitch_shift, speaker_weights
from kubevoice.engine.vocoding import Vocoder
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.session import open_session
from kubevoice.text import Unit, UnitTables
from kubevoice.voice import Bundle, VoiceManifest, load_bundle

__all__ = ["Engine"]

Array = NDArray[np.float32]


class Engine:
    """One loaded voice."""

    def __init__(self, bundle: Bundle, *, threads: int = 1, opener: Callable[[Path, int], Any] = open_session) -> None:
        """Load the graphs of a checked bundle; `opener` is given each one's path and the threads to use."""
        self._bundle = bundle
        self.threads = threads
        self._tables = UnitTables.load(bundle.manifest.unit_language)
        sessions = (opener(bundle.path / f"{n}.onnx", threads) for n in ("encoder", "decoder", "postnet", "vocoder"))
        self._encoder, self._decoder, self._postnet, vocoder = sessions
        self._vocoder = Vocoder(vocoder, bundle.manifest)
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
        mel, gain = self._mel(units, controls)
        return self._vocoder.whole(mel) * gain

    def stream(self, units: Sequence[Unit], controls: Controls, *, frames: int = 48) -> Iterator[Array]:
        """Yield the samples that `speak` returns as they are made, `frames` mel frames at a time.

        The vocoder takes most of the time, so the first piece is there long before the last.
        """
        mel, gain = self._mel(units, controls)
        done = 0
        for piece in self._vocoder.pieces(mel, frames):
            yield piece * gain[done : done + len(piece)]
            done += len(piece)

    def _mel(self, units: Sequence[Unit], controls: Controls | Sequence[Controls]) -> tuple[Array, Array]:
        """Mel frames [T, M], in the space that acoustic model and vocoder share, and the samples' gain [T * hop]."""
        if not units:
            raise InputError("there is nothing to speak: no linguistic units were given")
        each = [controls] * len(units) if isinstance(controls, Controls) else controls
        memory, keys, values, durations, frames = self._encode(units, each)
        total = int(frames.sum())
        if total == 0:
            raise KubeVoiceError(f"voice {self.manifest.name} gave these {len(units)} units no duration at all")
        band = int(float(durations.max()) / self.manifest.outputs_per_step + 0.5)
        # The last step may go past the end; the postnet must not see those frames, nor did it in training.
        spoken = self._decode(memory, keys, values, band)[:total]
        mel: Array = self._postnet.run(None, {"mel": spoken})[0]
        return mel, gains([one.volume for one in each], frames * self.manifest.hop)

    def _encode(self, units: Sequence[Unit], controls: Sequence[Controls]) -> tuple[Any, ...]:
        """Return memory [S, D], its keys and values [L, S, C], durations [N] and frames [N]."""
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
        semitones = np.array([c.pitch for c in controls], np.float32)
        if semitones.any():
            # The shift is a ratio of the voice's own contour, so that must be known first. The encoder is
            # cheap beside the decoder and the vocoder.
            (contour,) = self._encoder.run(["pitch"], feeds)
            feeds["pitch_shift"] = pitch_shift(contour, manifest.stats, semitones)
        outputs = ["memory", "memory_keys", "memory_values", "durations", "frames"]
        return tuple(self._encoder.run(outputs, feeds))

    def _decode(self, memory: Array, keys: Array, values: Array, band: int) -> Array:
        """Run the autoregressive loop: mel [S * outputs_per_step, M] before the postnet.

        Step t sees its own states t - band .. t and the text's states t .. t + band.
        """
        steps, manifest = len(memory), self.manifest
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
        return mel.reshape(-1, manifest.mels)
