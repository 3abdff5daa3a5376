"""Build the corpus of the base voice: HSK words (one human speaker) and Kokoro sentences (seven synthetic ones).

Some words are added again in other emotions, made with WORLD as in scripts/make_hsk_words.py, so that the base
already knows what an emotion may change.

    python training/recipes/base_corpus.py HSK_DIR KOKORO_DIR OUT

HSK_DIR holds words.csv and mp3/, KOKORO_DIR metadata.csv and audio/. Held-out words (hsk-heldout.csv beside this
file) never enter, nor does any clip with the same text. zf_xiaoni is left out: her tones are wrong.
OUT gets wavs/ID.npy (int16 at 24 kHz, one gain a speaker) and the index corpus.json.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
from kubevoice_training.features import load_audio, trim_silence

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from make_hsk_words import MANNERS, Manner, act  # a script beside us, not a package

SAMPLE_RATE = 24000
COPIES = 400  # clips of each acted emotion
ACTED = {
    **MANNERS,
    "angry": Manner(pitch=1.10, pitch_range=1.45, rate=1.18, gain_db=4.0),
    "serious": Manner(pitch=0.93, pitch_range=0.80, rate=0.92, gain_db=0.0),
}
TARGET_RMS = 0.08
HUMAN = "hsk"
LEFT_OUT_SPEAKER = "zf_xiaoni"


def _words(name: str) -> set[str]:
    with Path(__file__).with_name(name).open(encoding="utf-8") as file:
        return {row["text"] for row in csv.DictReader(file)}


def choosing_words() -> set[str]:
    """Words that vocoders are chosen by: the acoustic model learns from them, the vocoder does not."""
    return _words("hsk-choosing.csv")


def rows(hsk: Path, kokoro: Path) -> list[dict[str, str]]:
    """List every usable clip as {id, text, speaker, path}."""
    held_out = _words("hsk-heldout.csv")
    found = []
    with (hsk / "words.csv").open(encoding="utf-8") as file:
        found += [
            {"id": row["id"], "text": row["text"], "speaker": HUMAN, "path": str(hsk / row["path"])}
            for row in csv.DictReader(file)
            if row["text"] not in held_out
        ]
    with (kokoro / "metadata.csv").open(encoding="utf-8") as file:
        found += [
            {**{key: row[key] for key in ("id", "text", "speaker")}, "path": str(kokoro / row["path"])}
            for row in csv.DictReader(file)
            if row["speaker"] != LEFT_OUT_SPEAKER
        ]
    return found


def acted_copies(index: list[dict[str, str]], wavs: Path) -> list[dict[str, str]]:
    """Act words of several characters in each emotion, different words each; return the new rows."""
    words = [row for row in index if row["speaker"] == HUMAN and len(row["text"]) >= 2]
    copies = []
    for shift, (emotion, manner) in enumerate(ACTED.items()):
        for row in words[shift :: len(words) // COPIES][:COPIES]:
            name = f"{row['id']}_{emotion}"
            wav = np.load(wavs / f"{row['id']}.npy").astype(np.float64) / 32767.0
            np.save(wavs / f"{name}.npy", (np.clip(act(wav, manner), -0.99, 0.99) * 32767.0).astype(np.int16))
            copies.append({**row, "id": name, "emotion": emotion})
        print(f"{emotion}: {COPIES} clips")
    return copies


def main() -> None:
    """Read, trim, level and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("hsk", "kokoro", "out"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    (args.out / "wavs").mkdir(parents=True, exist_ok=True)
    index = rows(args.hsk, args.kokoro)
    audio = {row["id"]: trim_silence(load_audio(Path(row["path"]), SAMPLE_RATE), SAMPLE_RATE) for row in index}
    for speaker in sorted({row["speaker"] for row in index}):
        ids = [row["id"] for row in index if row["speaker"] == speaker]
        rms = np.sqrt(np.mean(np.concatenate([audio[i] for i in ids]) ** 2))
        for i in ids:
            levelled = np.clip(audio[i] * (TARGET_RMS / rms), -0.99, 0.99)
            np.save(args.out / "wavs" / f"{i}.npy", (levelled * 32767.0).astype(np.int16))
        print(f"{speaker}: {len(ids)} clips, {sum(len(audio[i]) for i in ids) / SAMPLE_RATE / 60:.1f} min")
    index = [row | {"emotion": "neutral"} for row in index] + acted_copies(index, args.out / "wavs")
    kept = [{key: row[key] for key in ("id", "text", "speaker", "emotion")} for row in index]
    (args.out / "corpus.json").write_text(json.dumps(kept, ensure_ascii=False, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
