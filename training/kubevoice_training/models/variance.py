"""Variance adaptor of SAMBERT: pitch, energy and duration of each symbol, predicted and applied.

Ren et al., "FastSpeech 2" (arXiv 2006.04558), section 2.3, with the predictors of KAN-TTS
(docs/reference/sambert.md, variance adaptor). Pitch and energy are normalized by the statistics of the voice.

Shapes: B utterances, T_text symbols, T_mel frames; d_condition is the width of [text | speaker | emotion].
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.layers import Fsmn, PreNet, sequence_mask

__all__ = ["DurationPredictor", "VarianceAdaptor", "Variances"]

# On a GPU, torch joins the weights of one direction of an LSTM at each call: half a megabyte, not worth a warning.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")


def reverse_sequences(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the valid part of each sequence; the padding after it stays where it is.

    Parameters
    ----------
    x : [B, T, C]
    lengths : [B]

    Returns
    -------
    Tensor
        [B, T, C]
    """
    positions = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    last = lengths.unsqueeze(1) - 1
    return x.gather(1, torch.where(positions <= last, last - positions, positions).unsqueeze(-1).expand_as(x))


class VariancePredictor(nn.Module):
    """Predictor of pitch or energy: FSMN, bidirectional LSTM and a linear layer."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.fsmn = Fsmn(
            c.condition_width,
            c.predictor_inner,
            c.predictor_memory,
            c.predictor_layers,
            c.filter_size,
            c.predictor_shift,
            c.dropout,
        )
        self.blstm = nn.LSTM(c.predictor_memory, c.predictor_lstm, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * c.predictor_lstm, 1)

    @override
    def forward(self, condition: Tensor, text_lengths: Tensor | None = None) -> Tensor:
        """Predict a value for each symbol.

        Parameters
        ----------
        condition : [B, T_text, d_condition]
        text_lengths : [B], optional
            Without it every symbol is valid.

        Returns
        -------
        Tensor
            [B, T_text], zero beyond the text lengths.
        """
        if text_lengths is None:
            return self.fc(self.blstm(self.fsmn(condition))[0]).squeeze(-1)
        mask = sequence_mask(text_lengths, condition.shape[1])
        hidden = self.fsmn(condition, mask)
        # Each direction on its own, over the reversed valid part: packing sequences would bring the lengths to the
        # CPU, which stalls a GPU and its CUDA graphs.
        ahead = self._run_direction(hidden, 0)
        back = reverse_sequences(self._run_direction(reverse_sequences(hidden, text_lengths), 1), text_lengths)
        return self.fc(torch.cat([ahead, back], dim=-1)).squeeze(-1).masked_fill(~mask, 0.0)

    def _run_direction(self, x: Tensor, direction: int) -> Tensor:
        """Run one direction of the LSTM from left to right: [B, T, C] to [B, T, H]."""
        suffix = "_reverse" if direction else ""
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        weights = [getattr(self.blstm, name + suffix) for name in names]
        zeros = x.new_zeros(1, len(x), self.blstm.hidden_size)
        hidden: Tensor = torch.lstm(x, [zeros, zeros], weights, True, 1, 0.0, self.training, False, True)[0]
        return hidden


class DurationPredictor(nn.Module):
    """Predictor of log(duration + 1), duration in frames, autoregressive over symbols."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.prenet = PreNet(1, c.duration_prenet)
        self.lstm = nn.LSTM(c.duration_prenet[-1] + c.condition_width, c.duration_lstm, num_layers=2, batch_first=True)
        self.fc = nn.Linear(c.duration_lstm, 1)

    @override
    def forward(self, condition: Tensor, durations: Tensor) -> Tensor:
        """Predict with the true previous durations (teacher forcing).

        Parameters
        ----------
        condition : [B, T_text, d_condition]
        durations : [B, T_text] in frames.

        Returns
        -------
        Tensor
            log(duration + 1) [B, T_text]
        """
        previous = F.pad(torch.log(durations[:, :-1].float() + 1.0), (1, 0)).unsqueeze(-1)
        hidden, _ = self.lstm(torch.cat([self.prenet(previous), condition], dim=-1))
        return F.relu(self.fc(hidden)).squeeze(-1)

    def infer(self, condition: Tensor) -> Tensor:
        """Predict with the model's own previous predictions.

        Parameters
        ----------
        condition : [B, T_text, d_condition]

        Returns
        -------
        Tensor
            log(duration + 1) [B, T_text]
        """
        previous = condition.new_zeros(len(condition), 1, 1)
        state: tuple[Tensor, Tensor] | None = None
        predictions = []
        for n in range(condition.shape[1]):
            hidden, state = self.lstm(torch.cat([self.prenet(previous), condition[:, n : n + 1]], -1), state)
            previous = F.relu(self.fc(hidden))
            predictions.append(previous)
        return torch.cat(predictions, dim=1).squeeze(-1)


