"""Measure the naturalness of voices and folders of audio with DistillMOS (Stahl & Gamper, arXiv 2502.05356): 1 to 5.

    python training/recipes/measure_naturalness.py builtin://base FOLDER ... --speakers zf_xiaoxiao zm_yunxi \
        --output RESULT

A voice synthesizes sentences of everyday.csv, which are in no training data, with each of the speakers. In a folder all
.wav and .flac files are measured, for example the teacher's speech of the same sentences. Each clip is rated alone;
the result has the mean and the standard deviation over the clips.
"""

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.voice import builtin_voice
from kubevoice_training.evaluation.naturalness import rate_naturalness

SENTENCES = Path(__file__).with_name("everyday.csv")
BUILTIN = "builtin://"


def iter_voice_clips(voice: str, speaker: str, count: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield a voice's speech of the sentences, samples [T], and its sample rate."""
    engine = Engine.load(builtin_voice(voice) if voice.startswith(BUILTIN) else Path(voice))
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        for row in list(csv.DictReader(file))[:count]:
            yield synthesize_text(engine, row["text"], Controls(speaker=speaker)), engine.sample_rate


def iter_folder_clips(folder: Path) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the audio files of a folder, samples [T], and their sample rates."""
    for path in sorted((*folder.glob("*.wav"), *folder.glob("*.flac"))):
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        yield audio.mean(axis=1), rate


def measure_clips(name: str, clips: Iterator[tuple[np.ndarray, int]]) -> dict[str, object]:
    """Print and return the mean and the standard deviation of the scores of some clips."""
    scores = [rate_naturalness([audio], rate) for audio, rate in clips]
    result: dict[str, object] = {
        "what": name,
        "clips": len(scores),
        "naturalness": round(float(np.mean(scores)), 3),
        "deviation": round(float(np.std(scores)), 3),
    }
    print(json.dumps(result, ensure_ascii=False), flush=True)
    return result


def main() -> None:
    """Measure all voices and folders of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", help="folder of a bundle, builtin://NAME, or folder of audio")
    parser.add_argument("--speakers", nargs="+", default=["zf_xiaoxiao", "zm_yunxi"])
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for what in args.what:
        if what.startswith(BUILTIN) or (Path(what) / "voice.json").exists():
            for speaker in args.speakers:
                clips = iter_voice_clips(what, speaker, args.sentences)
                results.append(measure_clips(f"{what} {speaker}", clips))
        else:
            results.append(measure_clips(Path(what).name, iter_folder_clips(Path(what))))
    if args.output:
        args.output.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
