"""Measure the engine's real-time factor on one thread, for the built-in voice and ModelScope's default sizes.

    .venv/bin/python benchmarks/engine_speed.py --output benchmarks/results/engine_speed.json \
        --teacher teacher/lib/python3.11/site-packages --voices package/voices

The 16 kHz voice has the sizes of ModelScope's default configurations and random weights: computing time does not
depend on the values of the weights. "Eager" is the same network in torch with one utterance and one thread:
`Sambert.infer`, whose decoder has a kv_cache and attends within its band only, then the generator. Engine and torch
alternate, and the minimum CPU time of several rounds counts, because other load only adds time. With the packages that
training/recipes/base_sentences.py names, Kokoro-82M (int8) synthesizes the same text as the built-in voice.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from kubevoice.engine import Controls, Engine, open_session
from kubevoice.engine.decoder import DecoderScheduler, DecoderState
from kubevoice.text import UnitTables, analyse
from kubevoice.voice import Emotion, VoiceManifest, VoiceStats, builtin_voice, seal_bundle
from kubevoice_training.export.onnx_export import export_graphs
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.sambert import Sambert

sys.path.insert(0, str(Path(__file__).parents[1] / "training" / "recipes"))
from base_sentences import SAMPLE_RATE, Teacher  # a script, not a package

SPEAKER = "zf_xiaoxiao"
TEXT = "今天下午三点我们在公司的大会议室里讨论明年的工作计划，请大家提前准备好材料。"
ROUNDS = 5
FRAMES_PER_SYMBOL = 8.0
BAND = 3
"""The attention band of the decoder, in steps, with symbols of that length."""
V1_16K = GeneratorConfig(
    channels=256, upsample_scales=(10, 5, 2, 2), upsample_kernel_sizes=(20, 10, 4, 4),
    resblock_dilations=((1, 3, 5, 7),) * 3,
)  # fmt: skip
V1_24K = GeneratorConfig(channels=512)


def measure_cpu_seconds(runs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the minimum CPU seconds of each run; the runs alternate."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - began)
    return best


def build_networks() -> tuple[Sambert, Generator]:
    """Build networks of the default 16 kHz sizes, whose symbols last about FRAMES_PER_SYMBOL."""
    torch.manual_seed(0)
    acoustic = Sambert(SambertConfig()).eval()
    predictor = acoustic.variance_adaptor.duration_predictor
    predictor.fc.weight.data.mul_(0.05)
    predictor.fc.bias.data.fill_(float(np.log(FRAMES_PER_SYMBOL + 1.0)))
    return acoustic, Generator(V1_16K).eval()


def export_engine(acoustic: Sambert, vocoder: Generator, folder: Path) -> Engine:
    """Export the networks to a bundle in `folder` and open it."""
    export_graphs(acoustic, vocoder, folder)
    manifest = VoiceManifest(
        name="default-16k",
        sample_rate=16000,
        hop=200,
        mels=80,
        outputs_per_step=3,
        speakers=("first",),
        speaker_rows=acoustic.config.speakers,
        emotions=(Emotion(label="neutral", id=1),),
        emotion_rows=acoustic.config.emotions,
        vocoder_context=vocoder.config.receptive_field,
        stats=VoiceStats(pitch_mean=200.0, pitch_std=50.0, energy_mean=0.0, energy_std=1.0),
    )
    return Engine(seal_bundle(folder, manifest))


def measure_default_16k() -> dict[str, float]:
    """Return the real-time factors of the engine and of torch with the default 16 kHz voice."""
    acoustic, vocoder = build_networks()
    units = [unit for sentence in analyse(TEXT).sentences for unit in sentence.units]
    ids = UnitTables.load().encode(units)
    ling = torch.from_numpy(np.stack([ids[s] for s in ("sy", "tone", "syllable_flag", "word_segment")], axis=1))
    rows = torch.ones(len(ling), dtype=torch.int64), torch.zeros(len(ling), dtype=torch.int64)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        engine = export_engine(acoustic, vocoder, Path(folder))
        mel = acoustic.infer(ling, *rows).postnet_mel
        seconds = len(mel) * 200 / 16000
        memory = replace(engine.encode(units, [Controls()] * len(units)).memory, band=BAND)
        decoder = engine._decoder  # noqa: SLF001  # measures the decoder alone
        seconds_by_run = measure_cpu_seconds({
            "engine": lambda: engine.synthesize(units, Controls()),
            "engine, decoder": lambda: list(DecoderState(decoder, memory).iter_blocks(DecoderScheduler(), len(mel))),
            "eager, acoustic": lambda: acoustic.infer(ling, *rows),
            "eager, vocoder": lambda: vocoder(mel.T.unsqueeze(0)),
        })  # fmt: skip
    rtf = {name: value / seconds for name, value in seconds_by_run.items()}
    eager = rtf["eager, acoustic"] + rtf["eager, vocoder"]
    return rtf | {"eager": eager, "eager / engine": eager / rtf["engine"]}


def measure_v1_24k() -> dict[str, float]:
    """Return the real-time factors of HiFi-GAN V1 at 24 kHz, in the engine and in torch."""
    vocoder = Generator(V1_24K).eval()
    mel = torch.randn(400, 80)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        export_graphs(Sambert(SambertConfig()).eval(), vocoder, Path(folder))
        session = open_session(Path(folder) / "vocoder.onnx", threads=1)
        seconds_by_run = measure_cpu_seconds(
            {
                "engine": lambda: session.run(["audio"], {"mel": mel.numpy()}),
                "eager": lambda: vocoder(mel.T.unsqueeze(0)),
            }
        )
    return {name: value / 4.0 for name, value in seconds_by_run.items()}


def measure_builtin_voice(packages: Path | None, voices: Path | None) -> dict[str, float]:
    """Return the real-time factor of the built-in voice, and of Kokoro if its packages are given."""
    engine, analysis = Engine.load(builtin_voice("builtin://base")), analyse(TEXT)
    units = [unit for sentence in analysis.sentences for unit in sentence.units]
    runs = {"engine": lambda: engine.synthesize(units, Controls(speaker=SPEAKER))}
    if packages and voices:
        teacher = Teacher(packages, voices)
        phones = teacher.spell_phones(analysis)
        runs["Kokoro-82M int8"] = lambda: teacher.synthesize(phones, SPEAKER)
    seconds = {name: len(run()) / SAMPLE_RATE for name, run in runs.items()}
    return {name: cpu / seconds[name] for name, cpu in measure_cpu_seconds(runs).items()}


def main() -> None:
    """Measure all three and print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--teacher", type=Path, help="site-packages with Kokoro's packages")
    parser.add_argument("--voices", type=Path, help="folder of Kokoro's voices")
    args = parser.parse_args()
    if bool(args.teacher) != bool(args.voices):
        parser.error("--teacher and --voices go together")
    torch.set_num_threads(1)
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
        "load": os.getloadavg(),
        "rtf": {
            "shipped": measure_builtin_voice(args.teacher, args.voices),
            "default 16 kHz": measure_default_16k(),
            "HiFi-GAN V1 24 kHz": measure_v1_24k(),
        },
    }
    text = json.dumps(report, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
