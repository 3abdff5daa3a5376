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

from kubevoice.engine.controls import (
    Controls,
    build_emotion_weights,
    build_gain_curve,
    build_speaker_weights,
    compute_pitch_shift,
)
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
DEFAULT_CONTROLS = Controls()


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
    """One loaded voice.

    An engine does not change after it is loaded, so threads may share it.

    Attributes
    ----------
    threads
        ONNX Runtime threads of each graph.
    front_end_config
        The voice's front-end config.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1, opener: Callable[[Path, int], Any] = open_session) -> None:
        """Load the graphs of a verified bundle; `opener` is called with the path of each and the number of threads."""
        self._bundle = bundle
        self.threads = threads
        self._tables = UnitTables.load(bundle.manifest.unit_language)
        sessions = (opener(bundle.path / f"{n}.onnx", threads) for n in ("encoder", "decoder", "postnet", "vocoder"))
        self._encoder, decoder, postnet, vocoder = sessions
        self._decoder = DecoderSession(decoder, bundle.manifest.outputs_per_step, bundle.manifest.mels)
        self._postnet, self._vocoder = PostNetSession(postnet), VocoderSession(vocoder, bundle.manifest)
        self.front_end_config = bundle.front_end_config()
        """The voice's front-end config."""

    @classmethod
    def load(cls, bundle_dir: Path, *, threads: int = 1) -> Self:
        """Load a voice bundle and verify the digest of every file.

        Parameters
        ----------
        bundle_dir
            Folder of the bundle.
        threads
            ONNX Runtime threads of each graph.

        Returns
        -------
        Engine
            The engine.

        Raises
        ------
        InputError
            If the bundle is damaged or incomplete.
        """
        return cls(load_bundle(bundle_dir), threads=threads)

    @property
    def manifest(self) -> VoiceManifest:
        """The manifest of the bundle."""
        return self._bundle.manifest

    @property
    def revision(self) -> str:
        """The bundle's digest."""
        return self._bundle.digest

    @property
    def sample_rate(self) -> int:
        """Samples per second of what `synthesize` returns."""
        return self.manifest.sample_rate

    def synthesize(self, units: Sequence[Unit], controls: Controls | Sequence[Controls] = DEFAULT_CONTROLS) -> Array:
        """Synthesize one sentence.

        Parameters
        ----------
        units
            The N units of the sentence.
        controls
            One value for the sentence, or one for each unit, [N].

        Returns
        -------
        Array
            Mono samples, [T]; beyond [-1, 1] if a volume exceeds 1.

        Raises
        ------
        InputError
            If there are no units, or the voice does not have a speaker, an emotion or a unit.
        """
        return np.concatenate(list(self.stream(units, controls)))

    def stream(
        self,
        units: Sequence[Unit],
        controls: Controls | Sequence[Controls],
        *,
        first_chunk_frames: int = FIRST_CHUNK_FRAMES,
    ) -> Iterator[Array]:
        """Yield the samples of `synthesize` in chunks as they are computed.

        Each chunk after the first is twice as long as the one before: the listener already has audio, and fewer chunks
        cost less.

        Parameters
        ----------
        units
            The N units of the sentence.
        controls
            One value for the sentence, or one for each unit, [N].
        first_chunk_frames
            Mel frames that are decoded before the first chunk.

        Yields
        ------
        Array
            Mono samples, [T].

        Raises
        ------
        InputError
            As `synthesize`.
        """
        unit_controls = [controls] * len(units) if isinstance(controls, Controls) else controls
        yield from self.decode(self.encode(units, unit_controls), first_chunk_frames=first_chunk_frames)

    def encode(self, units: Sequence[Unit], controls: Sequence[Controls]) -> Encoded:
        """Run the encoder on one sentence.

        Parameters
        ----------
        units
            The N units of the sentence.
        controls
            The controls of each unit, [N].

        Returns
        -------
        Encoded
            The input of `decode`.

        Raises
        ------
        InputError
            As `synthesize`.
        KubeVoiceError
            If all predicted durations are 0.

        References
        ----------
        docs/reference/sambert.md.
        """
        if not units:
            raise InputError("there is nothing to synthesize: the list of linguistic units is empty")
        states, keys, values, predicted, durations = self._encode(units, controls, ENCODED)
        if not durations.any():
            raise KubeVoiceError(
                f"voice {self.manifest.name} predicted a duration of 0 for all of these {len(units)} units"
            )
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
        """Run decoder, postnet and vocoder on one sentence.

        Parameters
        ----------
        encoded
            The result of `encode`.
        first_chunk_frames
            Mel frames that are decoded before the first chunk.
        scheduler
            Decodes the steps together with those of its other utterances, in one thread. The samples are the same.

        Yields
        ------
        Array
            Mono samples, [T], as `stream`; with a scheduler also empty arrays, where another utterance may go first.

        References
        ----------
        docs/reference/sambert.md and docs/reference/hifigan.md.
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
        """Return the duration of each unit; only the encoder runs.

        Parameters
        ----------
        units
            The N units of a sentence.
        controls
            The controls of each unit, [N].

        Returns
        -------
        NDArray[np.int64]
            Mel frames, [N]; a frame is `manifest.hop` samples.

        Raises
        ------
        InputError
            As `synthesize`.
        """
        durations: NDArray[np.int64] = self._encode(units, controls, ["frames"])[0]
        return durations

    def _encode(self, units: Sequence[Unit], controls: Sequence[Controls], outputs: Sequence[str]) -> tuple[Any, ...]:
        """Run the encoder and return the named outputs."""
        count, manifest = len(units), self.manifest
        rows = {one: row for row, one in enumerate(dict.fromkeys(controls))}
        row_of = np.array([rows[one] for one in controls])
        feeds = self._tables.encode(units) | {
            "emotion_weights": np.stack([build_emotion_weights(manifest, c.emotion, c.intensity) for c in rows])[
                row_of
            ],
            "speaker_weights": np.stack([build_speaker_weights(manifest, c.speaker) for c in rows])[row_of],
            "duration_scale": np.array([1.0 / c.speed for c in controls], np.float32),
            "pitch_shift": np.zeros(count, np.float32),
            "energy_shift": np.zeros(count, np.float32),
        }
        extra = np.array([max(0.0, c.intensity - 1.0) for c in controls], np.float32)
        if extra.any():
            default = np.tile(build_emotion_weights(manifest, None, 1.0), (count, 1))
            feeds |= extrapolate_emotion(self._encoder.run, feeds, default, extra, manifest.stats)
        semitones = np.array([c.pitch for c in controls], np.float32)
        if semitones.any():
            # The shift depends on the predicted contour, so the encoder runs once more. It costs little beside the
            # decoder and the vocoder.
            (contour,) = self._encoder.run(["pitch"], feeds)
            feeds["pitch_shift"] = feeds["pitch_shift"] + compute_pitch_shift(contour, manifest.stats, semitones)
        return tuple(self._encoder.run(list(outputs), feeds))
