"""Choosing which parameters a fine-tuning may change."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from kubevoice.errors import InputError
from torch import nn

from kubevoice_training.models.sambert import Sambert

__all__ = ["groups", "select_trainable", "trainable_table"]


def groups(model: Sambert) -> dict[str, tuple[str, ...]]:
    """Named groups of parameters, each a tuple of glob patterns over parameter names."""
    last = model.config.decoder_layers - 1
    decoder = "mel_decoder.mel_dec"
    return {
        "all": ("*",),
        "emotion_embedding": ("emo_tokenizer.*",),
        "speaker_embedding": ("spk_tokenizer.*",),
        "text_encoder": ("text_encoder.*",),
        "variance_adaptor": ("variance_adaptor.*",),
        "decoder": ("mel_decoder.*",),
        "decoder.last": (f"{decoder}.pnca.{last}.*", f"{decoder}.ln.*", f"{decoder}.dec_out_proj.*"),
        "postnet": ("mel_postnet.*",),
        "aligner": ("align_attention.*",),
    }


def select_trainable(model: Sambert, wanted: Sequence[str]) -> list[nn.Parameter]:
    """Freeze all parameters but those of the wanted groups or glob patterns; return what may change.

    Raises InputError, with what there is, for a word that is no group and matches no parameter.
    """
    named, known = dict(model.named_parameters()), groups(model)
    chosen: set[str] = set()
    for word in wanted:
        patterns = known.get(word, (word,))
        found = {name for name in named if any(fnmatchcase(name, pattern) for pattern in patterns)}
        if not found:
            modules = sorted({".".join(name.split(".")[:2]) for name in named})
            raise InputError(
                f"spec.training.trainable: {word!r} is no group and matches no parameter; use a group "
                f"({', '.join(known)}) or a pattern over parameter names, such as 'mel_decoder.*'",
                [f"{module}.*" if module not in named else module for module in modules],
            )
        chosen |= found
    for name, parameter in named.items():
        parameter.requires_grad_(name in chosen)
    return [parameter for name, parameter in named.items() if name in chosen]


def trainable_table(model: nn.Module) -> list[tuple[str, int, int]]:
    """Rows (module, trainable parameters, all parameters) for people."""
    rows: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        row = rows.setdefault(name.split(".")[0], [0, 0])
        row[0] += parameter.numel() if parameter.requires_grad else 0
        row[1] += parameter.numel()
    return [(name, free, total) for name, (free, total) in rows.items()]
