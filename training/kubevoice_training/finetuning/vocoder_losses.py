"""Losses of HiFi-GAN training: mel, multi-resolution STFT and least-squares GAN with feature matching."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from kubevoice.audio.mel import MelConfig
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = [
    "MelLoss",
    "SpectralLoss",
    "adversarial_loss",
    "discriminator_loss",
    "feature_matching_loss",
    "read_reference_mel",
]

Maps = list[Tensor]


def _stft_magnitude(wav: Tensor, n_fft: int, hop: int, window: Tensor) -> Tensor:
    """Return the magnitude STFT [B, n_fft // 2 + 1, frames] of waves [B, samples], centred and padded with zeros."""
    spectrum = torch.stft(wav, n_fft, hop, len(window), window, pad_mode="constant", return_complex=True)
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-12)


def read_reference_mel(params: Mapping[str, Any]) -> MelConfig:
    """Read the `mel_loss` parameters of a KAN-TTS vocoder configuration.

    Parameters
    ----------
    params
        Parameters by name; rates and limits in Hz, lengths in samples.

    Returns
    -------
    MelConfig
        Settings of the mel.

    References
    ----------
    docs/reference/hifigan.md, section "Losses".
    """
    rate, low, high = int(params["fs"]), params.get("fmin"), params.get("fmax")
    return MelConfig(
        sample_rate=rate,
        n_fft=int(params["fft_size"]),
        win_length=int(params.get("win_length") or params["fft_size"]),
        hop_length=int(params["hop_size"]),
        n_mels=int(params["num_mels"]),
        fmin=0.0 if low is None else float(low),
        fmax=rate / 2 if high is None else float(high),
    )


class MelLoss(nn.Module):
    """L1 between log-mels mapped to [-4, 4].

    Parameters
    ----------
    config
        Settings of the mel.

    References
    ----------
    Kong, Kim and Bae, "HiFi-GAN" (arXiv 2010.05646), equation 3; docs/reference/hifigan.md, section "Losses".
    """

    filters: Tensor
    window: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("filters", torch.from_numpy(config.filters), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)

    def mel(self, wav: Tensor) -> Tensor:
        """Compute mapped log-mels.

        Parameters
        ----------
        wav
            Waves [B, 1, T] in -1..1.

        Returns
        -------
        Tensor
            Log-mels [B, n_mels, T_mel] in [-4, 4].
        """
        c = self.config
        amplitude = self.filters @ _stft_magnitude(wav.squeeze(1), c.n_fft, c.hop_length, self.window)
        decibel = 20.0 * torch.log10(amplitude.clamp(min=1e-5)) - c.ref_level_db
        return (8.0 * (decibel - c.min_level_db) / -c.min_level_db - 4.0).clamp(-4.0, 4.0)

    @override
    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Compare generated with recorded waves.

        Parameters
        ----------
        fake, real
            Waves [B, 1, T] in -1..1.

        Returns
        -------
        Tensor
            The loss, a scalar.
        """
        return F.l1_loss(self.mel(fake), self.mel(real))


class SpectralLoss(nn.Module):
    """Spectral convergence plus log-magnitude L1 over several resolutions.

    Yamamoto, Song & Kim, "Parallel WaveGAN" (arXiv 1910.11480), section 2.2. While no discriminator is trained yet, a
    small generator learns far more from it in a step than from the mel alone.

    Parameters
    ----------
    sizes
        FFT size, hop and window length of each resolution, in samples.
    """

    def __init__(self, sizes: Sequence[tuple[int, int, int]] = ((512, 80, 320), (1024, 180, 800))) -> None:
        super().__init__()
        self.sizes = sizes
        for n_fft, _, window in sizes:
            self.register_buffer(f"window_{n_fft}", torch.hann_window(window), persistent=False)

    @override
    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Compare generated with recorded waves.

        Parameters
        ----------
        fake, real
            Waves [B, 1, T] in -1..1.

        Returns
        -------
        Tensor
            The loss, a scalar, averaged over resolutions.
        """
        total = fake.new_zeros(())
        for n_fft, hop, _ in self.sizes:
            window = self.get_buffer(f"window_{n_fft}")
            x = _stft_magnitude(fake.squeeze(1), n_fft, hop, window)
            y = _stft_magnitude(real.squeeze(1), n_fft, hop, window)
            convergence = torch.linalg.norm(y - x) / torch.linalg.norm(y).clamp(min=1e-5)
            total = total + convergence + F.l1_loss(x.clamp(min=1e-4).log(), y.clamp(min=1e-4).log())
        return total / len(self.sizes)


def adversarial_loss(fake: list[Maps]) -> Tensor:
    """Compute the generator's least-squares loss, summed over discriminators.

    Parameters
    ----------
    fake
        For each discriminator its feature maps of generated waves; the last one is its output.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    Kong, Kim and Bae, "HiFi-GAN" (arXiv 2010.05646), equation 2.
    """
    return torch.stack([(1.0 - maps[-1]).square().mean() for maps in fake]).sum()


def discriminator_loss(real: list[Maps], fake: list[Maps]) -> Tensor:
    """Compute the discriminators' least-squares loss, summed over discriminators.

    Parameters
    ----------
    real, fake
        For each discriminator its feature maps of recorded and of generated waves; the last is its output.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    Kong, Kim and Bae, "HiFi-GAN" (arXiv 2010.05646), equation 1.
    """
    pairs = zip(real, fake, strict=True)
    return torch.stack([(1.0 - r[-1]).square().mean() + f[-1].square().mean() for r, f in pairs]).sum()


def feature_matching_loss(real: list[Maps], fake: list[Maps], *, as_reference: bool = False) -> Tensor:
    """Compute the L1 distance between feature maps.

    The real maps carry no gradient, the fake ones do. KAN-TTS detaches the fake maps instead: the loss has the same
    value, but no gradient for the generator (docs/reference/hifigan.md, section "Losses").

    Parameters
    ----------
    real, fake
        For each discriminator its feature maps of recorded and of generated waves.
    as_reference
        Whether to detach the fake maps, to repeat the reference's training.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    Kong, Kim and Bae, "HiFi-GAN" (arXiv 2010.05646), equation 4.
    """
    terms = [
        F.l1_loss(f, r.detach())
        for real_maps, fake_maps in zip(real, fake, strict=True)
        for r, f in zip(real_maps[:-1], fake_maps[:-1], strict=True)
    ]
    total = torch.stack(terms).sum()
    return total.detach() if as_reference else total
