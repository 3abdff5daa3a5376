"""Learned alignment of mel frames to symbols, so that a dataset needs no durations.

Soft alignment with a beta-binomial prior, forward-sum loss and binarization loss of Badlani et al., "One TTS Alignment
To Rule Them All" (arXiv 2108.10447); hard alignment by monotonic alignment search (MAS) of Kim et al., "Glow-TTS"
(arXiv 2005.11129), algorithm 1. Constants and layers are those of KAN-TTS (docs/reference/sambert.md, aligner).

Shapes: B utterances, T_text symbols (with the end-of-sentence symbol, if the caller has one), T_mel frames, M mel bins.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaln
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = [
    "AlignAttention",
    "beta_binomial_prior",
    "binarization_loss",
    "forward_sum_loss",
    "monotonic_alignment_search",
]

TEMPERATURE = 0.0005
BLANK_LOG_PROBABILITY = -1.0


@lru_cache(maxsize=20000)
def beta_binomial_prior(text_length: int, mel_length: int) -> NDArray[np.float32]:
    """Compute the static prior over symbols of each frame, which favours the diagonal.

    Parameters
    ----------
    text_length : Number of symbols.
    mel_length : Number of frames.

    Returns
    -------
    NDArray
        [T_mel, T_text]; each row sums to 1.

    References
    ----------
    arXiv 2108.10447, section 2.3.
    """
    t = np.arange(1, mel_length + 1, dtype=np.float64)[:, None]
    k, n, beta = np.arange(text_length), text_length - 1, mel_length + 1 - t
    combinations = -np.log(n + 1) - betaln(n - k + 1, k + 1)
    return np.exp(combinations + betaln(k + t, n - k + beta) - betaln(t, beta)).astype(np.float32)


class _Conv(nn.Module):
    """A convolution of unchanged length, [B, in, T] to [B, out, T]; checkpoints name it `conv`, one level down."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Convolve x [B, in, T]; returns [B, out, T]."""
        return self.conv(x)