class DurationPositionEncoder(nn.Module):
    """Sinusoidal encoding of each frame's position within its symbol."""

    inv_timescales: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        divisors = 10000.0 ** (2.0 * (torch.arange(width) // 2) / width)
        self.register_buffer("inv_timescales", divisors)

    @override
    def forward(self, positions: Tensor) -> Tensor:
        """Encode positions.

        Parameters
        ----------
        positions : [..., T_mel], 1 for the first frame of its symbol, 0 for padding.

        Returns
        -------
        Tensor
            [..., T_mel, width]
        """
        angle = positions.unsqueeze(-1).float() / self.inv_timescales
        even = torch.arange(angle.shape[-1], device=angle.device) % 2 == 0
        return torch.where(even, angle.sin(), angle.cos())


@dataclass(slots=True)
class Variances:
    """Predictions for each symbol [B, T_text], and the text they are applied to.

    Attributes
    ----------
    text : [B, T_text, projection], with pitch and energy added.
    pitch, energy : normalized predictions.
    log_durations : log(duration + 1), duration in frames.
    """

    text: Tensor
    pitch: Tensor
    energy: Tensor
    log_durations: Tensor


class VarianceAdaptor(nn.Module):
    """Predictors of pitch, energy and duration, and the embeddings that add pitch and energy to the text."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.pitch_predictor = VariancePredictor(c)
        self.energy_predictor = VariancePredictor(c)
        self.duration_predictor = DurationPredictor(c)
        self.dur_position_encoder = DurationPositionEncoder(c.projection)
        self.pitch_emb = nn.Conv1d(1, c.projection, c.pitch_kernel, padding=c.pitch_kernel // 2)
        self.energy_emb = nn.Conv1d(1, c.projection, c.pitch_kernel, padding=c.pitch_kernel // 2)

    def add_pitch_and_energy(self, text: Tensor, pitch: Tensor, energy: Tensor) -> Tensor:
        """Embed pitch and energy and add them to the text.

        Parameters
        ----------
        text : [B, T_text, projection]
        pitch, energy : [B, T_text], normalized.

        Returns
        -------
        Tensor
            [B, T_text, projection]
        """
        embedded = self.pitch_emb(pitch.unsqueeze(1)) + self.energy_emb(energy.unsqueeze(1))
        return text + embedded.transpose(1, 2)

    @override
    def forward(
        self,
        text: Tensor,
        labels: Tensor,
        text_lengths: Tensor,
        pitch: Tensor,
        energy: Tensor,
        durations: Tensor,
    ) -> Variances:
        """Predict all three, and apply the true pitch and energy (teacher forcing).

        1. Predict pitch and energy from [text | speaker | emotion].
        2. Add the embedded true pitch and energy to the text.
        3. Predict durations from the result and the true previous durations.

        Parameters
        ----------
        text : [B, T_text, projection]
        labels : [B, T_text, d_speaker + d_emotion], speaker and emotion embeddings.
        text_lengths : [B]
        pitch, energy : [B, T_text], normalized.
        durations : [B, T_text] in frames.

        Returns
        -------
        Variances
            Predictions are zero beyond the text lengths.
        """
        condition = torch.cat([text, labels], dim=-1)
        predicted_pitch = self.pitch_predictor(condition, text_lengths)
        predicted_energy = self.energy_predictor(condition, text_lengths)
        text = self.add_pitch_and_energy(text, pitch, energy)
        log_durations = self.duration_predictor(torch.cat([text, labels], dim=-1), durations)
        log_durations = log_durations.masked_fill(~sequence_mask(text_lengths, text.shape[1]), 0.0)
        return Variances(text, predicted_pitch, predicted_energy, log_durations)

    def infer(self, text: Tensor, labels: Tensor, text_lengths: Tensor) -> Variances:
        """Predict all three and apply the predicted pitch and energy.

        Parameters
        ----------
        text : [B, T_text, projection]
        labels : [B, T_text, d_speaker + d_emotion], speaker and emotion embeddings.
        text_lengths : [B]

        Returns
        -------
        Variances
            Predictions; log durations beyond the text lengths have no meaning.
        """
        condition = torch.cat([text, labels], dim=-1)
        pitch = self.pitch_predictor(condition, text_lengths)
        energy = self.energy_predictor(condition, text_lengths)
        text = self.add_pitch_and_energy(text, pitch, energy)
        log_durations = self.duration_predictor.infer(torch.cat([text, labels], dim=-1))
        return Variances(text, pitch, energy, log_durations)
