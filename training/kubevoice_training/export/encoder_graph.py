"""The networks that a bundle's encoder and post-net graphs are made of, cut from SAMBERT.

The encoder holds the whole path from symbol ids to decoder memory, its duration loop included, so it is written for
TorchScript's exporter: it turns the loop into an ONNX Loop.
"""

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.sambert import Sambert
from kubevoice_training.models.variance import DurationPredictor

__all__ = ["EncoderGraph", "PostNetGraph"]


def _duration_loop(
    condition: Tensor, prenet: list[Tensor], first: list[Tensor], second: list[Tensor], head: list[Tensor]
) -> Tensor:
    """`DurationPredictor.infer` as TorchScript, which exports as an ONNX Loop.

    condition is [N, C]; `prenet` and `head` are weights and biases, `first` and `second` the weights of the two
    LSTM layers (input, hidden, the sum of both biases; gates in torch's order). Returns log durations [N].
    """
    previous = torch.zeros(1, 1)
    h1 = torch.zeros(1, first[1].size(1))
    c1 = torch.zeros(1, first[1].size(1))
    h2 = torch.zeros(1, second[1].size(1))
    c2 = torch.zeros(1, second[1].size(1))
    predicted = condition[:0, :1]  # empty, of open length: a fixed shape would be believed by onnxruntime
    for n in range(condition.size(0)):
        x = torch.relu(torch.matmul(previous, prenet[0].t()) + prenet[1])
        x = torch.relu(torch.matmul(x, prenet[2].t()) + prenet[3])
        x = torch.cat([x, condition[n].unsqueeze(0)], dim=1)
        gates = torch.matmul(x, first[0].t()) + torch.matmul(h1, first[1].t()) + first[2]
        i, f, g, o = gates.chunk(4, dim=1)
        c1 = torch.sigmoid(f) * c1 + torch.sigmoid(i) * torch.tanh(g)
        h1 = torch.sigmoid(o) * torch.tanh(c1)
        gates = torch.matmul(h1, second[0].t()) + torch.matmul(h2, second[1].t()) + second[2]
        i, f, g, o = gates.chunk(4, dim=1)
        c2 = torch.sigmoid(f) * c2 + torch.sigmoid(i) * torch.tanh(g)
        h2 = torch.sigmoid(o) * torch.tanh(c2)
        previous = torch.relu(torch.matmul(h2, head[0].t()) + head[1])
        predicted = torch.cat([predicted, previous], dim=0)
    return predicted.squeeze(1)


with warnings.catch_warnings():
    # Deprecated, but its successors unroll a loop whose length depends on the input.
    warnings.simplefilter("ignore", FutureWarning)
    _scripted_duration_loop = torch.jit.script(_duration_loop)


def _infer_durations(predictor: DurationPredictor, condition: Tensor) -> Tensor:
    """Log durations [1, N] of condition [1, N, C]."""
    fcs, lstm = predictor.prenet.fcs, predictor.lstm
    layers = [
        [
            getattr(lstm, f"weight_ih_l{k}"),
            getattr(lstm, f"weight_hh_l{k}"),
            getattr(lstm, f"bias_ih_l{k}") + getattr(lstm, f"bias_hh_l{k}"),
        ]
        for k in (0, 1)
    ]
    prenet = [fcs[0].weight, fcs[0].bias, fcs[3].weight, fcs[3].bias]
    head = [predictor.fc.weight, predictor.fc.bias]
    return _scripted_duration_loop(condition[0], prenet, layers[0], layers[1], head).unsqueeze(0)


