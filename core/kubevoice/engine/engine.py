"""The engine: linguistic units to samples with ONNX Runtime and numpy alone.

The encoder sees a sentence at once; decoder, postnet and vocoder go on by pieces, and their states are each
utterance's own. The graphs are stateless, so one engine may be used from several threads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import Controls, emotion_weights, gains, pitch_shift, speaker_weights
from kubevoice.engine.decoding import Batch, Decoder, Decoding, Memory
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
FIRST_FRAMES = 36
"""Mel frames that are decoded before the first piece of a stream."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder makes of N units: all that is known of a sentence before any of it is decoded."""

    memory: Memory
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
        self._encoder, decoder, postnet, vocoder = sessions
        self._decoder = Decoder(decoder, bundle.manifest.outputs_per_step, bundle.manifest.mels)
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
        states, keys, values, durations, frames = self._encode(units, controls, ENCODED)
        if not frames.any():
            raise KubeVoiceError(f"voice {self.manifest.name} gave these {len(units)} units no duration at all")
        # As in the reference, a step sees as far to either side as the longest unit lasts.
        band = int(float(durations.max()) / self.manifest.outputs_per_step + 0.5)
        return Encoded(Memory(states, keys, values, band, int(frames.sum())), frames, tuple(c.volume for c in controls))

    def decode(self, encoded: Encoded, *, frames: int = FIRST_FRAMES, batch: Batch | None = None) -> Iterator[Array]:
        """Yield the samples of a sentence as `stream` does.

        With others in a batch its decoder's steps are made together with theirs, by one thread; the samples are the
        same, and an empty piece comes wherever another of them may go first.
        """
        gain = gains(encoded.volumes, encoded.frames * self.manifest.hop)
        refinement, vocoding = Refinement(self._postnet), Vocoding(self._vocoder)
        spoken = 0
        for mel, last in Decoding(self._decoder, encoded.memory).blocks(batch or Batch(), frames):
            audio = vocoding.push(refinement.push(mel, last=last), last=last) if len(mel) else np.zeros(0, np.float32)
            if len(audio) or batch:
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
