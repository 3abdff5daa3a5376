"""Learned alignment of mel frames to symbols, so that no hand-made durations are needed.

Badlani et al., "One TTS Alignment To Rule Them All" (arXiv 2108.10447): soft alignment with a beta-binomial prior,
forward-sum loss, binarisation; hard alignment by monotonic search (Kim et al., "Glow-TTS", arXiv 2005.11129,
algorithm 1). Details as in the facts file §2.5.
"""

from functools import lru_cache

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import betabinom
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = ["AlignAttention", "beta_binomial_prior", "binarization_loss", "forward_sum_loss", "monotonic_path"]

TEMPERATURE = 0.0005
BLANK_LOG_PROBABILITY = -1.0


@lru_cache(maxsize=20000)
def beta_binomial_prior(symbols: int, frames: int) -> NDArray[np.float32]:
    """Return the prior [frames, symbols]: near the diagonal is likely (arXiv 2108.10447 §2.3)."""
    t = np.arange(1, frames + 1, dtype=np.float64)[:, None]
    return betabinom.pmf(np.arange(symbols), symbols - 1, t, frames + 1 - t).astype(np.float32)


class _Conv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class AlignAttention(nn.Module):
    """Text embedding [B, N, E] and mel [B, T, M] to alignment over symbols."""

    def __init__(self, embedding: int, n_mels: int) -> None:
        super().__init__()
        self.key_proj = nn.Sequential(_Conv(embedding, 2 * embedding, 3), nn.ReLU(), _Conv(2 * embedding, n_mels, 1))
        self.query_proj = nn.Sequential(
            _Conv(n_mels, 2 * n_mels, 3), nn.ReLU(), _Conv(2 * n_mels, n_mels, 1), nn.ReLU(), _Conv(n_mels, n_mels, 1)
        )
        # Present in every checkpoint with MAS, used by no computation.
        self.attn_proj = nn.Conv2d(n_mels, 1, 1)

    @override
    def forward(self, mel: Tensor, text: Tensor, mask: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Return soft alignment and unmasked log-probabilities, both [B, T, N]; `mask` [B, N] is True at symbols."""
        keys = self.key_proj(text.transpose(1, 2)).transpose(1, 2)
        queries = self.query_proj(mel.transpose(1, 2)).transpose(1, 2)
        # ||q - k||^2 as three products: the [B, T, N, M] difference would not fit a cache, or memory.
        distance = (
            queries.square().sum(-1, keepdim=True)
            - 2.0 * queries @ keys.transpose(1, 2)
            + keys.square().sum(-1).unsqueeze(1)
        )
        log_probability = F.log_softmax(-TEMPERATURE * distance, dim=-1) + torch.log(prior + 1e-8)
        soft = log_probability.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(dim=-1)
        return soft, log_probability


@numba.njit(cache=False)
def _viterbi(log_soft: NDArray[np.float32]) -> NDArray[np.int64]:
    """Best monotonic path through [T, N] that starts at symbol 0 and ends at N - 1; frames per symbol [N]."""
    frames, symbols = log_soft.shape
    score = np.full((frames, symbols), -np.inf, np.float32)
    moved = np.zeros((frames, symbols), np.bool_)
    score[0, 0] = log_soft[0, 0]
    for t in range(1, frames):
        for n in range(min(t + 1, symbols)):
            stay = score[t - 1, n]
            move = score[t - 1, n - 1] if n else np.float32(-np.inf)
            # A tie goes to the previous symbol, as in the reference.
            moved[t, n] = move >= stay
            score[t, n] = log_soft[t, n] + max(stay, move)
    durations = np.zeros(symbols, np.int64)
    n = symbols - 1
    for t in range(frames - 1, -1, -1):
        durations[n] += 1
        if n and moved[t, n]:
            n -= 1
    return durations


def monotonic_path(soft: Tensor, symbols: Tensor, frames: Tensor) -> Tensor:
    """Hard alignment: durations [B, N] in frames, zero beyond each item's symbols; needs frames >= symbols."""
    soft = soft.detach().float()
    log_soft = torch.log(soft.clamp(min=torch.finfo(torch.float32).tiny)).cpu().numpy()
    durations = np.zeros((soft.shape[0], soft.shape[2]), np.int64)
    for i, (n, t) in enumerate(zip(symbols.tolist(), frames.tolist(), strict=True)):
        durations[i, :n] = _viterbi(np.ascontiguousarray(log_soft[i, :t, :n]))
    return torch.from_numpy(durations).to(soft.device)


def forward_sum_loss(log_probability: Tensor, symbols: Tensor, frames: Tensor) -> Tensor:
    """Negative log-likelihood of the target sequence over all monotonic alignments (eq. 6), per item, averaged."""
    padded = F.pad(log_probability, (1, 0), value=BLANK_LOG_PROBABILITY)
    places = torch.arange(padded.shape[2], device=padded.device)
    # Finite, for the gradient of what an infinity was masked from would be no number.
    unused = torch.finfo(padded.dtype).min / 2
    scores = padded.masked_fill((places > symbols.unsqueeze(1)).unsqueeze(1), unused).log_softmax(dim=-1)
    targets = places[1:].expand(len(padded), -1)
    return F.ctc_loss(scores.transpose(0, 1), targets, frames, symbols, zero_infinity=True)


def binarization_loss(soft: Tensor, durations: Tensor) -> Tensor:
    """Mean of -log(soft) along the hard path (eq. 10); `durations` [B, N] in frames."""
    ends = durations.cumsum(dim=1)
    frames = torch.arange(soft.shape[1], device=soft.device).expand(len(soft), -1).contiguous()
    symbol = torch.searchsorted(ends, frames, right=True)
    inside = frames < ends[:, -1:]
    chosen = soft.gather(2, symbol.clamp(max=soft.shape[2] - 1).unsqueeze(2)).squeeze(2)
    return -torch.log(chosen[inside].clamp(min=1e-12)).mean()
