"""Stage one: a dataset in; its features out, named by what they were computed from.

Features that an earlier run computed from the same contents are reused, although its spec had another key: the dataset
may have moved, or someone asked to have it read again.
"""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.digests import hash_json
from kubevoice.errors import InputError
from kubevoice.resources.stages import PrepareResult, PrepareSpec
from kubevoice.storage import Storage, connect, list_contents, publish_tree, published_digest
from kubevoice.text import UnitTables
from kubevoice.text.front_end_config import English
from kubevoice.text.units import STREAMS
from numpy.typing import NDArray
from pydantic import ValidationError

from kubevoice_training.dataset import Clip, check_dataset, raise_on_faults
from kubevoice_training.dataset.faults import Waveform
from kubevoice_training.features.acoustic_features import extract_features, resample, trim_silence
from kubevoice_training.features.feature_store import Utterance, write_features
from kubevoice_training.stages.base_voice import fetch_base_manifest, fetch_base_mel, hash_base_manifest
from kubevoice_training.stages.context import Context

__all__ = ["ResampledAudio", "prepare"]

ATTRIBUTION = "ATTRIBUTION.txt"
MAX_ATTRIBUTION_BYTES = 4096
TARGET_RMS = 0.08
"""RMS level of all recordings of a speaker together. One gain for each speaker keeps emotions as loud as they are."""


def is_in_dev_split(clip_id: str, seed: int, fraction: float) -> bool:
    """Decide whether a clip is held out. This depends on its id only, so a new clip does not move any other one.

    Parameters
    ----------
    clip_id
        The clip's id, which is hashed.
    seed
        Of the split.
    fraction
        Share of the clips that are held out.

    Returns
    -------
    bool
        True for clips that are held out.
    """
    draw = int.from_bytes(hashlib.sha256(f"{seed}/{clip_id}".encode()).digest()[:4])
    return draw < fraction * 2**32


