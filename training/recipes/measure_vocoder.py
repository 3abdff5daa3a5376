"""Copy synthesis of recordings by a voice's vocoder, beside Griffin-Lim and WORLD: how like, and how well understood.

    python -m venv peers && peers/bin/pip install librosa==0.11.0 pesq==0.0.4
    python training/recipes/measure_vocoder.py builtin://base hsk-words-mandarin.tar \
        --peers peers/lib/python3.11/site-packages --output training/recipes/vocoder-result.json

The recordings are those of hsk-heldout.csv, which the base's vocoder was never trained on, trimmed and as loud as its
corpus. It and Griffin-Lim get their mel: 80 bands up to 8 kHz, every 10 ms. WORLD gets more, for it analyses the
recording itself: F0, the whole spectral envelope and aperiodicity, every 5 ms. Distortion is in dB over mel cepstra,
less is better, and PESQ is wide band (ITU-T P.862.2), 4.64 at best. Whisper-base listens to copies and recordings, in
toneless pinyin: what it mistakes in recordings is the instrument's. Without --peers, only what needs none is measured.
"""

import argparse
import csv
import datetime as dt
import io
import json
import os
import platform
import sys
import tarfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pyworld
import soxr
from base_corpus import TARGET_RMS
from kubevoice.audio.mel import MelConfig, log_mel
from kubevoice.engine.vocoder import VocoderSession
from kubevoice.voice import builtin_voice, load_bundle
from kubevoice_training.evaluation.mel_cepstral_distortion import compare_features
from kubevoice_training.evaluation.recognition import compute_edit_distance, to_pinyin, transcribe
from kubevoice_training.features.acoustic_features import extract_features, load_audio, trim_silence
from kubevoice_training.voice_checkpoint import load_weights

WORDS = Path(__file__).with_name("hsk-heldout.csv")
PESQ_RATE = 16_000
ITERATIONS = 60

Copy = Callable[[np.ndarray], np.ndarray]
"""What makes a waveform anew, samples [S] from samples [S]."""


def held_out(archive: Path, mel: MelConfig) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the held-out words and their recordings, samples [S]."""
    with tarfile.open(archive) as tar, WORDS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            member = tar.extractfile(f"mp3/{row['id']}.mp3")
            assert member is not None  # noqa: S101  # a file, not a folder
            wav = trim_silence(load_audio(io.BytesIO(member.read()), mel.sample_rate), mel.sample_rate)
            level = TARGET_RMS / np.sqrt(np.mean(wav**2))
            yield row["text"], np.clip(wav * level, -0.99, 0.99).astype(np.float32)


def by_vocoder(voice: Path) -> Copy:
    """Copy by the vocoder as it ships."""
    weights = load_weights(voice / "checkpoint")
    vocoder = VocoderSession(onnxruntime.InferenceSession(voice / "vocoder.onnx"), load_bundle(voice).manifest)
    mean, deviation = weights.stats.mel_mean, weights.stats.mel_std
    return lambda wav: vocoder.generate(((log_mel(wav, weights.mel) - mean) / deviation).astype(np.float32))


def by_griffin_lim(mel: MelConfig) -> Copy:
    """Copy by librosa's fast Griffin-Lim (Perraudin 2013), once it has inverted the mel filters."""
    import librosa

    def copy(wav: np.ndarray) -> np.ndarray:
        decibel = (log_mel(wav, mel) - 1.0) * -mel.min_level_db + mel.ref_level_db
        amplitude = librosa.feature.inverse.mel_to_stft(
            10.0 ** (decibel.T / 20.0), sr=mel.sample_rate, n_fft=mel.n_fft, power=1.0, fmin=mel.fmin, fmax=mel.fmax
        )
        made = librosa.griffinlim(amplitude, n_iter=ITERATIONS, hop_length=mel.hop_length, random_state=0)
        return np.asarray(made)

    return copy


def by_world(mel: MelConfig) -> Copy:
    """Copy by WORLD (Morise, Yokomori and Ozawa 2016) as it comes."""

    def copy(wav: np.ndarray) -> np.ndarray:
        return pyworld.synthesize(*pyworld.wav2world(wav.astype(np.float64), mel.sample_rate), mel.sample_rate)

    return copy


def pesq_of(wav: np.ndarray, copied: np.ndarray, rate: int) -> float:
    """Return wide-band PESQ of a copy."""
    from pesq import pesq

    reference, degraded = (soxr.resample(each, rate, PESQ_RATE) for each in (wav, copied))
    return float(pesq(PESQ_RATE, reference, degraded, "wb"))


def measure_recognition_error(words: list[str], spoken: list[np.ndarray], rate: int) -> float:
    """Return the share of the words' syllables that Whisper mistakes."""
    pairs = [(to_pinyin(word), to_pinyin(transcribe(wav, rate))) for word, wav in zip(words, spoken, strict=True)]
    return round(
        sum(compute_edit_distance(said, heard) for said, heard in pairs) / sum(len(said) for said, _ in pairs), 4
    )


def copies_of(recordings: list[np.ndarray], copy: Copy) -> Iterator[np.ndarray]:
    """Yield a copy of each recording, as long as it."""
    for wav in recordings:
        made = copy(wav).astype(np.float32)
        yield np.pad(made, (0, max(0, len(wav) - len(made))))[: len(wav)]


def measured(
    words: list[str], recordings: list[np.ndarray], copies: list[np.ndarray], mel: MelConfig
) -> dict[str, float | str]:
    """Return the figures of copies of the recordings: means, and the recognition error."""
    distortions, scores = [], []
    for wav, copied in zip(recordings, copies, strict=True):
        distortions.append(compare_features(extract_features(copied, mel), extract_features(wav, mel), mel).distortion)
        if find_spec("pesq"):
            scores.append(pesq_of(wav, copied, mel.sample_rate))
    return {
        "melCepstralDistortion": round(float(np.mean(distortions)), 3),
        "pesq": round(float(np.mean(scores)), 3) if scores else "not measured",
        "pinyinErrorRate": measure_recognition_error(words, copies, mel.sample_rate),
    }


def main() -> None:
    """Copy, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", help="folder of a bundle, or builtin://NAME")
    parser.add_argument("archive", type=Path, help="hsk-words-mandarin.tar")
    parser.add_argument("--peers", type=Path, help="site-packages with librosa and pesq")
    parser.add_argument("--output", type=Path, help="JSON file for the result")
    args = parser.parse_args()
    if args.peers:
        sys.path.append(str(args.peers))
    voice = builtin_voice(args.voice) if args.voice.startswith("builtin://") else Path(args.voice)
    mel = load_weights(voice / "checkpoint").mel
    found = list(held_out(args.archive, mel))
    words, recordings = [word for word, _ in found], [wav for _, wav in found]
    copies = {"vocoder": by_vocoder(voice), "WORLD": by_world(mel)}
    if find_spec("librosa"):
        copies["Griffin-Lim"] = by_griffin_lim(mel)
    result: dict[str, object] = {
        "voice": load_bundle(voice).manifest.name,
        "recordings": len(recordings),
        "seconds": round(sum(map(len, recordings)) / mel.sample_rate, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "itself": {"pinyinErrorRate": measure_recognition_error(words, recordings, mel.sample_rate)},
        "Griffin-Lim": "not measured",
    }
    for name, copy in copies.items():
        result[name] = measured(words, recordings, list(copies_of(recordings, copy)), mel)
    print(json.dumps(result, indent=1))
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
