"""Variance adaptor of SAMBERT: pitch, energy and duration of each symbol, predicted and applied (facts file §2).

Shapes: B utterances, N symbols, T frames.
"""

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.layers import Fsmn, PreNet, valid

__all__ = ["DurationPredictor", "VarianceAdaptor"]

# Of a GPU: it puts the weights of one direction of an LSTM together at each call, which are half a megabyte.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")


def turned(x: Tensor, lengths: Tensor) -> Tensor:
    """Turn the first `lengths` [B] rows of x [B, N, C] round; the rest stay where they are."""
    places = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    last = lengths.unsqueeze(1) - 1
    return x.gather(1, torch.where(places <= last, last - places, places).unsqueeze(-1).expand_as(x))


class VariancePredictor(nn.Module):
    """Pitch or energy per symbol: FSMN, bidirectional LSTM, projection; [B, N, C] to [B, N]."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.fsmn = Fsmn(
            c.condition,
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
    def forward(self, x: Tensor, symbols: Tensor | None = None) -> Tensor:
        if symbols is None:
            return self.fc(self.blstm(self.fsmn(x))[0]).squeeze(-1)
        mask = valid(symbols, x.shape[1])
        context = self.fsmn(x, mask)
        # Each direction by itself and the valid part turned round, for to pack sequences the lengths would have to
        # come to the processor, which stops a GPU and its graphs.
        ahead = self._direction(context, 0)
        back = turned(self._direction(turned(context, symbols), 1), symbols)
        return self.fc(torch.cat([ahead, back], dim=-1)).squeeze(-1).masked_fill(~mask, 0.0)

    def _direction(self, x: Tensor, number: int) -> Tensor:
        """Run one direction of the LSTM from left to right: [B, N, C] to [B, N, H]."""
        suffix = "_reverse" if number else ""
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        weights = [getattr(self.blstm, name + suffix) for name in names]
        empty = x.new_zeros(1, len(x), self.blstm.hidden_size)
        hidden: Tensor = torch.lstm(x, [empty, empty], weights, True, 1, 0.0, self.training, False, True)[0]
        return hidden


class DurationPredictor(nn.Module):
    """log(duration + 1) per symbol, autoregressive over symbols."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.prenet = PreNet(1, c.duration_prenet)
        self.lstm = nn.LSTM(c.duration_prenet[-1] + c.condition, c.duration_lstm, num_layers=2, batch_first=True)
        self.fc = nn.Linear(c.duration_lstm, 1)

    @override
    def forward(self, condition: Tensor, durations: Tensor) -> Tensor:
        """Predict with true previous durations [B, N]; returns [B, N]."""
        previous = F.pad(torch.log(durations[:, :-1].float() + 1.0), (1, 0)).unsqueeze(-1)
        hidden, _ = self.lstm(torch.cat([self.prenet(previous), condition], dim=-1))
        return F.relu(self.fc(hidden)).squeeze(-1)

    def infer(self, condition: Tensor) -> Tensor:
        """Feed each prediction back; condition [B, N, C] to [B, N]."""
        previous = condition.new_zeros(len(condition), 1, 1)
        state: tuple[Tensor, Tensor] | None = None
        predicted = []
        for n in range(condition.shape[1]):
            hidden, state = self.lstm(torch.cat([self.prenet(previous), condition[:, n : n + 1]], -1), state)
            previous = F.relu(self.fc(hidden))
            predicted.append(previous)
        return torch.cat(predicted, dim=1).squeeze(-1)


class DurationPositionEncoder(nn.Module):
    """Place of each frame within its symbol."""

    inv_timescales: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        divisors = 10000.0 ** (2.0 * (torch.arange(width) // 2) / width)
        self.register_buffer("inv_timescales", divisors)

    @override
    def forward(self, places: Tensor) -> Tensor:
        """Encode places [B, T], 1 = first frame of its symbol, 0 = padding: [B, T, width]."""
        angle = places.unsqueeze(-1).float() / self.inv_timescales
        even = torch.arange(angle.shape[-1], device=angle.device) % 2 == 0
        return torch.where(even, angle.sin(), angle.cos())


class VarianceAdaptor(nn.Module):
    """Pitch, energy and duration, predicted and applied."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.pitch_predictor = VariancePredictor(c)
        self.energy_predictor = VariancePredictor(c)
        self.duration_predictor = DurationPredictor(c)
        self.dur_position_encoder = DurationPositionEncoder(c.projection)
        self.pitch_emb = nn.Conv1d(1, c.projection, c.pitch_kernel, padding=c.pitch_kernel // 2)
        self.energy_emb = nn.Conv1d(1, c.projection, c.pitch_kernel, padding=c.pitch_kernel // 2)

    def augment(self, text: Tensor, pitch: Tensor, energy: Tensor) -> Tensor:
        """Add embedded pitch and energy [B, N] to the hidden text [B, N, C]."""
        added = self.pitch_emb(pitch.unsqueeze(1)) + self.energy_emb(energy.unsqueeze(1))
        return text + added.transpose(1, 2)
