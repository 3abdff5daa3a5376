"""Train the network that tells how a character of several readings is read, and export it.

    python -m venv teacher && teacher/bin/pip install --no-deps g2pM==0.1.2.5
    python training/recipes/polyphones.py ../shared/data/frontend WORK --teacher .../site-packages/g2pM
    python training/recipes/polyphones.py ../shared/data/frontend WORK --teacher .../g2pM --all

Without --all a tenth of every set is held out, and its accuracy is printed after each epoch; with --all the same number
of epochs goes over everything, and the result is written to core/kubevoice/text/tables. Sets are those of g2pL
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
from polyphone_network import Network, Teacher, export
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

TABLES = Path(__file__).parents[2] / "core" / "kubevoice" / "text" / "tables"
SETS = ("g2pl_train", "g2pl_dev", "cpp_dev")
REACH = 40
"""Characters on either side of the asked one that a training example keeps."""
BATCH = 64
HELD_OUT = 10
RATE, TEACHER_RATE = 2e-3, 4e-4
TEACHER_SHARE = 0.3
"""Weight of a reading that only the teacher and the dictionary agree on, against one that a person gave."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence: its inputs [T] each, the characters asked, their readings, and each one's weight."""

    inputs: dict[str, NDArray[np.int64]]
    asked: NDArray[np.int64]
    readings: NDArray[np.int64]
    weights: NDArray[np.float32]


def rows(folder: Path, name: str) -> Iterator[tuple[str, int, str]]:
    """Yield (sentence, place of the asked character, its reading)."""
    sentences = (folder / f"{name}.sent").read_text(encoding="utf-8").splitlines()
    labels = (folder / f"{name}.lb").read_text(encoding="utf-8").splitlines()
    for sentence, label in zip(sentences, labels, strict=True):
        yield sentence.replace("▁", ""), sentence.index("▁"), label.strip().replace("u:", "v").replace("ü", "v")


def is_held_out(sentence: str) -> bool:
    """Tell by its own digest whether a sentence is one of the tenth that is not trained on."""
    return hashlib.sha256(sentence.encode()).digest()[0] % HELD_OUT == 0


def inventory_of(folder: Path, teacher: Path) -> Inventory:
    """Return the alphabet: the teacher's characters and those of the sets, every reading seen, and the choices."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    letters: Counter[str] = Counter()
    for name in SETS:
        for sentence, place, reading in rows(folder, name):
            seen[sentence[place]][reading] += 1
            letters.update(set(sentence))
    known = list(pickle.loads((teacher / "char2idx.pkl").read_bytes()))  # noqa: S301  # a package that was installed
    characters = dict.fromkeys([c for c in known if len(c) == 1] + [c for c, n in letters.most_common() if n > 1])
    dictionary = PhraseDictionary.load().readings
    candidates = {
        character: tuple(dict.fromkeys([r for r, _ in counts.most_common()] + list(dictionary.get(character, ())[:4])))
        for character, counts in sorted(seen.items())
    }
    # Those to choose from come first: they are the network's outputs.
    choices = sorted({reading for found in candidates.values() for reading in found})
    others = sorted({reading for found in dictionary.values() for reading in found} - set(choices))
    return Inventory(
        {character: i for i, character in enumerate(characters, 1)},
        {reading: i for i, reading in enumerate(choices + others, 1)},
        candidates,
    )


def teacher_readings(teacher: Teacher, inventory: Inventory, text: str) -> dict[int, str]:
    """Return what the teacher reads, by place, for every character that has a choice."""
    asked = [i for i, character in enumerate(text) if character in inventory.candidates]
    ids = torch.tensor([[inventory.characters.get(character, 0) for character in text]])
    with torch.inference_mode():
        scores = teacher(ids)[0]
    found = {}
    for place in asked:
        known = {
            r: scores[place, teacher.classes[r]] for r in inventory.candidates[text[place]] if r in teacher.classes
        }
        if known:
            found[place] = max(known, key=lambda reading: float(known[reading]))
    return found


def example(sentence: str, place: int, reading: str, teacher: Teacher, inventory: Inventory) -> Example:
    """Make an example of what is around the asked character; others are taken where two sources agree on them."""
    start = max(0, place - REACH)
    text = sentence[start : place + REACH + 1]
    place -= start
    cut = [word.text for word in split_words(TracedText.from_input(text))]
    if "".join(cut) != text:
        cut = list(text)
    known = {place: (reading, 1.0)}
    forward = PhraseDictionary.load().match_forward(text)
    for other, said in teacher_readings(teacher, inventory, text).items():
        match = forward[other]
        if other not in known and match and match.reading == said:
            known[other] = (said, TEACHER_SHARE)
    asked = np.array(sorted(known), np.int64)
    readings = np.array([inventory.readings[known[i][0]] for i in asked], np.int64)
    return Example(
        build_features(cut, forward, inventory), asked, readings, np.array([known[i][1] for i in asked], np.float32)
    )


def batches(examples: Sequence[Example], rng: random.Random) -> Iterator[list[Example]]:
    """Yield batches of about one length, in random order."""
    order = sorted(examples, key=lambda e: len(e.inputs["word"]) + rng.random() * 8)
    found = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    rng.shuffle(found)
    yield from found


def scores_of(network: Network, batch: Sequence[Example], *, first_only: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores [N, readings], readings [N] and weights [N] of all that is asked in a batch."""
    lengths = torch.tensor([len(e.inputs["word"]) for e in batch])
    inputs = [pad_sequence([torch.from_numpy(e.inputs[name]) for e in batch], batch_first=True) for name in FEATURES]
    kept = [e.weights == 1.0 if first_only else e.weights > 0 for e in batch]
    where = torch.cat([torch.full((int(k.sum()),), i) for i, k in enumerate(kept)])
    asked = torch.from_numpy(np.concatenate([e.asked[k] for e, k in zip(batch, kept, strict=True)]))
    readings = torch.from_numpy(np.concatenate([e.readings[k] for e, k in zip(batch, kept, strict=True)]))
    weights = torch.from_numpy(np.concatenate([e.weights[k] for e, k in zip(batch, kept, strict=True)]))
    hidden = network.encode(*inputs, lengths=lengths)
    return network.head(hidden[where, asked]), readings, weights


