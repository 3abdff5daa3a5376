"""How far generated audio is from recorded audio, by its spectra."""

from dataclasses import replace

import torch
from kubevoice.audio.mel import MelConfig
from torch import Tensor, nn
from typing_extensions import override

from kubevoice_training.finetuning.vocoder_losses import MelLoss, SpectralLoss

__all__ = ["ReconstructionLosses"]

HARMONICS_BELOW = 2000.0
"""Hz; below, a voice's harmonics are heard one by one."""


class ReconstructionLosses(nn.Module):
    """Distances between generated and recorded waves, by name.

    `mel`
        Log-mels of the voice's own frames, up to 12 kHz.
    `short_mel`
        Log-mels of 17 ms frames, because consonants are over within 20 ms.
    `stft`
        Magnitude spectra at three resolutions.
    `harmonics`
        Log-mels of 85 ms frames in narrow bands up to 2 kHz: they show whether harmonics waver, which is heard as
        hoarseness.
    """

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        long = MelConfig(
            sample_rate=config.sample_rate,
            n_fft=config.n_fft,
            win_length=config.win_length,
            hop_length=config.hop_length,
            n_mels=config.n_mels,
            fmin=0.0,
            fmax=min(12_000.0, config.sample_rate / 2),
        )
        short = replace(long, n_fft=512, win_length=400, hop_length=120, n_mels=64)
        narrow = replace(long, n_fft=2048, win_length=2048, hop_length=300, fmax=HARMONICS_BELOW)
        self.long, self.short, self.narrow = MelLoss(long), MelLoss(short), MelLoss(narrow)
        self.spectral = SpectralLoss(((512, 80, 320), (1024, 180, 800), (256, 40, 160)))

    @override
    def forward(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Compare generated with recorded waves.

        Parameters
        ----------
        fake, real
            Waves in -1..1, shape [B, 1, samples].

        Returns
        -------
        dict
            Scalars by name, not yet weighted.
        """
        return {
            "mel": self.long(fake, real),
            "short_mel": self.short(fake, real),
            "stft": self.spectral(fake, real),
            "harmonics": self.harmonics(fake, real),
        }

    def harmonics(self, fake: Tensor, real: Tensor) -> Tensor:
        """Compare the harmonics of waves; a subclass may compare a part of the batch only.

        Parameters
        ----------
        fake, real
            Waves [B, 1, T] in -1..1.

        Returns
        -------
        Tensor
            A scalar.
        """
        return torch.as_tensor(self.narrow(fake, real))
