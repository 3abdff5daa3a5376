"""Make a listening page of a voice: everyday sentences in each of its emotions and styles, in one HTML file.

    python training/recipes/listening_page.py builtin://base listening.html --speaker zf_xiaoxiao

The voice synthesizes the first sentences of everyday.csv in every emotion. The page has players, spectrograms and a
table of the prosody of each emotion. It contains all its audio and images, so a browser opens it without a network.
"""

import argparse
import csv
from pathlib import Path

from kubevoice.engine import Controls, Engine
from kubevoice.voice import builtin_voice
from kubevoice_training.evaluation.prosody_metrics import ProsodySample, synthesize_and_measure
from kubevoice_training.pages.listening import render_listening_page

SENTENCES = Path(__file__).with_name("everyday.csv")


def main() -> None:
    """Synthesize and measure the sentences and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", help="folder of a bundle, or builtin://NAME")
    parser.add_argument("output", type=Path, help="HTML file for the page")
    parser.add_argument("--sentences", type=int, default=30)
    parser.add_argument("--speaker", help="the voice's first speaker by default")
    parser.add_argument("--emotion", action="append", help="may be repeated; all emotions by default")
    args = parser.parse_args()
    if args.sentences < 1:
        parser.error("--sentences must be at least 1")
    engine = Engine.load(builtin_voice(args.voice) if args.voice.startswith("builtin://") else Path(args.voice))
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        sentences = [row["text"] for row in csv.DictReader(file)][: args.sentences]
    speaker = args.speaker or engine.manifest.speakers[0]
    samples: dict[str, list[ProsodySample]] = {}
    for emotion in args.emotion or [each.label for each in engine.manifest.emotions]:
        samples[emotion] = [
            synthesize_and_measure(engine, text, Controls(speaker=speaker, emotion=emotion)) for text in sentences
        ]
        print(emotion, flush=True)
    page = render_listening_page(engine.manifest.name, speaker, engine.sample_rate, samples)
    args.output.write_text(page, encoding="utf-8")
    print(f"{args.output}: {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