@torch.inference_mode()
def accuracy(network: Network, examples: Sequence[Example], masks: Tensor) -> float:
    """Return the share of asked characters that are read as people did."""
    network.eval()
    right = total = 0
    for at in range(0, len(examples), 256):
        batch = examples[at : at + 256]
        scores, readings, _ = scores_of(network, batch, first_only=True)
        letters = torch.tensor([int(e.inputs["character"][e.asked[e.weights == 1.0][0]]) for e in batch])
        right += int((scores.masked_fill(~masks[letters], -1e9).argmax(1) == readings).sum())
        total += len(batch)
    network.train()
    return right / max(total, 1)


def main() -> None:
    """Prepare, train, export."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the installed package g2pM")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--all", action="store_true", help="hold nothing out and write the network that ships")
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = random.Random(0)  # noqa: S311  # an order of sentences, no secret
    args.work.mkdir(parents=True, exist_ok=True)

    inventory = inventory_of(args.data, args.teacher)
    teacher = Teacher.load(args.teacher, inventory)
    kept: list[Example] = []
    held_out: dict[str, list[Example]] = {name: [] for name in SETS}
    cache = args.work / "examples.pkl"
    if cache.exists():
        kept, held_out = pickle.loads(cache.read_bytes())  # noqa: S301  # written below
    else:
        for name in SETS:
            for sentence, place, reading in rows(args.data, name):
                made = example(sentence, place, reading, teacher, inventory)
                (held_out[name] if is_held_out(sentence) else kept).append(made)
        cache.write_bytes(pickle.dumps((kept, held_out)))
    if args.all:
        kept = kept + [made for name in SETS for made in held_out[name]]
    print(f"{len(kept)} examples, {sum(len(e.asked) for e in kept)} readings, {len(inventory.characters)} characters")

    masks = torch.zeros(len(inventory.characters) + 1, len(inventory.readings) + 1, dtype=torch.bool)
    for character, found in inventory.candidates.items():
        masks[inventory.characters[character], [inventory.readings[reading] for reading in found]] = True
    outputs = 1 + max(inventory.readings[r] for found in inventory.candidates.values() for r in found)
    masks = masks[:, :outputs]
    network = Network(len(inventory.characters) + 1, len(inventory.readings) + 1, outputs, teacher)
    groups = [
        {"params": [p for n, p in network.named_parameters() if n.startswith("teacher")], "lr": TEACHER_RATE},
        {"params": [p for n, p in network.named_parameters() if not n.startswith("teacher")], "lr": RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-2)
    steps = args.epochs * (len(kept) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [TEACHER_RATE, RATE], steps, pct_start=0.1)
    began = time.monotonic()
    for epoch in range(args.epochs):
        losses = []
        for batch in batches(kept, rng):
            scores, readings, weights = scores_of(network, batch)
            loss = (F.cross_entropy(scores, readings, reduction="none", label_smoothing=0.02) * weights).sum() / len(
                batch
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        told = {name: round(100 * accuracy(network, held_out[name], masks), 2) for name in SETS}
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {told}, {time.monotonic() - began:.0f} s", flush=True)
        torch.save(network.state_dict(), args.work / "network.pt")
    export(network.eval(), inventory, TABLES / "polyphones.onnx" if args.all else args.work / "polyphones.onnx")


if __name__ == "__main__":
    main()
