"""Sizes of SAMBERT (docs/reference/sambert.md, configuration), and settings of a harmonic source."""

from dataclasses import dataclass

__all__ = ["F0_FLOOR_HZ", "SambertConfig", "SourceConfig"]

F0_FLOOR_HZ = 30.0
"""Lowest F0 that a vocoder with a harmonic source is given."""


@dataclass(frozen=True, slots=True)
class SambertConfig:
    """Sizes of SAMBERT; the defaults are those of KAN-TTS' 24 kHz configuration (12.3 M parameters).

    Field names are keys of checkpoints.

    Attributes
    ----------
    sy, tone, syllable_flag, word_segment, speakers, emotions : rows of the embedding tables.
    embedding : channels of a symbol's embedding.
    units, heads, encoder_layers, encoder_inner, encoder_kernel : of the FFT blocks; `encoder_inner` is the width of
        their feed-forward layers, `encoder_kernel` its kernel size in symbols.
    projection, speaker_units, emotion_units : channels of the hidden text and of the label embeddings.
    predictor_layers, predictor_inner, predictor_memory, predictor_lstm, filter_size, predictor_shift : of the pitch
        and energy predictors; the filter of their FSMN is `filter_size` symbols long.
    duration_prenet, duration_lstm : of the duration predictor.
    decoder_layers, decoder_inner, decoder_prenet, decoder_units, decoder_heads : of the mel decoder.
    outputs_per_step : r, frames a decoder step.
    n_mels : mel bins, and 2 more for a voice with a harmonic source.
    postnet_layers, postnet_inner, postnet_memory, postnet_shift, postnet_lstm, postnet_filter_size : of the post-net.
    dropout : probability of every dropout but the pre-nets'.
    alignment : whether the network has an aligner.
    """

    sy: int = 147
    tone: int = 10
    syllable_flag: int = 8
    word_segment: int = 8
    speakers: int = 4
    emotions: int = 36
    embedding: int = 512
    units: int = 128
    heads: int = 8
    encoder_layers: int = 8
    encoder_inner: int = 1024
    projection: int = 32
    speaker_units: int = 32
    emotion_units: int = 32
    predictor_layers: int = 3
    predictor_inner: int = 256
    predictor_memory: int = 128
    predictor_lstm: int = 128
    filter_size: int = 41
    duration_prenet: tuple[int, ...] = (128, 128)
    decoder_layers: int = 12
    decoder_inner: int = 1024
    decoder_prenet: tuple[int, ...] = (256, 256)
    outputs_per_step: int = 3
    n_mels: int = 80
    postnet_layers: int = 4
    postnet_inner: int = 512
    postnet_memory: int = 256
    postnet_shift: int = 17
    postnet_lstm: int = 128
    dropout: float = 0.1
    alignment: bool = True
    encoder_kernel: int = 3
    predictor_shift: int = 0
    decoder_units: int = 0
    """The four fields that are 0 by default become `units`, `heads`, `predictor_lstm` and `filter_size`."""
    decoder_heads: int = 0
    duration_lstm: int = 0
    postnet_filter_size: int = 0
    pitch_kernel: int = 9
    """Kernel size, in symbols, of the convolutions that embed pitch and energy."""

    def __post_init__(self) -> None:
        defaults = {
            "decoder_units": self.units,
            "decoder_heads": self.heads,
            "duration_lstm": self.predictor_lstm,
            "postnet_filter_size": self.filter_size,
        }
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)

    @property
    def condition_width(self) -> int:
        """Channels of [text | speaker | emotion], which the predictors read."""
        return self.projection + self.speaker_units + self.emotion_units

    @property
    def memory_width(self) -> int:
        """Channels of one decoder step's memory: r frames of text, one speaker, one emotion."""
        return self.projection * self.outputs_per_step + self.speaker_units + self.emotion_units


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Settings of a harmonic source; field names are keys of checkpoints.

    Attributes
    ----------
    overtones : number of them, beside the fundamental.
    sample_rate : in Hz.
    f0_offset, f0_scale : in Hz; normalized F0 is (F0 - offset) / scale.
    """

    overtones: int = 7
    sample_rate: int = 16000
    f0_offset: float = 30.0
    f0_scale: float = 700.0
