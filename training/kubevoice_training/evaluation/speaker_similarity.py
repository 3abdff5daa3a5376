"""Speaker similarity by GE2E speaker embeddings (Wan et al., ICASSP 2018, arXiv 1710.10467).

The network is Resemblyzer's: three LSTM layers over 40 mel bands of 16 kHz audio; its weights ship in that package.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import numpy as np
import soxr
import torch
from kubevoice.audio.mel import MelConfig, magnitude
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.evaluation.model_files import find_model_file, is_installed

__all__ = ["compute_speaker_similarity", "embed_speaker", "is_similarity_model_installed"]

Array = NDArray[np.float32]
MEL = MelConfig(sample_rate=16_000, n_fft=400, win_length=400, hop_length=160, n_mels=40, fmin=0.0, fmax=8000.0)
WINDOW, STEP = 160, 80
LEVEL_DB = -30.0


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MEL.n_mels, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    @override
    def forward(self, mel: Tensor) -> Tensor:
        """Turn mels [B, T, 40] into unit vectors [B, 256]."""
        _, (hidden, _) = self.lstm(mel)
        return F.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def is_similarity_model_installed() -> bool:
    """Check whether the package with the weights is installed.

    Returns
    -------
    bool
        Whether `embed_speaker` can be called.
    """
    return is_installed("resemblyzer")


@cache
def _load_encoder() -> _Encoder:
    path = find_model_file("resemblyzer", "pretrained.pt", "speaker similarity")
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    encoder = _Encoder()
    encoder.load_state_dict({name: value for name, value in state.items() if name.startswith(("lstm.", "linear."))})
    return encoder.eval()


def embed_speaker(audio: Array, sample_rate: int) -> Array:
    """Compute the embedding of the speaker of a recording.

    Parameters
    ----------
    audio : Samples [T]; less than 1.6 s is repeated.
    sample_rate : In Hz.

    Returns
    -------
    NDArray
        Unit vector [256], the mean over windows of 1.6 s.

    Raises
    ------
    KubeVoiceError
        If the network is not installed.

    References
    ----------
    Wan et al., "Generalized End-to-End Loss for Speaker Verification" (arXiv 1710.10467), section 2.1.
    """
    samples = soxr.resample(audio, sample_rate, MEL.sample_rate).astype(np.float32)
    level = float(np.sqrt(np.mean(samples**2)))
    samples *= max(1.0, 10.0 ** (LEVEL_DB / 20.0) / max(level, 1e-6))
    samples = np.resize(samples, max(len(samples), WINDOW * MEL.hop_length))
    mel = torch.from_numpy(magnitude(samples, MEL) ** 2 @ MEL.filters.T)
    windows = mel.unfold(0, WINDOW, STEP).transpose(1, 2)
    with torch.no_grad():
        embedding: Array = F.normalize(_load_encoder()(windows).mean(dim=0), dim=0).numpy()
    return embedding


def compute_speaker_similarity(clips: Iterable[tuple[str, Array, Array]], sample_rate: int) -> float | None:
    """Return the mean cosine similarity of speakers' synthesized and recorded speech.

    A speaker's clips are joined first, because a single word is too short for an embedding. Recordings of one person
    reach about 0.95, those of different persons 0.6 to 0.8.

    Parameters
    ----------
    clips : (speaker, synthesized samples [T], recorded samples [T]).
    sample_rate : in Hz.

    Returns
    -------
    float or None
        None if there is no clip.
    """
    joined: dict[str, tuple[list[Array], list[Array]]] = defaultdict(lambda: ([], []))
    for speaker, synthesized, recorded in clips:
        joined[speaker][0].append(synthesized)
        joined[speaker][1].append(recorded)
    similarities = [
        float(
            embed_speaker(np.concatenate(synthesized), sample_rate)
            @ embed_speaker(np.concatenate(recorded), sample_rate)
        )
        for synthesized, recorded in joined.values()
    ]
    return float(np.mean(similarities)) if similarities else None