class ResampledAudio:
    """Recordings at the voice's sample rate, without silence at both ends, in one scratch file.

    A speaker's gain is known only after all recordings, and they may not fit into memory. So each is written here
    when the dataset check has decoded it, and read back in the same order.

    Parameters
    ----------
    path
        Of the scratch file: four bytes a sample.
    sample_rate
        Of the voice, in Hz.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        self._path, self._sample_rate = path, sample_rate
        self._file = path.open("wb")
        self._lengths: list[int] = []  # samples of each recording
        self._energy: dict[str, float] = defaultdict(float)  # sum of squares by speaker
        self._samples: dict[str, int] = defaultdict(int)  # by speaker

    def append(self, clip: Clip, sound: Waveform) -> None:
        """Resample, trim and write the recording of a clip.

        Parameters
        ----------
        clip
            The clip, whose speaker the level is counted for.
        sound
            Its recording.
        """
        wave = trim_silence(resample(sound.samples, sound.rate, self._sample_rate), self._sample_rate)
        self._lengths.append(len(wave))
        self._energy[clip.speaker] += float(np.square(wave, dtype=np.float64).sum())
        self._samples[clip.speaker] += len(wave)
        # Not `tofile`, whose error on a full disk has neither an errno nor a reason.
        self._file.write(wave.astype(np.float32, copy=False).tobytes())

    def compute_gains(self) -> dict[str, float]:
        """Compute for each speaker the factor that brings all of the speaker's recordings to `TARGET_RMS`.

        Returns
        -------
        dict
            Factors by speaker.
        """
        return {
            speaker: TARGET_RMS / np.sqrt(energy / self._samples[speaker]) for speaker, energy in self._energy.items()
        }

    def read_all(self) -> Iterator[NDArray[np.float32]]:
        """Read the recordings back, and delete the file after the last one.

        Yields
        ------
        NDArray
            Samples [T] of each recording, in the order in which they were appended.
        """
        self._file.close()
        with self._path.open("rb") as file:
            for length in self._lengths:
                yield np.fromfile(file, np.float32, length)
        self._path.unlink()


def _build_utterances(
    spec: PrepareSpec, context: Context, clips: Sequence[Clip], audio: ResampledAudio, mel: MelConfig
) -> Iterator[Utterance]:
    """Yield the clips with their symbol ids, features and waves, and report the second half of the progress."""
    tables = UnitTables.load()
    gains = audio.compute_gains()
    for number, (clip, wave) in enumerate(zip(clips, audio.read_all(), strict=True), 1):
        ids = tables.encode(clip.units)
        leveled = np.clip(wave * gains[clip.speaker], -0.99, 0.99)
        yield Utterance(
            id=clip.id,
            text=clip.text,
            emotion=clip.emotion,
            speaker=clip.speaker,
            dev=is_in_dev_split(clip.id, spec.seed, spec.dev_fraction),
            ling=np.stack([ids[stream] for stream in STREAMS], axis=1),
            features=extract_features(leveled.astype(np.float32), mel),
            wave=(leveled * 32767.0).round().astype(np.int16),
        )
        context.progress.report(len(clips) + number, 2 * len(clips))


def _read_attribution(storage: Storage) -> list[str]:
    """Read the lines that name the recordings' source; bounded, because voice.json carries them."""
    if not storage.exists(ATTRIBUTION):
        return []
    lines = storage.read(ATTRIBUTION)[:MAX_ATTRIBUTION_BYTES].decode("utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _name_contents(spec: PrepareSpec, storage: Storage, mel: MelConfig, english: English) -> str:
    """Return the key of the result of `prepare`, by the contents of the dataset and all that the features depend on."""
    parts = [
        list_contents(storage),
        dict(spec.dataset.emotions),
        spec.dataset.pinyin_tones,
        spec.dev_fraction,
        spec.seed,
        dataclasses.asdict(mel),
        english,
    ]
    return f"prepared/{hash_json(parts)[:32]}.json"


def _read_earlier(key: str, spec: PrepareSpec, artifacts: Storage) -> PrepareResult | None:
    """Return the result of an earlier run on the same contents if its features are still there."""
    if not artifacts.exists(key):
        return None
    try:
        earlier = PrepareResult.model_validate_json(artifacts.read(key))
    except ValidationError:
        return None
    root = f"{artifacts.uri}/"
    if not earlier.features_uri.startswith(root) or spec.dataset.digest not in (None, earlier.dataset_digest):
        return None
    is_published = published_digest(artifacts, earlier.features_uri.removeprefix(root)) == earlier.features_digest
    return earlier if is_published else None


def prepare(spec: PrepareSpec, context: Context) -> PrepareResult:
    """Check the dataset, compute its features and publish them. Each recording is decoded and resampled once.

    Parameters
    ----------
    spec
        Dataset, base voice and dev split.
    context
        The stage's resources.

    Returns
    -------
    PrepareResult
        Where the features are, their digest, and what is in them.

    Raises
    ------
    InputError
        With every problem of the dataset, or if its content is not what `spec.dataset.digest` pins.
    """
    storage = connect(spec.dataset.uri, context.options)
    base = fetch_base_manifest(spec.base, context.options)
    mel = fetch_base_mel(spec.base, context.options)
    english: English = "phones" if base.english else "syllables"
    base_sha256 = hash_base_manifest(spec.base, context.options)
    contents_key = _name_contents(spec, storage, mel, english)
    if (earlier := _read_earlier(contents_key, spec, context.artifacts)) is not None:
        print(f"same contents as before, reusing {earlier.features_uri}", flush=True)
        return earlier.model_copy(update={"base_sha256": base_sha256})
    audio = ResampledAudio(context.fresh_folder("resampled") / "waves.f32", mel.sample_rate)
    report = check_dataset(
        storage,
        spec.dataset.emotions,
        audio.append,
        lambda number, count: context.progress.report(number, 2 * count),
        english=english,
        tones=spec.dataset.pinyin_tones,
    )
    raise_on_faults(report, spec.dataset.uri)
    if spec.dataset.digest not in (None, report.digest):
        raise InputError(
            f"dataset {spec.dataset.uri} has digest {report.digest}, but spec.dataset.digest pins "
            f"{spec.dataset.digest}; restore the data or change the pin"
        )
    folder = context.fresh_folder("features")
    utterances = _build_utterances(spec, context, report.clips, audio, mel)
    write_features(folder, mel, utterances, _read_attribution(storage), report.lexicon)
    digest = publish_tree(folder, context.artifacts, f"{context.prefix}/features")
    result = PrepareResult(
        dataset_digest=report.digest,
        features_uri=f"{context.artifacts.uri}/{context.prefix}/features",
        features_digest=digest,
        clips=len(report.clips),
        seconds=round(report.seconds, 2),
        per_emotion=report.per_emotion,
        warnings=tuple(report.warnings[:10]),
        base_sha256=base_sha256,
    )
    if _name_contents(spec, storage, mel, english) == contents_key:  # else the dataset was changed meanwhile
        context.artifacts.write(contents_key, result.model_dump_json(by_alias=True).encode())
    return result
