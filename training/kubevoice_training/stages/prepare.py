"""Stage one: a dataset in, checked; out come its features, named by what they were made of."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.errors import InputError
from kubevoice.resources.stages import PrepareResult, PrepareSpec
from kubevoice.storage import Storage, connect, publish_tree
from kubevoice.text import UnitTables
from kubevoice.text.manner import English
from kubevoice.text.units import STREAMS

from kubevoice_training.dataset import Clip, check, require
from kubevoice_training.features.acoustic_features import extract, load_audio, trim_silence
from kubevoice_training.features.feature_store import Utterance, write_features
from kubevoice_training.stages.context import Context, fetch_base_manifest, fetch_base_mel

__all__ = ["prepare"]

ATTRIBUTION = "ATTRIBUTION.txt"
TARGET_RMS = 0.08
"""Level of a speaker's recordings taken together: one gain a speaker keeps emotions as loud as they are."""


def in_dev_split(clip_id: str, seed: int, fraction: float) -> bool:
    """Choose by hash, so that adding clips moves none from one side to the other."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}/{clip_id}".encode()).digest()[:4])
    return draw < fraction * 2**32


def _audio(storage: Storage, clip: Clip, rate: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    wav = load_audio(io.BytesIO(storage.read(clip.path)), rate)
    return trim_silence(wav, rate)


def _gains(storage: Storage, clips: list[Clip], rate: int) -> dict[str, float]:
    """Return the factor that brings each speaker to the target level."""
    power: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for clip in clips:
        wav = _audio(storage, clip, rate)
        power[clip.speaker][0] += float(np.square(wav, dtype=np.float64).sum())
        power[clip.speaker][1] += len(wav)
    return {speaker: TARGET_RMS / np.sqrt(total / count) for speaker, (total, count) in power.items()}


def _utterances(
    spec: PrepareSpec, context: Context, storage: Storage, clips: list[Clip], mel: MelConfig
) -> Iterator[Utterance]:
    tables = UnitTables.load()
    gains = _gains(storage, clips, mel.sample_rate)
    for number, clip in enumerate(clips, 1):
        ids = tables.encode(clip.units)
        wav = np.clip(_audio(storage, clip, mel.sample_rate) * gains[clip.speaker], -0.99, 0.99)
        yield Utterance(
            id=clip.id,
            text=clip.text,
            emotion=clip.emotion,
            speaker=clip.speaker,
            dev=in_dev_split(clip.id, spec.seed, spec.dev_fraction),
            ling=np.stack([ids[stream] for stream in STREAMS], axis=1),
            features=extract(wav.astype(np.float32), mel),
            wave=(wav * 32767.0).round().astype(np.int16),
        )
        context.progress.report(number, len(clips))


def _attribution(storage: Storage) -> list[str]:
    """Read whom the dataset wants named, a line each; bounded, for voice.json carries it."""
    if not storage.exists(ATTRIBUTION):
        return []
    lines = storage.read(ATTRIBUTION)[:4096].decode("utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


def prepare(spec: PrepareSpec, context: Context) -> PrepareResult:
    """Check the dataset and publish its features.

    Raises InputError with every fault of the dataset, or if its content is not what `spec.dataset.digest` pins.
    """
    storage = connect(spec.dataset.uri, context.options)
    base = fetch_base_manifest(spec.base, context.options)
    english: English = "phones" if base.english else "syllables"
    report = check(storage, spec.dataset.emotions, english=english, tones=spec.dataset.pinyin_tones)
    require(report, spec.dataset.uri)
    if spec.dataset.digest not in (None, report.digest):
        raise InputError(
            f"dataset {spec.dataset.uri} has digest {report.digest}, but spec.dataset.digest pins "
            f"{spec.dataset.digest}; restore the data or change the pin"
        )
    folder = context.fresh_folder("features")
    mel = fetch_base_mel(spec.base, context.options)
    utterances = _utterances(spec, context, storage, report.clips, mel)
    write_features(folder, mel, utterances, _attribution(storage), report.lexicon)
    digest = publish_tree(folder, context.artifacts, f"{context.prefix}/features")
    return PrepareResult(
        dataset_digest=report.digest,
        features_uri=f"{context.artifacts.uri}/{context.prefix}/features",
        features_digest=digest,
        clips=len(report.clips),
        seconds=round(report.seconds, 2),
        per_emotion=report.per_emotion,
        warnings=tuple(report.warnings[:10]),
    )
