"""The engine: linguistic units to samples with ONNX Runtime and numpy alone.

The encoder processes a whole sentence; decoder, postnet and vocoder work in blocks, with a state for each utterance.
The graphs have no state of their own, so one engine may be used from several threads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import Controls, build_gain_curve, compute_pitch_shift, emotion_weights, speaker_weights
from kubevoice.engine.decoder import DecoderScheduler, DecoderSession, DecoderState, EncoderMemory
from kubevoice.engine.intensity import extrapolate_emotion
from kubevoice.engine.postnet import PostNetSession, PostNetState
from kubevoice.engine.vocoder import VocoderSession, VocoderState
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.session import open_session
from kubevoice.text import Unit, UnitTables
from kubevoice.voice import Bundle, VoiceManifest, load_bundle

__all__ = ["Encoded", "Engine"]

Array = NDArray[np.float32]
ENCODED = ("memory", "memory_keys", "memory_values", "durations", "frames")
FIRST_CHUNK_FRAMES = 36
"""Mel frames that are decoded before the first chunk of a stream."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The encoder's output for the N units of a sentence: all that decoding needs.

    Attributes
    ----------
    memory
        What the decoder attends to.
    durations
        Mel frames of each unit [N]; a frame is `manifest.hop` samples.
    volumes
        Factor on the samples of each unit [N].
    """

    memory: EncoderMemory
    durations: NDArray[np.int64]
    volumes: tuple[float, ...]


class Engine:
    """One loaded voice."""

    def __init__(self, bundle: Bundle, *, threads: int = 1, opener: Callable[[Path, int], Any] = open_session) -> None:
        """Load the graphs of a checked bundle; `opener` is given each one's path and the threads to use."""
        self._bundle = bundle
        self.threads = threads
        self._tables = UnitTables.load(bundle.manifest.unit_language)
        sessions = (opener(bundle.path / f"{n}.onnx", threads) for n in ("encoder", "decoder", "postnet", "vocoder"))
        self._encoder, decoder, postnet, vocoder = sessions
        self._decoder = DecoderSession(decoder, bundle.manifest.outputs_per_step, bundle.manifest.mels)
        self._postnet, self._vocoder = PostNetSession(postnet), VocoderSession(vocoder, bundle.manifest)
        self.front_end_config = bundle.front_end_config()
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
        """Synthesize one sentence: mono samples [T], not yet limited to [-1, 1] if `volume` exceeds 1.

        Raises InputError if there are no units, a control is out of range or the voice lacks the speaker or
        emotion.
        """
        return self.speak(units, Controls(speaker, emotion, intensity, speed, pitch, volume))

    def speak(self, units: Sequence[Unit], controls: Controls | Sequence[Controls]) -> Array:
        """Synthesize one sentence with one set of controls, or with one for each unit: samples [T]."""
        return np.concatenate(list(self.stream(units, controls)))

    def stream(
        self,
        units: Sequence[Unit],
        controls: Controls | Sequence[Controls],
        *,
        first_chunk_frames: int = FIRST_CHUNK_FRAMES,
    ) -> Iterator[Array]:
        """Yield the samples that `speak` returns as they are made; raises as `synthesize` does.

        The first chunk is yielded once `first_chunk_frames` mel frames are decoded. Each later chunk is twice as long:
        the listener already has audio, and fewer chunks cost less.
        """
        each = [controls] * len(units) if isinstance(controls, Controls) else controls
        yield from self.decode(self.encode(units, each), first_chunk_frames=first_chunk_frames)

    def encode(self, units: Sequence[Unit], controls: Sequence[Controls]) -> Encoded:
        """Prepare one sentence for `decode`; raises as `synthesize` does."""
        if not units:
            raise InputError("there is nothing to speak: no linguistic units were given")
        states, keys, values, predicted, durations = self._encode(units, controls, ENCODED)
        if not durations.any():
            raise KubeVoiceError(f"voice {self.manifest.name} gave these {len(units)} units no duration at all")
        # As in the reference, a step attends as far to either side as the longest unit lasts.
        band = int(float(predicted.max()) / self.manifest.outputs_per_step + 0.5)
        memory = EncoderMemory(states, keys, values, band, int(durations.sum()))
        return Encoded(memory, durations, tuple(c.volume for c in controls))

    def decode(
        self,
        encoded: Encoded,
        *,
        first_chunk_frames: int = FIRST_CHUNK_FRAMES,
        scheduler: DecoderScheduler | None = None,
    ) -> Iterator[Array]:
        """Yield the samples of a sentence as `stream` does.

        With a scheduler the decoder's steps run together with those of its other utterances, in one thread. The samples
        are the same; an empty array is yielded wherever another utterance may go first.
        """
        gain = build_gain_curve(encoded.volumes, encoded.durations * self.manifest.hop)
        postnet, vocoder = PostNetState(self._postnet), VocoderState(self._vocoder)
        position = 0
        state = DecoderState(self._decoder, encoded.memory)
        for mel, last in state.iter_blocks(scheduler or DecoderScheduler(), first_chunk_frames):
            audio = vocoder.push(postnet.push(mel, last=last), last=last) if len(mel) else np.zeros(0, np.float32)
            if len(audio) or scheduler:
                yield audio * gain[position : position + len(audio)]
                position += len(audio)

    def predict_durations(self, units: Sequence[Unit], controls: Sequence[Controls]) -> NDArray[np.int64]:
        """Return the duration of each unit [N] in mel frames; only the encoder runs.

        A frame is `manifest.hop` samples. Raises InputError for text that the voice cannot synthesize.
        """
        durations: NDArray[np.int64] = self._encode(units, controls, ["frames"])[0]
        return durations

    def _encode(self, units: Sequence[Unit], controls: Sequence[Controls], outputs: Sequence[str]) -> tuple[Any, ...]:
        """Run the encoder; return the outputs that are named."""
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
            feeds |= extrapolate_emotion(self._encoder.run, feeds, rest, extra, manifest.stats)
        semitones = np.array([c.pitch for c in controls], np.float32)
        if semitones.any():
            # The shift is a ratio of the voice's own contour, so that must be known first. The encoder is
            # cheap beside the decoder and the vocoder.
            (contour,) = self._encoder.run(["pitch"], feeds)
            feeds["pitch_shift"] = feeds["pitch_shift"] + compute_pitch_shift(contour, manifest.stats, semitones)
        return tuple(self._encoder.run(list(outputs), feeds))
