"""The network of DistillMOS, which rates the quality of speech (Stahl and Gamper, arXiv 2502.05356), for its weights.

A compressed complex spectrogram goes through six convolutions over time and frequency, seven layers of a transformer
and attention pooling. The weights ship in the package `distillmos` (MIT License). Modules have the package's names, so
that its weights can be loaded; its code is not imported, because it needs torchaudio and transformers.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = ["NaturalnessNetwork"]

WINDOW_SAMPLES = 122_880
HOP, FFT = 160, 320
CONVOLUTIONS = (64, 64, 128, 256, 256, 256)
"""Channels of each convolution."""
FRAMES, BANDS = 384, 4
"""Frames and frequency bands that the last convolution leaves."""
WIDTH, HEADS, LAYERS = 200, 8, 7
COMPRESSION = 0.3


def _compute_spectrogram(audio: Tensor) -> Tensor:
    """Return the complex spectrogram [B, 2, 161, T] of audio [B, samples], magnitudes raised to the power of 0.3."""
    padded = F.pad(audio, ((FFT - HOP) // 2, (FFT - HOP) // 2), mode="reflect")
    window = torch.hann_window(FFT)
    spectrum = torch.stft(padded, FFT, HOP, FFT, window=window, center=False, return_complex=True)
    magnitude = spectrum.abs().clamp_min(1e-12)
    return torch.view_as_real(spectrum * magnitude ** (COMPRESSION - 1.0)).permute(0, 3, 1, 2)


class _Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, channels in enumerate(CONVOLUTIONS):
            stride = (2 if number else 1, 2 if number == len(CONVOLUTIONS) - 1 else 1)
            before = CONVOLUTIONS[number - 1] if number else 2
            layers += [nn.Conv2d(before, channels, 3, stride, (0, 1)), nn.LeakyReLU(0.1)]
        self.cnn = nn.Sequential(*layers)

    @override
    def forward(self, audio: Tensor) -> Tensor:
        """Turn audio [B, 122880] into features [B, T, C]."""
        features: Tensor = self.cnn(_compute_spectrogram(audio))
        return features.flatten(1, 2).transpose(1, 2)


class _Positions(nn.Module):
    pe: Tensor

    def __init__(self) -> None:
        super().__init__()
        angles = torch.arange(FRAMES)[:, None] * torch.exp(torch.arange(0, WIDTH, 2) * (-math.log(2 * FRAMES) / WIDTH))
        self.register_buffer("pe", torch.stack((angles.sin(), angles.cos()), dim=2).reshape(1, FRAMES, WIDTH))

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Add the encoding of each position to features [B, T, 200]."""
        return features + self.pe


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        width = CONVOLUTIONS[-1] * BANDS
        self.norm = nn.BatchNorm1d(width)
        self.position_encoding = _Positions()
        self.linear_proj = nn.Linear(width, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0.0, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Turn features [B, T, C] into [B, T, 200]."""
        normalized = self.norm(features.transpose(1, 2)).transpose(1, 2)
        encoded: Tensor = self.transformer_encoder(self.position_encoding(self.linear_proj(normalized)))
        return encoded


class _Pool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear2 = nn.Linear(2 * WIDTH, 1)
        self.linear3 = nn.Linear(WIDTH, 1)

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Pool features [B, T, 200] to one value [B] each."""
        weights = self.linear2(torch.relu(self.linear1(features))).softmax(dim=1)
        pooled: Tensor = self.linear3((weights * features).sum(dim=1)).squeeze(1)
        return pooled


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm_input = nn.BatchNorm1d(CONVOLUTIONS[-1] * BANDS)
        self.transformer = _Transformer()
        self.norm_trans = nn.BatchNorm1d(WIDTH)
        self.pool = _Pool()

    @override
    def forward(self, features: Tensor) -> Tensor:
        """Turn features [B, T, C] into qualities [B] from 0 to 1."""
        normalized = self.norm_input(features.transpose(1, 2)).transpose(1, 2)
        encoded = self.norm_trans(self.transformer(normalized).transpose(1, 2)).transpose(1, 2)
        return torch.sigmoid(self.pool(encoded))


class NaturalnessNetwork(nn.Module):
    """Rates windows of speech.

    References
    ----------
    Stahl and Gamper, "Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech Quality
    Assessment" (arXiv 2502.05356), variant 7.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cnn = _Convolutions()
        self.transformer_pool_attn = _Head()

    @override
    def forward(self, audio: Tensor) -> Tensor:
        """Rate windows of speech.

        Parameters
        ----------
        audio : Samples [B, 122880] at 16 kHz; any level, because each window is scaled to its peak.

        Returns
        -------
        Tensor
            Ratings [B] from 1 (bad) to 5 (excellent).
        """
        scaled = audio / (audio.abs().amax(dim=1, keepdim=True) + 1e-8)
        rating: Tensor = 1.0 + 4.0 * self.transformer_pool_attn(self.cnn(scaled))
        return rating
