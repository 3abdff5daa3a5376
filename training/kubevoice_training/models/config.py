"""Sizes of SAMBERT (facts file §2)."""

from dataclasses import dataclass

__all__ = [
    "SambertConfig",
]


@dataclass(frozen=True, slots=True)
class SambertConfig:
    """Sizes; the defaults are the reference's 24 kHz configuration (12.3 M parameters)."""

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
    """These four are 0 for the same as the rest of the network: `units`, `heads`, `predictor_lstm`, `filter_size`."""
    decoder_heads: int = 0
    duration_lstm: int = 0
    postnet_filter_size: int = 0
    pitch_kernel: int = 9
    """Width, in symbols, of the convolutions that pitch and energy are embedded with."""

    def __post_init__(self) -> None:
        same = {
            "decoder_units": self.units,
            "decoder_heads": self.heads,
            "duration_lstm": self.predictor_lstm,
            "postnet_filter_size": self.filter_size,
        }
        for name, value in same.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)

    @property
    def condition(self) -> int:
        """Width of [text | speaker | emotion]."""
        return self.projection + self.speaker_units + self.emotion_units

    @property
    def memory(self) -> int:
        """Width of one decoder step's memory: r frames of text, one speaker, one emotion."""
        return self.projection * self.outputs_per_step + self.speaker_units + self.emotion_units
