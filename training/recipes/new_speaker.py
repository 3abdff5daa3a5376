"""A dataset of a speaker that the base voice was not trained on, to measure what fine-tuning learns of a new speaker.

    python training/recipes/new_speaker.py SENTENCES OUT --teacher teacher/lib/python3.11/site-packages \
        --voices package/voices
    export KUBEVOICE_HOME=OUT/home
    kubevoice up -f OUT/voice.yaml
    python benchmarks/fine_tuning.py OUT/home/jobs --words training/recipes/everyday.csv

A voice of the teacher for another language, which is not in the base's corpus, synthesizes Mandarin sentences that no
other voice has. The eighth Mandarin voice, zf_xiaoni, is not suitable, because her tones are not standard
(measure_teacher.py). Teacher and SENTENCES are those of base_sentences.py. Each run writes metadata.csv, wavs/ and
voice.yaml into OUT again.
"""

import csv

import yaml
from base_sentences import Teacher, build_parser, order_by_coverage, sample_sentences

FIRST = 4000
"""Number of the first sentence. The base's corpus has sentences up to number 2,423."""
VOICE = {
    "apiVersion": "kubevoice.io/v1alpha1",
    "kind": "VoiceModel",
    "metadata": {"name": "new-speaker"},
    "spec": {
        "base": {"uri": "builtin://base"},
        "dataset": {"uri": "./"},
        "training": {
            "maxSteps": 300,
            "batchSize": 8,
            "learningRate": 2e-4,
            "saveEvery": 50,
            "devFraction": 0.1,
            "trainable": ["all"],
        },
        "evaluation": {"policy": "Report"},
    },
}


def main() -> None:
    """Read the sentences; write them as a dataset, and the VoiceModel that trains on it."""
    parser = build_parser(__doc__)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--speaker", default="af_heart", help="a voice of the teacher")
    args = parser.parse_args()
    (args.out / "wavs").mkdir(parents=True, exist_ok=True)
    teacher, rows = Teacher(args.teacher, args.voices, (args.speaker,)), list[dict[str, str]]()
    for analysis in order_by_coverage(sample_sentences(args.sentences))[FIRST:]:
        if len(rows) == args.count:
            break
        name = f"{len(rows):03}"
        path = f"wavs/{name}.flac"
        if teacher.write_speech(analysis, args.speaker, args.out / path) is not None:
            rows.append({"id": name, "text": analysis.text, "emotion": "neutral", "wav_path": path})
    if len(rows) < args.count:
        raise SystemExit(
            f"{args.sentences}: {len(rows)} of {args.count} sentences were synthesized, because it has too few after "
            f"the first {FIRST}; give a longer file or a smaller --count"
        )
    with (args.out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["id", "text", "emotion", "wav_path"])
        table.writeheader()
        table.writerows(rows)
    (args.out / "voice.yaml").write_text(yaml.safe_dump(VOICE, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