class EncoderGraph(nn.Module):
    """Symbol ids, mixing weights and controls to decoder memory; `Sambert.infer` up to its decoder."""

    def __init__(self, model: Sambert) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(
        self,
        sy: Tensor,
        tone: Tensor,
        syllable_flag: Tensor,
        word_segment: Tensor,
        emotion_weights: Tensor,
        speaker_weights: Tensor,
        duration_scale: Tensor,
        pitch_shift: Tensor,
        energy_shift: Tensor,
    ) -> tuple[Tensor, ...]:
        """Encode one utterance of T_text symbols.

        Parameters
        ----------
        sy, tone, syllable_flag, word_segment : [T_text], ids.
        emotion_weights : [T_text, emotions], mixing weights over the embedding table.
        speaker_weights : [T_text, speakers], the same for speakers.
        duration_scale : [T_text], factor of each symbol's duration.
        pitch_shift, energy_shift : [T_text], added to normalized pitch and energy.

        Returns
        -------
        memory : [S, d_memory], a row for each decoder step.
        memory_keys, memory_values : [layers, S, units], of the decoder's attention to the memory.
        durations : [T_text], in frames, unrounded.
        frames : [T_text], durations in whole frames.
        pitch, energy : [T_text], normalized, with their shifts.
        """
        model, adaptor = self.model, self.model.variance_adaptor
        ling = torch.stack([sy, tone, syllable_flag, word_segment], dim=-1).unsqueeze(0)
        text = model.text_encoder(ling, None)
        speaker = (speaker_weights @ model.spk_tokenizer.weight).unsqueeze(0)
        emotion = (emotion_weights @ model.emo_tokenizer.weight).unsqueeze(0)
        condition = torch.cat([text, speaker, emotion], dim=-1)
        pitch = adaptor.pitch_predictor(condition) + pitch_shift
        energy = adaptor.energy_predictor(condition) + energy_shift
        text = adaptor.add_pitch_and_energy(text, pitch, energy)
        log_durations = _infer_durations(adaptor.duration_predictor, torch.cat([text, speaker, emotion], dim=-1))
        durations = (log_durations.exp() - 1.0) * duration_scale
        frames = (durations + 0.5).to(torch.int64)
        memory = self._build_memory(text, speaker, emotion, frames)
        keys, values = [], []
        for block in model.mel_decoder.mel_dec.get_blocks():
            key, value = block.pnca_attn.w_h_kv(memory).chunk(2, dim=-1)
            keys.append(key)
            values.append(value)
        return memory[0], torch.cat(keys), torch.cat(values), durations[0], frames[0], pitch[0], energy[0]

    def _build_memory(self, text: Tensor, speaker: Tensor, emotion: Tensor, frames: Tensor) -> Tensor:
        """`Sambert.build_memory` by comparison and gathering, which export with every length left open."""
        r, width = self.model.config.outputs_per_step, self.model.config.projection
        ends = frames[0].cumsum(0)
        total = ends[-1]
        time = torch.arange((total + r - 1) // r * r)  # type: ignore[call-overload]  # a tensor keeps the length open
        inside = (time < total).unsqueeze(-1)
        symbol = (time.unsqueeze(1) >= ends.unsqueeze(0)).sum(dim=1).clamp(max=frames.shape[1] - 1)
        positions = torch.where(inside.squeeze(-1), time - (ends - frames[0])[symbol] + 1, 0)
        joined = torch.cat([text, speaker, emotion], dim=-1)[0][symbol] * inside
        encoded = joined[:, :width] + self.model.variance_adaptor.dur_position_encoder(positions)
        folded = torch.cat([encoded.reshape(-1, r * width), joined[::r, width:]], dim=-1)
        return folded.unsqueeze(0)


class PostNetGraph(nn.Module):
    """The post-net as a streaming network: a block of mel in, refined mel out.

    Each FSMN layer looks `ahead` frames ahead, so that all L layers together are `delay` frames late. The caller keeps
    the states between blocks; their shapes are in `states`, and all are zero for the first block. The names of inputs
    and states are part of a bundle's format (docs/bundle.md).
    """

    def __init__(self, model: Sambert) -> None:
        super().__init__()
        self.postnet = model.mel_postnet
        fsmn, config = self.postnet.fsmn, model.config
        self.left, self.ahead = fsmn.padding
        layers = len(fsmn.get_layers())
        self.delay = layers * self.ahead
        around = layers if config.n_mels == config.postnet_memory else layers - 1
        self.states = {
            "late": (self.delay, config.n_mels),
            "contexts": (layers, self.left + self.ahead, config.postnet_memory),
            "entered": (around, self.ahead, config.postnet_memory),
            "hidden": (1, 1, config.postnet_lstm),
            "cell": (1, 1, config.postnet_lstm),
        }

    @override
    def forward(
        self,
        mel: Tensor,
        valid: Tensor,
        skip: Tensor,
        late: Tensor,
        contexts: Tensor,
        entered: Tensor,
        hidden: Tensor,
        cell: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Refine one block of T frames.

        Parameters
        ----------
        mel : [T, M], from the decoder.
        valid : [delay + T], 1 for frames of the utterance and 0 before and after; from `delay` frames before the block.
        skip : [1], leading outputs to leave out: `delay` for the first block, then 0.
        late : [delay, M], the last frames of the decoder's mel.
        contexts : [L, left + ahead, C], the last inputs of each layer's filter.
        entered : [R, ahead, C], the last inputs of the R layers with a residual connection.
        hidden, cell : [1, 1, C], the LSTM's state.

        Returns
        -------
        tuple of Tensor
            Refined mel [T - skip, M], then the next `late`, `contexts`, `entered`, `hidden` and `cell`.
        """
        size, x, place = mel.shape[0], mel.unsqueeze(0), self.delay
        next_contexts: list[Tensor] = []
        next_entered: list[Tensor] = []
        for i, (feed, memory) in enumerate(self.postnet.fsmn.get_layers()):
            fed = feed.w_2(F.relu(feed.w_1(x.transpose(1, 2)))).transpose(1, 2)
            window = torch.cat([contexts[i : i + 1], fed * valid[place : place + size, None]], dim=1)
            place -= self.ahead
            spread = memory.conv_dw(window.transpose(1, 2)).transpose(1, 2) + window[:, self.left : self.left + size]
            spread = spread * valid[place : place + size, None]
            if x.shape[-1] == spread.shape[-1]:
                around = torch.cat([entered[len(next_entered) : len(next_entered) + 1], x], dim=1)
                x = spread + around[:, :size]
                next_entered.append(around[:, size:])
            else:
                x = spread
            next_contexts.append(window[:, size:])
        outputs = torch.arange(skip[0], size)  # type: ignore[call-overload]  # a tensor keeps the length open
        recurrent, (hidden, cell) = self.postnet.lstm(x.index_select(1, outputs), (hidden, cell))
        all_mel = torch.cat([late, mel])
        refined = all_mel[:size].index_select(0, outputs) + self.postnet.fc(recurrent)[0]
        rest = torch.cat(next_entered) if next_entered else entered
        return refined, all_mel[size:], torch.cat(next_contexts), rest, hidden, cell
