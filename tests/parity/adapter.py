"""Runs the product's networks on the reference's parity cases, as ../shared/parity/check.py calls them."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from kubevoice.audio.mel import MelConfig, log_mel
from kubevoice.text.symbols import SymbolReader
from kubevoice.voice.modelscope import read_model_part
from kubevoice_training.finetuning.acoustic_step import average_per_symbol, compute_reconstruction_losses
from kubevoice_training.finetuning.vocoder_losses import MelLoss, read_reference_mel
from kubevoice_training.models.aligner import beta_binomial_prior, monotonic_alignment_search
from kubevoice_training.models.config import SourceConfig
from kubevoice_training.models.layers import sequence_mask
from kubevoice_training.models.nsf import denormalize_f0
from kubevoice_training.models.sambert import AcousticBatch
from kubevoice_training.modelscope.acoustic import load_sambert
from kubevoice_training.modelscope.recipe import compute_noam_rate
from kubevoice_training.modelscope.tensors import read_tensors
from kubevoice_training.modelscope.vocoder import load_generator, read_f0_scaling

PHONES = ("sy", "tone", "syllable_flag", "word_segment")


@lru_cache(maxsize=1)
def _load_sambert(am_dir):
    return load_sambert(read_model_part(Path(am_dir)))


@lru_cache(maxsize=1)
def _load_generator(voc_dir, am_dir=None):
    return load_generator(read_model_part(Path(voc_dir)), read_model_part(Path(am_dir)) if am_dir else None)


def _load_model_and_speaker(am_dir, inputs):
    """Return the acoustic model, and the speaker's row for each symbol. Load a personal voice with its table."""
    shape = inputs["emo"].shape
    if "spk_emb" not in inputs:
        model = _load_sambert(am_dir)
        return model, torch.from_numpy(inputs["spk"] if model.config.speakers > 1 else np.zeros(shape, np.int64))
    table = np.asarray(inputs["spk_emb"], np.float32)
    rows = np.arange(table.size // table.shape[-1]).reshape(table.shape[:-1])
    rows = np.broadcast_to(rows.reshape(rows.shape + (1,) * (len(shape) - rows.ndim)), shape)
    return load_sambert(read_model_part(Path(am_dir)), table), torch.from_numpy(rows.copy())


def encode(am_dir, symbols):
    return SymbolReader.from_config(read_model_part(Path(am_dir)).config["linguistic_unit"]).encode(symbols)


def am_infer(am_dir, inputs):
    model, speaker = _load_model_and_speaker(am_dir, inputs)
    output = model.infer(torch.from_numpy(inputs["ling"]), torch.from_numpy(inputs["emo"]), speaker)
    outputs = {
        "dec_outputs": output.decoder_mel.numpy(),
        "postnet_outputs": output.postnet_mel.numpy(),
        "log_durations": output.log_durations.numpy(),
        "durations_float": output.unrounded_durations.numpy(),
        "durations": output.durations.numpy(),
        "pitch": output.pitch.numpy(),
        "energy": output.energy.numpy(),
    }
    outputs |= {"x_band_width": output.band_width, "h_band_width": output.band_width}
    outputs["length"] = len(outputs["postnet_outputs"])
    part = read_model_part(Path(am_dir))
    if part.config["Model"]["KanTtsSAMBERT"]["params"].get("NSF"):
        offset, scale = read_f0_scaling(part)
        source = SourceConfig(f0_offset=offset, f0_scale=scale)
        outputs["mel_denorm"] = denormalize_f0(output.postnet_mel, source).numpy()
    return outputs


def _synthesize(generator, mel):
    """Return the samples [T] for a mel [T_mel, M], with the source's noise and phases at zero as in the cases."""
    excitation = ()
    if (source := generator.config.source) is not None:
        harmonics = source.overtones + 1
        excitation = (torch.zeros(1, harmonics, len(mel) * generator.config.hop), torch.zeros(harmonics, 1))
    with torch.inference_mode():
        return generator(mel.T.unsqueeze(0), *excitation)[0, 0].numpy()


def voc_infer(voc_dir, mel):
    return _synthesize(_load_generator(voc_dir), torch.from_numpy(np.asarray(mel)))


def e2e(am_dir, voc_dir, symbols):
    ids = {name: row[:-1] for name, row in encode(am_dir, symbols).items()}
    ling, emotion = np.stack([ids[name] for name in PHONES], axis=1), ids["emo_category"]
    model, speaker = _load_model_and_speaker(am_dir, {"emo": emotion, "spk": ids["speaker_category"]})
    mel = model.infer(torch.from_numpy(ling), torch.from_numpy(emotion), speaker).postnet_mel
    generator = _load_generator(voc_dir, am_dir)
    source = generator.config.source
    return _synthesize(generator, mel if source is None else denormalize_f0(mel, source))


def _build_prior(inputs, slots):
    for name, value in inputs.items():
        if "prior" in name:
            return torch.from_numpy(np.asarray(value, np.float32)).reshape(len(value), -1, slots)
    prior = np.ones((*inputs["mel_targets"].shape[:2], slots), np.float32)
    for row, n, t in zip(prior, inputs["input_lengths"], inputs["output_lengths"], strict=True):
        row[:t, : n + 1] = beta_binomial_prior(int(n) + 1, int(t))
    return torch.from_numpy(prior)


def _align(model, batch, prior):
    """Set the batch's durations from the model's aligner, and average pitch and energy over them."""
    mask = sequence_mask(batch.text_lengths, batch.ling.shape[1])
    soft, _ = model.align_attention(batch.mel, model.text_encoder.embed(batch.ling), mask, prior)
    durations = monotonic_alignment_search(soft, batch.text_lengths, batch.mel_lengths)
    batch.pitch, batch.energy = average_per_symbol(batch.pitch, durations), average_per_symbol(batch.energy, durations)
    batch.durations = durations.clone()
    batch.durations[torch.arange(len(durations)), batch.text_lengths] += batch.mel.shape[1] - batch.mel_lengths


def am_teacher(am_dir, inputs):
    model, speaker = _load_model_and_speaker(am_dir, inputs)
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in inputs.items() if name != "spk"}
    aligned = bool(inputs.get("mas", False))
    batch = AcousticBatch(
        ling=tensors["ling"],
        emotion=tensors["emo"],
        speaker=speaker,
        text_lengths=tensors["input_lengths"],
        mel=tensors["mel_targets"],
        mel_lengths=tensors["output_lengths"],
        durations=torch.zeros_like(tensors["emo"]) if aligned else tensors["duration_targets"],
        pitch=tensors["pitch_targets"],
        energy=tensors["energy_targets"],
    )
    if aligned:
        _align(model, batch, _build_prior(inputs, batch.ling.shape[1]))
    model.zero_grad()
    output = model(batch)
    mel, duration, pitch, energy = compute_reconstruction_losses(output, batch)
    frames = sequence_mask(batch.mel_lengths, batch.mel.shape[1]).unsqueeze(-1)
    before = ((output.decoder_mel - batch.mel).abs() * frames).sum() / (frames.sum() * batch.mel.shape[-1])
    outputs = {
        "dec_outputs": output.decoder_mel,
        "postnet_outputs": output.postnet_mel,
        "log_durations": output.log_durations,
        "pitch": output.pitch,
        "energy": output.energy,
        "mel_loss_": before,
        "mel_loss": mel - before,
        "dur_loss": duration,
        "pitch_loss": pitch,
        "energy_loss": energy,
    }
    if not aligned:
        outputs["total"] = mel + duration + pitch + energy
        outputs["total"].backward()
        parameters = dict(model.named_parameters())
        order = [
            name for name in read_tensors(read_model_part(Path(am_dir)).checkpoint, ["model"]) if name in parameters
        ]
        outputs["grad_norms"] = torch.stack(
            [parameters[n].grad.norm() for n in order if parameters[n].grad is not None]
        )
    return {name: value.detach().numpy() for name, value in outputs.items()} | {"x_band_width": output.band_width}


def mel_extract(config, wav):
    return log_mel(wav, MelConfig.from_reference(config))


def mel_loss(params, y, y_hat):
    loss, real, fake = MelLoss(read_reference_mel(params)), torch.from_numpy(y), torch.from_numpy(y_hat)
    return {"loss": loss(fake, real).numpy(), "mel_y": loss.mel(real).numpy()}


def noam(base_lr, warmup, steps):
    return np.array([compute_noam_rate(base_lr, warmup, step) for step in steps])
