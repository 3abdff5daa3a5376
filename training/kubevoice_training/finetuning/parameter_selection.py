"""Choosing which parameters a fine-tuning may change."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from kubevoice.errors import InputError
from torch import nn

from kubevoice_training.models.sambert import Sambert

__all__ = ["count_trainable", "list_parameter_groups", "select_trainable"]


def list_parameter_groups(model: Sambert) -> dict[str, tuple[str, ...]]:
    """List the groups of parameters that `spec.training.trainable` can name.

    Parameters
    ----------
    model
        The acoustic model.

    Returns
    -------
    dict
        Glob patterns over parameter names, by group.
    """
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


def select_trainable(model: Sambert, requested: Sequence[str]) -> list[nn.Parameter]:
    """Freeze all parameters but the selected ones.

    Parameters
    ----------
    model
        The acoustic model, whose parameters' `requires_grad` is set.
    requested
        Names of groups, or glob patterns over parameter names.

    Returns
    -------
    list
        The selected parameters.

    Raises
    ------
    InputError
        For a name that is not a group and matches no parameter. It lists the groups and the modules.
    """
    named, groups = dict(model.named_parameters()), list_parameter_groups(model)
    selected: set[str] = set()
    for word in requested:
        patterns = groups.get(word, (word,))
        matches = {name for name in named if any(fnmatchcase(name, pattern) for pattern in patterns)}
        if not matches:
            modules = sorted({".".join(name.split(".")[:2]) for name in named})
            raise InputError(
                f"spec.training.trainable: {word!r} is not a group and matches no parameter; use a group "
                f"({', '.join(groups)}) or a pattern over parameter names, such as 'mel_decoder.*'",
                [f"{module}.*" if module not in named else module for module in modules],
            )
        selected |= matches
    for name, parameter in named.items():
        parameter.requires_grad_(name in selected)
    return [parameter for name, parameter in named.items() if name in selected]


def count_trainable(model: nn.Module) -> list[tuple[str, int, int]]:
    """Count the parameters of each top-level module.

    Parameters
    ----------
    model
        A network whose parameters were selected.

    Returns
    -------
    list[tuple[str, int, int]]
        For each module its name, its trainable parameters and all its parameters.
    """
    rows: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        row = rows.setdefault(name.split(".")[0], [0, 0])
        row[0] += parameter.numel() if parameter.requires_grad else 0
        row[1] += parameter.numel()
    return [(name, free, total) for name, (free, total) in rows.items()]
