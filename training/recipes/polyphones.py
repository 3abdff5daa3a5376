"""Train and export the network that chooses the reading of a polyphone.

    python -m venv teacher && teacher/bin/pip install --no-deps g2pM==0.1.2.5
    python training/recipes/polyphones.py ../shared/data/frontend WORK --teacher .../site-packages/g2pM
    python training/recipes/polyphones.py ../shared/data/frontend WORK --teacher .../g2pM --all

Without --all a tenth of every set is held out, and its accuracy is printed after each epoch. With --all the network is
trained on everything for the same number of epochs, and written to core/kubevoice/text/tables. The sets are g2pL
(https://github.com/whzikaros/g2pL) and CPP (https://github.com/kakaobrain/g2pM), both Apache-2.0. Half of the network
starts from g2pM's weights (Apache-2.0), which were trained on the rest of CPP.
"""

import argparse
import hashlib
import pickle
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from kubevoice.text.phrase_dictionary import PhraseDictionary
from kubevoice.text.polyphones import FEATURES, Inventory, build_features
from kubevoice.text.segment import split_words
from kubevoice.text.traced_text import TracedText
from numpy.typing import NDArray
from polyphone_network import Network, Teacher, export_network
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

TABLES = Path(__file__).parents[2] / "core" / "kubevoice" / "text" / "tables"
SETS = ("g2pl_train", "g2pl_dev", "cpp_dev")
CONTEXT = 40
"""Characters on either side of the labelled one in a training example."""
BATCH = 64
HELD_OUT = 10
RATE, TEACHER_RATE = 2e-3, 4e-4
TEACHER_SHARE = 0.3
"""Weight of a reading on which teacher and dictionary agree; a labelled reading has 1."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence with the readings to learn.

    Attributes
    ----------
    inputs
        [T] by feature.
    places
        Places [N] of the characters with a reading.
    readings
        Ids [N] of their readings.
    weights
        Their weights [N] in the loss.
    """

    inputs: dict[str, NDArray[np.int64]]
    places: NDArray[np.int64]
    readings: NDArray[np.int64]
    weights: NDArray[np.float32]


def iter_rows(folder: Path, name: str) -> Iterator[tuple[str, int, str]]:
    """Yield each sentence of a set, the place of its labelled character, and that one's reading."""
    sentences = (folder / f"{name}.sent").read_text(encoding="utf-8").splitlines()
    labels = (folder / f"{name}.lb").read_text(encoding="utf-8").splitlines()
    for sentence, label in zip(sentences, labels, strict=True):
        yield sentence.replace("▁", ""), sentence.index("▁"), label.strip().replace("u:", "v").replace("ü", "v")


def is_held_out(sentence: str) -> bool:
    """Return whether a sentence is held out: a tenth of them, by their digest."""
    return hashlib.sha256(sentence.encode()).digest()[0] % HELD_OUT == 0


def build_inventory(folder: Path, teacher: Path) -> Inventory:
    """Return the characters of the teacher and of the sets, their readings, and the candidates of each polyphone."""
    counts_by_character: dict[str, Counter[str]] = defaultdict(Counter)
    letters: Counter[str] = Counter()
    for name in SETS:
        for sentence, place, reading in iter_rows(folder, name):
            counts_by_character[sentence[place]][reading] += 1
            letters.update(set(sentence))
    teacher_characters = list(pickle.loads((teacher / "char2idx.pkl").read_bytes()))  # noqa: S301  # an installed package
    characters = dict.fromkeys(
        [c for c in teacher_characters if len(c) == 1] + [c for c, n in letters.most_common() if n > 1]
    )
    dictionary = PhraseDictionary.load().readings
    candidates = {
        character: tuple(dict.fromkeys([r for r, _ in counts.most_common()] + list(dictionary.get(character, ())[:4])))
        for character, counts in sorted(counts_by_character.items())
    }
    # The candidates come first, because they are the network's outputs.
    choices = sorted({reading for readings in candidates.values() for reading in readings})
    others = sorted({reading for readings in dictionary.values() for reading in readings} - set(choices))
    return Inventory(
        {character: i for i, character in enumerate(characters, 1)},
        {reading: i for i, reading in enumerate(choices + others, 1)},
        candidates,
    )


def predict_teacher_readings(teacher: Teacher, inventory: Inventory, text: str) -> dict[int, str]:
    """Return the teacher's readings of the characters with several candidates, by place."""
    places = [i for i, character in enumerate(text) if character in inventory.candidates]
    ids = torch.tensor([[inventory.characters.get(character, 0) for character in text]])
    with torch.inference_mode():
        scores = teacher(ids)[0]
    readings = {}
    for place in places:
        scores_by_reading = {
            r: scores[place, teacher.classes[r]] for r in inventory.candidates[text[place]] if r in teacher.classes
        }
        if scores_by_reading:
            readings[place] = max(scores_by_reading, key=lambda reading: float(scores_by_reading[reading]))
    return readings


