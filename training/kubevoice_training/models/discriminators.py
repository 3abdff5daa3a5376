"""Discriminators of HiFi-GAN: multi-period and multi-scale.

Kong, Kim and Bae, "HiFi-GAN" (arXiv 2010.05646), section 2.3. As in KAN-TTS, the scales are made by steps of a
Daubechies-3 wavelet instead of average pooling (docs/reference/hifigan.md, discriminators).

Shapes: B segments, T samples.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from typing_extensions import override

__all__ = ["Discriminators"]

SLOPE = 0.1
DB3_LOW = (0.03522629, -0.08544127, -0.13501102, 0.45987750, 0.80689151, 0.33267055)
"""Low-pass decomposition filter of the Daubechies wavelet with three vanishing moments (Daubechies 1992, table 6.1)."""

FeatureMaps = list[Tensor]
"""The outputs of a discriminator's layers, the last of which are its scores."""


def _scale_channels(count: int, width: float, multiple: int = 1) -> int:
    """Return `count` times `width`, rounded to a multiple."""
    return max(multiple, round(count * width / multiple) * multiple)


class PeriodDiscriminator(nn.Module):
    """Discriminator of the waveform folded into rows of `period` samples (arXiv 2010.05646, section 2.3).

    Parameters
    ----------
    period : in samples.
    width : factor of all channel counts; 1.0 is the paper's size.
    """

    def __init__(self, period: int, width: float) -> None:
        super().__init__()
        self.period = period
        sizes = [1, *(_scale_channels(c, width) for c in (32, 128, 512, 1024, 1024))]
        strides = (3, 3, 3, 3, 1)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (stride, 1), (2, 0)))
            for a, b, stride in zip(sizes[:-1], sizes[1:], strides, strict=True)
        )
        self.conv_post = weight_norm(nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)))

    @override
    def forward(self, wav: Tensor) -> FeatureMaps:
        """Score a waveform.

        Parameters
        ----------
        wav : [B, 1, T]

        Returns
        -------
        FeatureMaps
            Feature maps [B, C, rows, period], the scores last.
        """
        short = -wav.shape[-1] % self.period
        x = F.pad(wav, (0, short), "reflect").unflatten(-1, (-1, self.period))
        feature_maps = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            feature_maps.append(x)
        feature_maps.append(self.conv_post(x))
        return feature_maps


class ScaleDiscriminator(nn.Module):
    """Discriminator of the waveform at one scale (MelGAN, arXiv 1910.06711, section 2.2).

    Parameters
    ----------
    width : factor of all channel counts; 1.0 is the paper's size.
    spectral : spectral normalization instead of weight normalization.
    """

    def __init__(self, width: float, *, spectral: bool) -> None:
        super().__init__()
        norm = spectral_norm if spectral else weight_norm
        layers = (  # channels, kernel size, stride, groups
            (128, 15, 1, 1),
            (128, 41, 2, 4),
            (256, 41, 2, 16),
            (512, 41, 4, 16),
            (1024, 41, 4, 16),
            (1024, 41, 1, 16),
            (1024, 5, 1, 1),
        )
        convs, in_channels = [], 1
        for count, kernel_size, stride, groups in layers:
            out_channels = _scale_channels(count, width, 16)
            conv = nn.Conv1d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups)
            convs.append(norm(conv))
            in_channels = out_channels
        self.convs = nn.ModuleList(convs)
        self.conv_post = norm(nn.Conv1d(in_channels, 1, 3, padding=1))

    @override
    def forward(self, wav: Tensor) -> FeatureMaps:
        """Score a waveform.

        Parameters
        ----------
        wav : [B, 1, T]

        Returns
        -------
        FeatureMaps
            Feature maps [B, C, T / stride], the scores last.
        """
        x, feature_maps = wav, []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            feature_maps.append(x)
        feature_maps.append(self.conv_post(x))
        return feature_maps


class WaveletPool(nn.Module):
    """Halves the sample rate: both bands of a wavelet step, mixed by a learned convolution.

    References
    ----------
    Daubechies, "Ten Lectures on Wavelets" (1992), table 6.1; docs/reference/hifigan.md, discriminators.
    """

    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        low = torch.tensor(DB3_LOW)
        high = low.flip(0) * torch.tensor([1.0, -1.0] * 3)
        self.register_buffer("bands", torch.stack([low, high]).unsqueeze(1), persistent=False)
        self.mix = weight_norm(nn.Conv1d(2, 1, 15, padding=7))

    @override
    def forward(self, wav: Tensor) -> Tensor:
        """Halve the sample rate of a waveform.

        Parameters
        ----------
        wav : [B, 1, T]

        Returns
        -------
        Tensor
            [B, 1, T / 2]
        """
        return F.leaky_relu(self.mix(F.conv1d(wav, self.bands, stride=2, padding=2)), SLOPE)


class Discriminators(nn.Module):
    """All discriminators of HiFi-GAN.

    Parameters
    ----------
    width : factor of all channel counts; 1.0 is the paper's size.
    periods : of the multi-period discriminator, in samples.
    scales : number of scales of the multi-scale discriminator; each halves the rate of the one before.
    """

    def __init__(self, *, width: float = 1.0, periods: Iterable[int] = (2, 3, 5, 7, 11), scales: int = 3) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PeriodDiscriminator(period, width) for period in periods)
        self.scales = nn.ModuleList(ScaleDiscriminator(width, spectral=i == 0) for i in range(scales))
        self.pools = nn.ModuleList(WaveletPool() for _ in range(scales - 1))

    @override
    def forward(self, wav: Tensor) -> list[FeatureMaps]:
        """Score waveforms.

        Parameters
        ----------
        wav : [B, 1, T], in [-1, 1].

        Returns
        -------
        list of FeatureMaps
            For each period, then for each scale.
        """
        feature_maps = [period(wav) for period in self.periods]
        for i, scale in enumerate(self.scales):
            if i:
                wav = self.pools[i - 1](wav)
            feature_maps.append(scale(wav))
        return feature_maps
