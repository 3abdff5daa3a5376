"""Measure copy synthesis by a voice's vocoder, beside Griffin-Lim and WORLD: distortion, PESQ and recognition error.

    python -m venv peers && peers/bin/pip install librosa==0.11.0 pesq==0.0.4
    python training/recipes/measure_vocoder.py builtin://base hsk-words-mandarin.tar \
        --peers peers/lib/python3.11/site-packages --output training/recipes/vocoder-result.json

The recordings are those of hsk-heldout.csv, which the base's vocoder was not trained on, trimmed and scaled to the
level of its corpus. The vocoder and Griffin-Lim get their mel: 80 bands up to 8 kHz, every 10 ms. WORLD gets more,
because it analyses the recording itself: F0, the spectral envelope and aperiodicity, every 5 ms. Distortion is in dB
of mel cepstra; less is better. PESQ is wide band (ITU-T P.862.2), at most 4.64. Whisper-base transcribes copies and
recordings. The error rate is that of pinyin without tones, and that of the recordings is the error of the recogniser.
Without --peers, Griffin-Lim and PESQ are not measured.
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

Copier = Callable[[np.ndarray], np.ndarray]
"""Analyses samples [S] and returns synthesized samples [S]."""


def iter_held_out(archive: Path, mel: MelConfig) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the held-out words and their recordings, samples [S], trimmed and scaled."""
    with tarfile.open(archive) as tar, WORDS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            member = tar.extractfile(f"mp3/{row['id']}.mp3")
            assert member is not None  # noqa: S101  # None for a folder only
            wav = trim_silence(load_audio(io.BytesIO(member.read()), mel.sample_rate), mel.sample_rate)
            level = TARGET_RMS / np.sqrt(np.mean(wav**2))
            yield row["text"], np.clip(wav * level, -0.99, 0.99).astype(np.float32)


def build_vocoder_copier(voice: Path) -> Copier:
    """Return copy synthesis by the vocoder of a bundle."""
    weights = load_weights(voice / "checkpoint")
    vocoder = VocoderSession(onnxruntime.InferenceSession(voice / "vocoder.onnx"), load_bundle(voice).manifest)
    mean, deviation = weights.stats.mel_mean, weights.stats.mel_std
    return lambda wav: vocoder.generate(((log_mel(wav, weights.mel) - mean) / deviation).astype(np.float32))


def build_griffin_lim_copier(mel: MelConfig) -> Copier:
    """Return copy synthesis by librosa's inverse mel filters and fast Griffin-Lim (Perraudin 2013)."""
    import librosa

    def copy(wav: np.ndarray) -> np.ndarray:
        decibel = (log_mel(wav, mel) - 1.0) * -mel.min_level_db + mel.ref_level_db
        amplitude = librosa.feature.inverse.mel_to_stft(
            10.0 ** (decibel.T / 20.0), sr=mel.sample_rate, n_fft=mel.n_fft, power=1.0, fmin=mel.fmin, fmax=mel.fmax
        )
        audio = librosa.griffinlim(amplitude, n_iter=ITERATIONS, hop_length=mel.hop_length, random_state=0)
        return np.asarray(audio)

    return copy


def build_world_copier(mel: MelConfig) -> Copier:
    """Return copy synthesis by WORLD (Morise, Yokomori and Ozawa 2016) with its defaults."""

    def copy(wav: np.ndarray) -> np.ndarray:
        return pyworld.synthesize(*pyworld.wav2world(wav.astype(np.float64), mel.sample_rate), mel.sample_rate)

    return copy


def measure_pesq(wav: np.ndarray, audio: np.ndarray, rate: int) -> float:
    """Return the wide-band PESQ of a copy, both [S] at `rate` Hz."""
    from pesq import pesq

    reference, degraded = (soxr.resample(each, rate, PESQ_RATE) for each in (wav, audio))
    return float(pesq(PESQ_RATE, reference, degraded, "wb"))


def measure_recognition_error(words: list[str], speech: list[np.ndarray], rate: int) -> float:
    """Return the pinyin error rate, without tones, of Whisper's transcripts."""
    pairs = [(to_pinyin(word), to_pinyin(transcribe(wav, rate))) for word, wav in zip(words, speech, strict=True)]
    return round(
        sum(compute_edit_distance(expected, recognised) for expected, recognised in pairs)
        / sum(len(expected) for expected, _ in pairs),
        4,
    )


def iter_copies(recordings: list[np.ndarray], copy: Copier) -> Iterator[np.ndarray]:
    """Yield a copy of each recording, of the same length."""
    for wav in recordings:
        audio = copy(wav).astype(np.float32)
        yield np.pad(audio, (0, max(0, len(wav) - len(audio))))[: len(wav)]


def measure_copies(
    words: list[str], recordings: list[np.ndarray], copies: list[np.ndarray], mel: MelConfig
) -> dict[str, float | str]:
    """Return the metrics of copies: mean distortion, mean PESQ, and the recognition error."""
    distortions, scores = [], []
    for wav, audio in zip(recordings, copies, strict=True):
        distortions.append(compare_features(extract_features(audio, mel), extract_features(wav, mel), mel).distortion)
        if find_spec("pesq"):
            scores.append(measure_pesq(wav, audio, mel.sample_rate))
    return {
        "melCepstralDistortion": round(float(np.mean(distortions)), 3),
        "pesq": round(float(np.mean(scores)), 3) if scores else "not measured",
        "pinyinErrorRate": measure_recognition_error(words, copies, mel.sample_rate),
    }


def main() -> None:
    """Measure all copiers and print the report."""
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
    clips = list(iter_held_out(args.archive, mel))
    words, recordings = [word for word, _ in clips], [wav for _, wav in clips]
    copies = {"vocoder": build_vocoder_copier(voice), "WORLD": build_world_copier(mel)}
    if find_spec("librosa"):
        copies["Griffin-Lim"] = build_griffin_lim_copier(mel)
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
        result[name] = measure_copies(words, recordings, list(iter_copies(recordings, copy)), mel)
    print(json.dumps(result, indent=1))
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
