"""Length regulator of SAMBERT: from symbols to frames by durations.

Shapes: B utterances, T_text symbols, T_mel frames, C channels.
"""

import torch
from torch import Tensor

__all__ = ["number_frames", "regulate_length"]


def regulate_length(x: Tensor, durations: Tensor, mel_length: int | None = None) -> Tensor:
    """Repeat each symbol's row for its duration.

    Parameters
    ----------
    x : [B, T_text, C]
    durations : [B, T_text], whole frames; all rows sum to T_mel.
    mel_length : T_mel, if known; nothing has to be read back from a GPU then.

    Returns
    -------
    Tensor
        [B, T_mel, C]

    References
    ----------
    Ren et al., "FastSpeech" (arXiv 1905.09263), section 3.2.
    """
    size = None if mel_length is None else mel_length * len(x)
    repeated = x.flatten(0, 1).repeat_interleave(durations.flatten(), dim=0, output_size=size)
    return repeated.unflatten(0, (len(x), -1))


def number_frames(durations: Tensor, mel_length: int | None = None) -> Tensor:
    """Number the frames of each symbol from 1.

    Parameters
    ----------
    durations : [B, T_text], whole frames; all rows sum to T_mel.
    mel_length : T_mel, if known; nothing has to be read back from a GPU then.

    Returns
    -------
    Tensor
        [B, T_mel]
    """
    starts = regulate_length((durations.cumsum(1) - durations).unsqueeze(-1), durations, mel_length).squeeze(-1)
    return torch.arange(1, starts.shape[1] + 1, device=durations.device) - starts
