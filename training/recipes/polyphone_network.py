"""The network that polyphones.py trains, and its teacher, the network of g2pM."""

import pickle
from pathlib import Path
from typing import Self

import onnx
import torch
from kubevoice.text.polyphones import FEATURES, PLACES, Inventory
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from typing_extensions import override

__all__ = ["Network", "Teacher", "export_network"]

LETTER, WORD, READING, PLACE, HIDDEN = 96, 8, 32, 8, 128
TEACHER_LETTER, TEACHER_HIDDEN = 64, 32
BEGIN, END, UNKNOWN = "\uc2dc", "\ub05d", "<UNK>"
"""g2pM's tokens at both ends of a sentence, and for unknown characters."""


def _run_lstm(lstm: nn.LSTM, rows: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        output: Tensor = lstm(rows)[0]
        return output
    packed = pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=rows.shape[1])[0]


class Teacher(nn.Module):
    """g2pM's network: one bidirectional LSTM over characters. Takes ids [B, T], returns scores [B, T, classes]."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.letters = nn.Embedding(letters + 2, TEACHER_LETTER)
        self.lstm = nn.LSTM(TEACHER_LETTER, TEACHER_HIDDEN, batch_first=True, bidirectional=True)
        self.out: nn.Module = nn.Identity()
        self.classes: dict[str, int] = {}

    @classmethod
    def load(cls, folder: Path, inventory: Inventory) -> Self:
        """Read the weights of an installed g2pM; the rows of its embedding in the order of `inventory`."""
        files = {
            name: pickle.loads((folder / f"{name}.pkl").read_bytes())  # noqa: S301  # an installed package
            for name in ("char2idx", "class2idx", "np_ckpt")
        }
        weights = {name: torch.tensor(value) for name, value in files["np_ckpt"].items()}
        ids = files["char2idx"]
        self = cls(len(inventory.characters) + 1)
        order = [
            ids[UNKNOWN],
            *(ids.get(c, ids[UNKNOWN]) for c in inventory.characters),
            ids[BEGIN],
            ids[END],
        ]
        self.letters.weight.data = weights["embedding.weight"][order].float()
        for name, parameter in self.lstm.named_parameters():
            parameter.data = weights[f"lstm.{name}"].float()
        layers = []
        for number in (0, 2):
            weight, bias = (weights[f"logit_layer.{number}.{part}"].float() for part in ("weight", "bias"))
            layers.append(nn.Linear(weight.shape[1], weight.shape[0]))
            layers[-1].weight.data, layers[-1].bias.data = weight, bias
        self.out = nn.Sequential(layers[0], nn.ReLU(), layers[1])
        self.classes = {name.replace("u:", "v"): i for name, i in files["class2idx"].items()}
        return self

    def encode(self, letters: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the LSTM's outputs [B, T, 64] for ids [B, T]."""
        total = self.letters.num_embeddings
        begin = torch.full_like(letters[:, :1], total - 2)
        end = torch.full_like(letters[:, :1], total - 1)
        padded = torch.cat([begin, letters, end], dim=1)
        if lengths is not None:
            padded = padded.scatter(1, lengths.unsqueeze(1) + 1, end)
            lengths = lengths + 2
        return _run_lstm(self.lstm, self.letters(padded), lengths)[:, 1:-1]

    @override
    def forward(self, letters: Tensor) -> Tensor:
        scores: Tensor = self.out(self.encode(letters))
        return scores


class Network(nn.Module):
    """Scores readings by characters, words and the readings of the phrase dictionary."""

    def __init__(self, letters: int, readings: int, outputs: int, teacher: Teacher) -> None:
        super().__init__()
        self.letters = nn.Embedding(letters, LETTER, padding_idx=0)
        self.words = nn.Embedding(4, WORD)
        self.readings = nn.Embedding(readings, READING, padding_idx=0)
        self.places = nn.Embedding(PLACES, PLACE)
        width = LETTER + WORD + 2 * (READING + PLACE)
        self.lstm = nn.LSTM(width, HIDDEN, batch_first=True, bidirectional=True)
        self.teacher = teacher
        self.drop = nn.Dropout(0.3)
        self.head = nn.Sequential(
            nn.Linear(2 * HIDDEN + 2 * TEACHER_HIDDEN + width, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, outputs)
        )

    def encode(self, letter: Tensor, word: Tensor, *votes: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return hidden states [B, T, width] for the inputs of `FEATURES`, [B, T] each."""
        forward, forward_place, backward, backward_place = votes
        rows = self.drop(
            torch.cat(
                [
                    self.letters(letter),
                    self.words(word),
                    self.readings(forward),
                    self.places(forward_place),
                    self.readings(backward),
                    self.places(backward_place),
                ],
                dim=-1,
            )
        )
        own = self.drop(_run_lstm(self.lstm, rows, lengths))
        return torch.cat([own, self.drop(self.teacher.encode(letter, lengths)), rows], dim=-1)

    @override
    def forward(self, *inputs: Tensor) -> Tensor:
        """Return scores [N, readings] of a sentence.

        Parameters
        ----------
        *inputs
            The inputs of `FEATURES`, [T] each, then the places [N] of the characters to read.
        """
        *features, places = inputs
        scores: Tensor = self.head(self.encode(*(row.unsqueeze(0) for row in features))[0][places])
        return scores


def _store_embeddings_as_float16(model: onnx.ModelProto) -> None:
    """Store the embedding tables, which are most of the file, as float16, with a cast after each Gather."""
    for tensor in list(model.graph.initializer):
        uses = [node for node in model.graph.node if tensor.name in node.input]
        if (
            len(uses) == 0
            or any(node.op_type != "Gather" for node in uses)
            or tensor.data_type != onnx.TensorProto.FLOAT
        ):
            continue
        half = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype("float16"), tensor.name)
        tensor.CopyFrom(half)
        for node in uses:
            out = node.output[0]
            node.output[0] = f"{out}_half"
            cast = onnx.helper.make_node("Cast", [f"{out}_half"], [out], to=onnx.TensorProto.FLOAT)
            model.graph.node.insert(list(model.graph.node).index(node) + 1, cast)


def export_network(network: Network, inventory: Inventory, path: Path) -> None:
    """Write the network and its inventory as ONNX."""
    network.teacher.out = nn.Identity()
    inputs = tuple(torch.zeros(5, dtype=torch.int64) for _ in FEATURES)
    names = [*FEATURES, "asked"]
    axes = {name: {0: "length"} for name in FEATURES} | {"asked": {0: "asked"}, "scores": {0: "asked"}}
    torch.onnx.export(
        network, (*inputs, torch.tensor([1, 3])), str(path), input_names=names, output_names=["scores"],
        dynamic_axes=axes, opset_version=17, dynamo=False,
    )  # fmt: skip
    model = onnx.load(path)
    _store_embeddings_as_float16(model)
    onnx.helper.set_model_props(model, {"inventory": inventory.dumps()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
