"""Measure how natural voices and folders of audio sound, by DistillMOS (Stahl & Gamper, arXiv 2502.05356): 1 to 5.

    python -m venv distillmos
    distillmos/bin/pip install --no-deps distillmos==0.9.1 xls-r-sqa==0.1.0 einops==0.8.2
    python training/recipes/measure_naturalness.py builtin://base FOLDER ... \
        --packages distillmos/lib/python3.11/site-packages --speakers zf_xiaoxiao zm_yunxi --output RESULT

A voice speaks sentences of everyday.csv, which nothing was trained on, by each of the speakers; of a folder all .wav
and .flac files are measured, such as the teacher's or another program's reading of the same sentences. Audio is
resampled to 16 kHz, and its largest sample becomes 0.7, before it is measured.
"""

import argparse
import csv
import importlib
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.voice import builtin_voice

SENTENCES = Path(__file__).with_name("everyday.csv")
RATE, LEVEL = 16000, 0.7
BUILTIN = "builtin://"
Scorer = Callable[[np.ndarray, int], float]
"""Takes samples [T] and their rate, returns the score."""


def load_scorer(packages: Path) -> Scorer:
    """Return DistillMOS from the packages it was installed in.

    Of torchaudio it needs nothing but that a module of that name can be imported.
    """
    sys.path.append(str(packages))
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    model = importlib.import_module("distillmos").ConvTransformerSQAModel()
    model.eval()

    @torch.inference_mode()
    def score(audio: np.ndarray, rate: int) -> float:
        samples = soxr.resample(audio, rate, RATE) if rate != RATE else audio
        samples = (samples * (LEVEL / max(1e-9, float(np.abs(samples).max())))).astype(np.float32)
        return float(model(torch.from_numpy(samples)[None]))

    return score


def voice_clips(voice: str, speaker: str, count: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield what a voice says of the sentences, and its rate."""
    engine = Engine.load(builtin_voice(voice) if voice.startswith(BUILTIN) else Path(voice))
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        for row in list(csv.DictReader(file))[:count]:
            yield synthesize_text(engine, row["text"], Controls(speaker=speaker)), engine.sample_rate


def folder_clips(folder: Path) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the recordings in a folder and their rates."""
    for path in sorted((*folder.glob("*.wav"), *folder.glob("*.flac"))):
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        yield audio.mean(axis=1), rate


def summary(name: str, clips: Iterator[tuple[np.ndarray, int]], score: Scorer) -> dict[str, object]:
    """Return the mean and deviation of the scores of some clips."""
    scores = [score(audio, rate) for audio, rate in clips]
    result: dict[str, object] = {
        "what": name,
        "clips": len(scores),
        "naturalness": round(float(np.mean(scores)), 3),
        "deviation": round(float(np.std(scores)), 3),
    }
    print(json.dumps(result, ensure_ascii=False), flush=True)
    return result


def main() -> None:
    """Measure everything that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", help="folder of a bundle, builtin://NAME, or folder of audio")
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--speakers", nargs="+", default=["zf_xiaoxiao", "zm_yunxi"])
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    score = load_scorer(args.packages)
    results = []
    for what in args.what:
        if what.startswith(BUILTIN) or (Path(what) / "voice.json").exists():
            for speaker in args.speakers:
                clips = voice_clips(what, speaker, args.sentences)
                results.append(summary(f"{what} {speaker}", clips, score))
        else:
            results.append(summary(Path(what).name, folder_clips(Path(what)), score))
    if args.output:
        args.output.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
