"""A base voice that costs little to fine-tune and to serve: the built-in one's labels, and small untrained networks."""

from dataclasses import replace

import torch
from kubevoice.voice import builtin_voice, seal_bundle
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.stages.trained_bundle import write_voice
from kubevoice_training.voice_checkpoint import load_weights, save_weights

ACOUSTIC = {
    "embedding": 32,
    "units": 32,
    "encoder_layers": 2,
    "encoder_inner": 32,
    "predictor_inner": 32,
    "predictor_memory": 16,
    "predictor_lstm": 16,
    "duration_prenet": (16, 16),
    "duration_lstm": 16,
    "decoder_layers": 2,
    "decoder_inner": 32,
    "decoder_prenet": (16, 16),
    "decoder_units": 32,
    "postnet_layers": 2,
    "postnet_inner": 16,
    "postnet_memory": 16,
    "postnet_lstm": 16,
}
LOG_DURATION = 2.0
"""About six frames a symbol."""


def make_small_base(folder):
    """Write the bundle of the base voice to `folder`, and return it."""
    weights = load_weights(builtin_voice("builtin://base") / "checkpoint")
    torch.manual_seed(1)
    weights.acoustic = Sambert(replace(weights.acoustic.config, **ACOUSTIC)).eval()
    weights.acoustic.variance_adaptor.duration_predictor.fc.bias.data.fill_(LOG_DURATION)
    weights.vocoder = Generator(replace(weights.vocoder.config, channels=32)).eval()
    save_weights(weights, folder / "checkpoint")
    manifest = write_voice(load_weights(folder / "checkpoint"), folder)
    return seal_bundle(folder, manifest.model_copy(update={"name": "small"}))
