"""The features of a dataset on disk, an index and shards of arrays: written by `prepare`, read by later stages."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kubevoice.audio.mel import MelConfig
from numpy.typing import NDArray

from kubevoice_training.features.acoustic_features import Features, Stats
from kubevoice_training.features.excitation import compute_excitation, normalize_excitation
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.models.config import SourceConfig

__all__ = ["FeatureSet", "Utterance", "read_features", "write_features"]

SHARD = 512
INDEX = "index.json"
NO_WAVE = np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One clip of a dataset with its features.

    Attributes
    ----------
    id, text, emotion, speaker
        As in the dataset's metadata.
    dev
        Whether it is held out from training.
    ling
        Ids of the four linguistic streams [T_text, 4].
    features
        Mel, F0 and energy before normalisation.
    wave
        Samples (int16) that the features were computed from; none in features of early releases.
    """

    id: str
    text: str
    emotion: str
    speaker: str
    dev: bool
    ling: NDArray[np.int64]
    features: Features
    wave: NDArray[np.int16]

    def to_training_clip(
        self, stats: Stats, emotion: int, speaker: int, source: SourceConfig | None = None
    ) -> TrainingClip:
        """Return the clip as the acoustic model learns from it.

        Parameters
        ----------
        stats
            What the mel is normalised by.
        emotion, speaker
            Rows of the embedding tables.
        source
            The vocoder's harmonic source, if it has one: F0 and voicing are then two more columns of the mel.

        Returns
        -------
        TrainingClip
            The clip without durations.
        """
        mel = self.normalize_mel(stats)
        if source is not None:
            mel = np.concatenate([mel, normalize_excitation(compute_excitation(self.features.f0), source)], axis=1)
        return TrainingClip(self.ling, emotion, speaker, mel, self.features.f0, self.features.energy)

    def normalize_mel(self, stats: Stats) -> NDArray[np.float32]:
        """Normalise the mel to zero mean and unit deviation in each bin.

        Parameters
        ----------
        stats
            Mean and deviation of each bin.

        Returns
        -------
        NDArray
            Normalised mel [T_mel, n_mels].
        """
        return ((self.features.mel - stats.mel_mean) / stats.mel_std).astype(np.float32)


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The features of a whole dataset.

    Attributes
    ----------
    mel
        Settings that the mels were computed with.
    utterances
        The clips, in the dataset's order.
    attribution
        Lines that name the source of the recordings.
    lexicon
        Content of the dataset's lexicon.txt; empty if it has none.
    """

    mel: MelConfig
    utterances: tuple[Utterance, ...]
    attribution: tuple[str, ...] = ()
    lexicon: str = ""

    @property
    def emotions(self) -> list[str]:
        """Emotion labels in order of first appearance, neutral first if it is there."""
        labels = dict.fromkeys(u.emotion for u in self.utterances)
        return sorted(labels, key=lambda label: label != "neutral")

    @property
    def speakers(self) -> list[str]:
        """Speaker labels in order of first appearance."""
        return list(dict.fromkeys(u.speaker for u in self.utterances))


def write_features(
    folder: Path,
    mel: MelConfig,
    utterances: Iterable[Utterance],
    attribution: Sequence[str] = (),
    lexicon: str = "",
) -> None:
    """Write the features of a dataset. Memory stays bounded: a shard is written when it is full, the index at the end.

    Parameters
    ----------
    folder
        Where to; created if it does not exist.
    mel
        How the mels were computed.
    utterances
        Read once.
    attribution
        Lines that name the source of the recordings.
    lexicon
        Content of the dataset's lexicon.txt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    shard: list[Utterance] = []
    for utterance in utterances:
        shard.append(utterance)
        rows.append({name: getattr(utterance, name) for name in ("id", "text", "emotion", "speaker", "dev")})
        if len(shard) == SHARD:
            _write_shard(folder / f"shard-{len(rows) // SHARD - 1:05d}.npz", shard)
            shard = []
    if shard:
        _write_shard(folder / f"shard-{len(rows) // SHARD:05d}.npz", shard)
    index = {"format": 1, "mel": dataclasses.asdict(mel), "attribution": list(attribution), "lexicon": lexicon}
    index["utterances"] = rows
    (folder / INDEX).write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")


def _write_shard(path: Path, shard: list[Utterance]) -> None:
    np.savez(
        path,
        symbols=np.array([len(u.ling) for u in shard]),
        frames=np.array([len(u.features.f0) for u in shard]),
        ling=np.concatenate([u.ling for u in shard]).astype(np.int16),
        mel=np.concatenate([u.features.mel for u in shard]).astype(np.float16),
        f0=np.concatenate([u.features.f0 for u in shard]),
        energy=np.concatenate([u.features.energy for u in shard]),
        samples=np.array([len(u.wave) for u in shard]),
        wave=np.concatenate([u.wave for u in shard]),
    )


def _read_shard(path: Path) -> Iterator[tuple[NDArray[np.int64], Features, NDArray[np.int16]]]:
    with np.load(path, allow_pickle=False) as stored:
        frames, symbols = np.cumsum(stored["frames"])[:-1], np.cumsum(stored["symbols"])[:-1]
        ling = np.split(stored["ling"].astype(np.int64), symbols)
        mel = np.split(stored["mel"].astype(np.float32), frames)
        f0, energy = np.split(stored["f0"], frames), np.split(stored["energy"], frames)
        # Features of early releases have no waves; they train all but the vocoder.
        has_waves = "wave" in stored
        wave = np.split(stored["wave"], np.cumsum(stored["samples"])[:-1]) if has_waves else [NO_WAVE] * len(ling)
    for i, ids in enumerate(ling):
        yield ids, Features(mel[i], f0[i], energy[i]), wave[i]


def read_features(folder: Path) -> FeatureSet:
    """Read what `write_features` wrote.

    Parameters
    ----------
    folder
        Folder of the index and the shards.

    Returns
    -------
    FeatureSet
        All features, in memory.
    """
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    arrays = (item for path in sorted(folder.glob("shard-*.npz")) for item in _read_shard(path))
    utterances = tuple(
        Utterance(**row, ling=ling, features=features, wave=wave)
        for row, (ling, features, wave) in zip(index["utterances"], arrays, strict=True)
    )
    return FeatureSet(MelConfig(**index["mel"]), utterances, tuple(index["attribution"]), index.get("lexicon", ""))
