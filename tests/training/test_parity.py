"""Our networks against the reference implementation's answers (../shared/parity, which only developers have)."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from kubevoice.audio.mel import MelConfig, log_mel
from kubevoice.text import UnitTables
from kubevoice.text.units import parse_units
from kubevoice_training.acoustic import reconstruction
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.sambert import Batch, Sambert
from yaml import safe_load

PARITY = Path(__file__).resolve().parents[3] / "shared" / "parity"
pytestmark = pytest.mark.skipif(not PARITY.is_dir(), reason="the parity cases are not on this machine")

VOICES = ("zh16k", "zh24k", "zh48k")
FROM_TENSORS = {  # sizes that only the tensors know: the configuration file leaves them out
    "sy": "text_encoder.sy_emb.weight",
    "tone": "text_encoder.tone_emb.weight",
    "syllable_flag": "text_encoder.syllable_flag_emb.weight",
    "word_segment": "text_encoder.ws_emb.weight",
    "speakers": "spk_tokenizer.weight",
    "emotions": "emo_tokenizer.weight",
}
RECOMPUTED = "text_encoder.ling_enc.position_enc.position_enc"


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity")
    command = [sys.executable, str(PARITY / "make_voices.py"), str(folder), "--voices", ",".join(VOICES)]
    subprocess.run(command, check=True)
    return folder / "model_dir" / "voices"


def sambert(voice):
    """Load a reference checkpoint into a network of its sizes."""
    params = safe_load((voice / "am" / "config.yaml").read_text())["Model"]["KanTtsSAMBERT"]["params"]
    state = torch.load(voice / "am" / "ckpt" / "checkpoint_0.pth", weights_only=True)["model"]
    state.pop(RECOMPUTED)
    sizes = {name: len(state[key]) for name, key in FROM_TENSORS.items()}
    model = Sambert(
        dataclasses.replace(SambertConfig(), n_mels=params["num_mels"], alignment=params.get("MAS", False), **sizes)
    )
    model.load_state_dict(state)
    return model.eval()


def generator(voice):
    params = safe_load((voice / "voc" / "config.yaml").read_text())["Model"]["Generator"]["params"]
    names = ("in_channels", "channels", "kernel_size", "upsample_scales", "resblock_kernel_sizes", "causal")
    config = {name: params[name] for name in names} | {
        "upsample_kernel_sizes": params["upsample_kernal_sizes"],
        "resblock_dilations": params["resblock_dilations"],
    }
    network = Generator(GeneratorConfig(**config))
    state = torch.load(voice / "voc" / "ckpt" / "checkpoint_0.pth", weights_only=True)
    network.load_state_dict(state["model"]["generator"])
    return network.eval()


def case(name):
    """Inputs, the reference's answers and the tolerance of a case."""
    listed = json.loads((PARITY / "manifest.json").read_text())["cases"]
    (entry,) = [c for c in listed if c["name"] == name]
    with np.load(PARITY / entry["file"]) as arrays:
        given = {key[4:]: arrays[key] for key in arrays.files if key.startswith("in__")}
        expected = {key[5:]: arrays[key] for key in arrays.files if key.startswith("out__")}
    tolerance = {key: entry["tol"].get(key, 0.0) for key in ("atol", "rtol")}
    return given, expected, tolerance


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("text", ["short", "tiny"])
def test_unit_ids(voice, text):
    given, expected, _ = case(f"ling_{voice}_{text}")
    ids = UnitTables.load().encode(parse_units(str(given["symbols"])))
    for stream, found in ids.items():
        assert found.tolist() == expected[stream][:-1].tolist()  # the reference appends an end of sentence
        assert UnitTables.load().eos[stream] == expected[stream][-1]


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("text", ["short", "tiny"])
def test_the_acoustic_model_speaks_as_the_reference(voices, voice, text):
    given, expected, tolerance = case(f"am_infer_{voice}_{text}")
    found = sambert(voices / voice).infer(*(torch.from_numpy(given[name]) for name in ("ling", "emo", "spk")))
    assert found["durations"].tolist() == expected["durations"].tolist()
    assert int(found["band"]) == expected["x_band_width"]
    for name in ("log_durations", "pitch", "energy", "dec_outputs", "postnet_outputs"):
        np.testing.assert_allclose(found[name].numpy(), expected[name], **tolerance, err_msg=name)


@pytest.mark.parametrize("voice", VOICES)
def test_the_vocoder_speaks_as_the_reference(voices, voice):
    given, expected, tolerance = case(f"voc_{voice}_random")
    with torch.no_grad():
        found = generator(voices / voice)(torch.from_numpy(given["mel"]).T.unsqueeze(0))[0, 0]
    np.testing.assert_allclose(found.numpy(), expected["wav"], **tolerance)


def test_training_has_the_references_losses_and_gradients(voices):
    given, expected, tolerance = case("train_teacher_dur")
    model = sambert(voices / "zh16k")  # in eval mode: the case was made without dropout
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in given.items()}
    batch = Batch(
        ling=tensors["ling"],
        emotion=tensors["emo"],
        speaker=tensors["spk"],
        symbols=tensors["input_lengths"],
        mel=tensors["mel_targets"],
        frames=tensors["output_lengths"],
        durations=tensors["duration_targets"],
        pitch=tensors["pitch_targets"],
        energy=tensors["energy_targets"],
    )
    output = model(batch)
    for name, ours in {
        "dec_outputs": "decoder",
        "postnet_outputs": "postnet",
        "log_durations": "log_durations",
    }.items():
        np.testing.assert_allclose(getattr(output, ours).detach().numpy(), expected[name], **tolerance, err_msg=name)
    mel, duration, pitch, energy = reconstruction(output, batch)
    total = mel + duration + pitch + energy
    sums = {"dur_loss": duration, "pitch_loss": pitch, "energy_loss": energy, "total": total}
    for name, loss in sums.items():
        np.testing.assert_allclose(loss.item(), expected[name], **tolerance, err_msg=name)
    np.testing.assert_allclose(mel.item(), expected["mel_loss_"] + expected["mel_loss"], **tolerance)
    total.backward()
    ours = dict(model.named_parameters())
    compared = 0
    names = [name.replace("/", ".") for name in expected["grad_names"]]
    for name, norm in zip(names, expected["grad_norms"], strict=True):
        if name in ours and ours[name].grad is not None:
            np.testing.assert_allclose(ours[name].grad.norm().item(), norm, atol=1e-3, rtol=5e-3, err_msg=name)
            compared += 1
    assert compared > 350


@pytest.mark.parametrize("rate", ["16k", "24k"])
def test_mel_spectrograms(rate):
    given, expected, tolerance = case(f"mel_{rate}")
    audio = json.loads(str(given["config"]))
    names = ("hop_length", "win_length", "n_fft", "n_mels", "fmin", "fmax", "min_level_db", "ref_level_db")
    config = MelConfig(sample_rate=audio["sampling_rate"], **{name: audio[name] for name in names})
    np.testing.assert_allclose(log_mel(given["wav"], config), expected["mel"], **tolerance)