class AlignAttention(nn.Module):
    """Attention of mel frames (queries) to symbols (keys) by their distance.

    Parameters
    ----------
    d_embedding : channels of the text embedding.
    n_mels : mel bins.

    References
    ----------
    arXiv 2108.10447, section 2.1.
    """

    def __init__(self, d_embedding: int, n_mels: int) -> None:
        super().__init__()
        self.key_proj = nn.Sequential(
            _Conv(d_embedding, 2 * d_embedding, 3), nn.ReLU(), _Conv(2 * d_embedding, n_mels, 1)
        )
        self.query_proj = nn.Sequential(
            _Conv(n_mels, 2 * n_mels, 3), nn.ReLU(), _Conv(2 * n_mels, n_mels, 1), nn.ReLU(), _Conv(n_mels, n_mels, 1)
        )
        # Present in every checkpoint with MAS, used by no computation.
        self.attn_proj = nn.Conv2d(n_mels, 1, 1)

    @override
    def forward(self, mel: Tensor, text: Tensor, mask: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Align softly.

        Parameters
        ----------
        mel : [B, T_mel, M], normalized.
        text : [B, T_text, d_embedding], from `TextEncoder.embed`.
        mask : [B, T_text], True at symbols.
        prior : [B, T_mel, T_text], from `beta_binomial_prior`.

        Returns
        -------
        soft_alignment : [B, T_mel, T_text]; each frame's row sums to 1 over the symbols within the mask.
        log_probability : [B, T_mel, T_text], with the prior and before the mask; the input of `forward_sum_loss`.
        """
        keys = self.key_proj(text.transpose(1, 2)).transpose(1, 2)
        queries = self.query_proj(mel.transpose(1, 2)).transpose(1, 2)
        # ||q - k||^2 as three products: the [B, T_mel, T_text, M] difference would be far larger than any of them.
        distance = (
            queries.square().sum(-1, keepdim=True)
            - 2.0 * queries @ keys.transpose(1, 2)
            + keys.square().sum(-1).unsqueeze(1)
        )
        log_probability = F.log_softmax(-TEMPERATURE * distance, dim=-1) + torch.log(prior + 1e-8)
        soft_alignment = log_probability.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(dim=-1)
        return soft_alignment, log_probability


def _score_paths(log_soft: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Score all monotonic paths that begin at the first symbol and skip none (Viterbi).

    Parameters
    ----------
    log_soft : [T_mel, T_text, B]

    Returns
    -------
    NDArray
        [T_mel, T_text, B], True where the best path to a symbol comes from the symbol before.
    """
    frames, symbols, batch = log_soft.shape
    # Symbol 0 stands before the first; only the first frame comes from there. Symbols and batch share an axis, so that
    # two slices of contiguous memory have all previous symbols and all current ones.
    score = np.full((frames + 1, (symbols + 1) * batch), -np.inf, np.float32)
    score[0, :batch] = 0.0
    for before, after, frame in zip(score[:-1], score[1:, batch:], log_soft.reshape(frames, -1), strict=True):
        np.maximum(before[:-batch], before[batch:], out=after)
        np.add(after, frame, out=after)
    # A tie goes to the previous symbol, as in the reference.
    return (score[:-1, :-batch] >= score[:-1, batch:]).reshape(log_soft.shape)


def _count_frames(advanced: NDArray[np.bool_]) -> list[int]:
    """Follow the best path back from the last symbol; return the frames per symbol, from advanced [T_mel, T_text]."""
    mel_length, text_length = advanced.shape
    durations = [0] * text_length
    flags, n = advanced.tobytes(), text_length - 1
    for row in range((mel_length - 1) * text_length, -1, -text_length):
        durations[n] += 1
        if n and flags[row + n]:
            n -= 1
    return durations


def monotonic_alignment_search(soft_alignment: Tensor, text_lengths: Tensor, mel_lengths: Tensor) -> Tensor:
    """Find the most probable hard alignment in which the symbols follow each other.

    Parameters
    ----------
    soft_alignment : [B, T_mel, T_text]
    text_lengths : [B]
    mel_lengths : [B], each at least its text length.

    Returns
    -------
    Tensor
        Durations [B, T_text] in frames, zero beyond each text length.

    References
    ----------
    arXiv 2005.11129, algorithm 1.
    """
    soft = soft_alignment.detach().float().permute(1, 2, 0).contiguous()
    advanced = _score_paths(torch.log(soft.clamp(min=torch.finfo(torch.float32).tiny)).cpu().numpy())
    durations = np.zeros((soft_alignment.shape[0], soft_alignment.shape[2]), np.int64)
    for i, (n, t) in enumerate(zip(text_lengths.tolist(), mel_lengths.tolist(), strict=True)):
        durations[i, :n] = _count_frames(advanced[:t, :n, i])
    return torch.from_numpy(durations).to(soft_alignment.device)


def forward_sum_loss(log_probability: Tensor, text_lengths: Tensor, mel_lengths: Tensor) -> Tensor:
    """Compute the negative log-likelihood of the symbols over all monotonic alignments.

    Parameters
    ----------
    log_probability : [B, T_mel, T_text]
    text_lengths, mel_lengths : [B]

    Returns
    -------
    Tensor
        Scalar, the mean over utterances.

    References
    ----------
    arXiv 2108.10447, equation 6, computed as a CTC loss.
    """
    padded = F.pad(log_probability, (1, 0), value=BLANK_LOG_PROBABILITY)
    classes = torch.arange(padded.shape[2], device=padded.device)
    # Finite, because the gradient of a masked infinity is NaN.
    unused = torch.finfo(padded.dtype).min / 2
    scores = padded.masked_fill((classes > text_lengths.unsqueeze(1)).unsqueeze(1), unused).log_softmax(dim=-1)
    targets = classes[1:].expand(len(padded), -1)
    return F.ctc_loss(scores.transpose(0, 1), targets, mel_lengths, text_lengths, zero_infinity=True)


def binarization_loss(soft_alignment: Tensor, durations: Tensor) -> Tensor:
    """Compute the mean of -log(soft alignment) along the hard alignment.

    Parameters
    ----------
    soft_alignment : [B, T_mel, T_text]
    durations : [B, T_text] in frames.

    Returns
    -------
    Tensor
        Scalar, the mean over valid frames.

    References
    ----------
    arXiv 2108.10447, equation 10.
    """
    ends = durations.cumsum(dim=1)
    frames = torch.arange(soft_alignment.shape[1], device=soft_alignment.device)
    frames = frames.expand(len(soft_alignment), -1).contiguous()
    symbol = torch.searchsorted(ends, frames, right=True)
    inside = frames < ends[:, -1:]
    on_path = soft_alignment.gather(2, symbol.clamp(max=soft_alignment.shape[2] - 1).unsqueeze(2)).squeeze(2)
    return -torch.log(on_path[inside].clamp(min=1e-12)).mean()
