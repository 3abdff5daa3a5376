"""Faults of a ModelScope voice folder: a change to it, and what the message must name."""

import json
import os
import pickle
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from kubevoice.errors import InputError
from kubevoice.voice.modelscope import find_voices
from kubevoice_training.modelscope.bundle import import_voices, load_voice
from modelscope_folder import COMMAND, write_voice


def yaml_of(path, change):
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def tensors_of(path, change):
    state = torch.load(path, weights_only=True)
    change(state["model"].get("generator", state["model"]))
    torch.save(state, path)


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def with_code(path):
    torch.save({"model": {"text": Hostile()}}, path)


def as_bare_pickle(path):
    path.write_bytes(pickle.dumps(Hostile()))


def with_a_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10_000_000)


LEVELS = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
ENDLESS = f"l0: &l0 [x]\n{LEVELS}Model: {{KanTtsSAMBERT: {{params: {{encoder_num_heads: *l29}}}}}}"
MERGED = "".join(f"l{n}: &l{n} {{<<: [*l{n - 1}, *l{n - 1}]}}\n" for n in range(1, 30))
HUGE = torch.ones(1).as_strided((10**9, 1000), (0, 0))  # a shape that four bytes are said to fill
AM, VOC = "am/ckpt/checkpoint_980000.pth", "voc/ckpt/checkpoint_0.pth"
FAULTS = {
    "empty": (AM, lambda p: p.write_bytes(b""), "is empty"),
    "cut short": (AM, lambda p: p.write_bytes(p.read_bytes()[:-2000]), "damaged"),
    "cut in half": (VOC, lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "damaged"),
    "text": (AM, lambda p: p.write_text("version https://git-lfs"), "checkpoint_980000"),
    "code": (AM, with_code, "could run code"),
    "bare code": (VOC, as_bare_pickle, "could run code"),
    "bomb": (AM, with_a_bomb, "claims to unpack"),
    "no model": (AM, lambda p: torch.save({"steps": 3}, p), "model is missing"),
    "no generator": (VOC, lambda p: torch.save({"model": {}}, p), "model.generator is missing"),
    "no tensor": (AM, lambda p: tensors_of(p, lambda s: s.update({"mel_postnet.fc.bias": "x"})), "mel_postnet.fc.bias"),
    "missing key": (AM, lambda p: tensors_of(p, lambda s: s.pop("mel_postnet.fc.bias")), "mel_postnet.fc.bias is"),
    "missing size": (AM, lambda p: tensors_of(p, lambda s: s.pop("emo_tokenizer.weight")), "emo_tokenizer.weight"),
    "unknown key": (AM, lambda p: tensors_of(p, lambda s: s.update(fp=torch.ones(1))), "fp has no place"),
    "other shape": (
        VOC,
        lambda p: tensors_of(p, lambda s: s.update({"conv_post.conv1d.bias": torch.ones(2)})),
        "conv_post.conv1d.bias",
    ),
    "other dimensions": (
        AM,
        lambda p: tensors_of(p, lambda s: s.update({"emo_tokenizer.weight": torch.ones(3)})),
        "emo_tokenizer.weight",
    ),
    "huge shape": (
        AM,
        lambda p: tensors_of(
            p,
            lambda s: s.update({"emo_tokenizer.weight": HUGE}),
        ),
        "emo_tokenizer.weight claims",
    ),
    "not a number": (AM, lambda p: tensors_of(p, lambda s: s["mel_postnet.fc.bias"].fill_(np.nan)), "mel_postnet.fc"),
    "foreign speakers": (
        AM,
        lambda p: tensors_of(p, lambda s: s.update({"spk_tokenizer.weight": torch.ones(50, 32)})),
        "speaker_list",
    ),
    "no yaml": ("am/config.yaml", lambda p: p.write_text("a: [1"), "am/config.yaml"),
    "unsafe yaml": ("am/config.yaml", lambda p: p.write_text("!!python/object/apply:os.system ['x']"), "config.yaml"),
    "endless yaml": ("am/config.yaml", lambda p: p.write_text(ENDLESS), "encoder_num_heads"),
    "merged yaml": ("am/config.yaml", lambda p: p.write_text(f"l0: &l0 {{x: 1}}\n{MERGED}"), "am/config.yaml"),
    "pipe": ("am/config.yaml", lambda p: (p.unlink(), os.mkfifo(p)), "is not a file"),
    "no config": ("voc/config.yaml", lambda p: p.unlink(), "voc/config.yaml"),
    "huge config": ("voc/config.yaml", lambda p: p.write_bytes(b"#" * 2_000_000), "voc/config.yaml"),
    "wrong heads": (
        "am/config.yaml",
        lambda p: yaml_of(p, lambda c: c["Model"]["KanTtsSAMBERT"]["params"].update(encoder_num_heads=5)),
        "encoder_num_heads",
    ),
    "huge heads": (
        "am/config.yaml",
        lambda p: yaml_of(p, lambda c: c["Model"]["KanTtsSAMBERT"]["params"].update(postnet_shift=10**12)),
        "postnet_shift",
    ),
    "wrong scales": (
        "voc/config.yaml",
        lambda p: yaml_of(p, lambda c: c["Model"]["Generator"]["params"].update(upsample_scales=[10**9, 1, 1])),
        "upsample_scales",
    ),
    "wrong hop": (
        "am/config.yaml",
        lambda p: yaml_of(p, lambda c: c["audio_config"].update(hop_length=240)),
        "hop_length is 240",
    ),
    "no audio": ("am/config.yaml", lambda p: yaml_of(p, lambda c: c.pop("audio_config")), "audio_config"),
    "language": (
        "am/config.yaml",
        lambda p: yaml_of(p, lambda c: c["linguistic_unit"].update(language="ZhHK")),
        "linguistic_unit.language",
    ),
    "no checkpoint": (VOC, lambda p: p.unlink(), "checkpoint_NUMBER.pth"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "voice"
    write_voice(folder)
    return folder


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_leaves_nothing_behind(plain, tmp_path, monkeypatch, fault):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "voice"
    shutil.copytree(plain, folder)
    name, change, message = FAULTS[fault]
    change(folder / name)
    with pytest.raises(InputError) as error:
        import_voices(folder, tmp_path / "out")
    assert message in str(error.value)
    assert str(folder) in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["voice"]


@pytest.mark.parametrize(
    "names", [["../plain"], ["/etc"], ["a/b"], [".."], [""], [3], [], "zhitian", ["gone"], ["a\u0000b"]]
)
def test_names_in_voices_json_do_not_lead_away(plain, tmp_path, names):
    shutil.copytree(plain, tmp_path / "model" / "plain")
    (tmp_path / "model" / "voices").mkdir()
    (tmp_path / "model" / "voices" / "voices.json").write_text(json.dumps({"voices": names}))
    with pytest.raises(InputError, match="voices"):
        import_voices(tmp_path / "model", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", pickle.dumps([1]), b"x" * 2_000_000])
def test_a_speakers_vector_is_read_with_care(tmp_path, content):
    write_voice(tmp_path / "voice", personal=True, source=True)
    (tmp_path / "voice" / "am" / "se.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"se\.npy"):
        load_voice(find_voices(tmp_path / "voice")[0])


def test_the_command_says_what_is_wrong_and_where(plain, tmp_path):
    shutil.copytree(plain, tmp_path / "voice")
    (tmp_path / "voice" / AM).write_bytes(b"")
    done = subprocess.run([*COMMAND, tmp_path / "voice", tmp_path / "out"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "checkpoint_980000.pth is empty" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_there_is_not_written_over(plain, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputError, match="is there already"):
        import_voices(plain, tmp_path / "out")