def build_example(sentence: str, place: int, reading: str, teacher: Teacher, inventory: Inventory) -> Example:
    """Build an example of the text around the labelled character.

    Other polyphones in it get the reading on which the teacher and the dictionary agree, if they do.
    """
    start = max(0, place - CONTEXT)
    text = sentence[start : place + CONTEXT + 1]
    place -= start
    words = [word.text for word in split_words(TracedText.from_input(text))]
    if "".join(words) != text:
        words = list(text)
    known = {place: (reading, 1.0)}
    forward = PhraseDictionary.load().match_forward(text)
    for other, teacher_reading in predict_teacher_readings(teacher, inventory, text).items():
        match = forward[other]
        if other not in known and match and match.reading == teacher_reading:
            known[other] = (teacher_reading, TEACHER_SHARE)
    places = np.array(sorted(known), np.int64)
    readings = np.array([inventory.readings[known[i][0]] for i in places], np.int64)
    return Example(
        build_features(words, forward, inventory), places, readings, np.array([known[i][1] for i in places], np.float32)
    )


def iter_batches(examples: Sequence[Example], rng: random.Random) -> Iterator[list[Example]]:
    """Yield batches of sentences of similar length, in random order."""
    order = sorted(examples, key=lambda e: len(e.inputs["word"]) + rng.random() * 8)
    batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    rng.shuffle(batches)
    yield from batches


def score_batch(
    network: Network, batch: Sequence[Example], *, first_only: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores [N, readings], readings [N] and weights [N] of the characters to read in a batch."""
    lengths = torch.tensor([len(e.inputs["word"]) for e in batch])
    inputs = [pad_sequence([torch.from_numpy(e.inputs[name]) for e in batch], batch_first=True) for name in FEATURES]
    masks = [e.weights == 1.0 if first_only else e.weights > 0 for e in batch]
    where = torch.cat([torch.full((int(k.sum()),), i) for i, k in enumerate(masks)])
    places = torch.from_numpy(np.concatenate([e.places[k] for e, k in zip(batch, masks, strict=True)]))
    readings = torch.from_numpy(np.concatenate([e.readings[k] for e, k in zip(batch, masks, strict=True)]))
    weights = torch.from_numpy(np.concatenate([e.weights[k] for e, k in zip(batch, masks, strict=True)]))
    hidden = network.encode(*inputs, lengths=lengths)
    return network.head(hidden[where, places]), readings, weights


@torch.inference_mode()
def measure_accuracy(network: Network, examples: Sequence[Example], masks: Tensor) -> float:
    """Return the share of labelled characters whose predicted reading is the label."""
    network.eval()
    right = total = 0
    for start in range(0, len(examples), 256):
        batch = examples[start : start + 256]
        scores, readings, _ = score_batch(network, batch, first_only=True)
        letters = torch.tensor([int(e.inputs["character"][e.places[e.weights == 1.0][0]]) for e in batch])
        right += int((scores.masked_fill(~masks[letters], -1e9).argmax(1) == readings).sum())
        total += len(batch)
    network.train()
    return right / max(total, 1)


def main() -> None:
    """Read the arguments, prepare the examples, train and export."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the installed package g2pM")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--all", action="store_true", help="train on all sentences and write the built-in network")
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = random.Random(0)  # noqa: S311  # not for security
    args.work.mkdir(parents=True, exist_ok=True)

    inventory = build_inventory(args.data, args.teacher)
    teacher = Teacher.load(args.teacher, inventory)
    training_examples: list[Example] = []
    held_out: dict[str, list[Example]] = {name: [] for name in SETS}
    cache = args.work / "examples.pkl"
    if cache.exists():
        training_examples, held_out = pickle.loads(cache.read_bytes())  # noqa: S301  # written below
    else:
        for name in SETS:
            for sentence, place, reading in iter_rows(args.data, name):
                built = build_example(sentence, place, reading, teacher, inventory)
                (held_out[name] if is_held_out(sentence) else training_examples).append(built)
        cache.write_bytes(pickle.dumps((training_examples, held_out)))
    if args.all:
        training_examples = training_examples + [built for name in SETS for built in held_out[name]]
    readings_count = sum(len(e.places) for e in training_examples)
    print(f"{len(training_examples)} examples, {readings_count} readings, {len(inventory.characters)} characters")

    masks = torch.zeros(len(inventory.characters) + 1, len(inventory.readings) + 1, dtype=torch.bool)
    for character, candidates in inventory.candidates.items():
        masks[inventory.characters[character], [inventory.readings[reading] for reading in candidates]] = True
    outputs = 1 + max(inventory.readings[r] for candidates in inventory.candidates.values() for r in candidates)
    masks = masks[:, :outputs]
    network = Network(len(inventory.characters) + 1, len(inventory.readings) + 1, outputs, teacher)
    groups = [
        {"params": [p for n, p in network.named_parameters() if n.startswith("teacher")], "lr": TEACHER_RATE},
        {"params": [p for n, p in network.named_parameters() if not n.startswith("teacher")], "lr": RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-2)
    steps = args.epochs * (len(training_examples) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [TEACHER_RATE, RATE], steps, pct_start=0.1)
    began = time.monotonic()
    for epoch in range(args.epochs):
        losses = []
        for batch in iter_batches(training_examples, rng):
            scores, readings, weights = score_batch(network, batch)
            loss = (F.cross_entropy(scores, readings, reduction="none", label_smoothing=0.02) * weights).sum() / len(
                batch
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        accuracies = {name: round(100 * measure_accuracy(network, held_out[name], masks), 2) for name in SETS}
        print(
            f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {accuracies}, {time.monotonic() - began:.0f} s", flush=True
        )
        torch.save(network.state_dict(), args.work / "network.pt")
    export_network(network.eval(), inventory, TABLES / "polyphones.onnx" if args.all else args.work / "polyphones.onnx")


if __name__ == "__main__":
    main()
