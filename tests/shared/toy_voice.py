"""A voice of a few exact sums, with the signature of a real one, so that the engine's doings can be read off.

Every unit lasts 4 frames plus its emotion's row (neutral 1, happy 5) plus its speaker's row. The vocoder lays
the mel bins out as samples (hop = bins = 5), so that samples * 1024 show these columns for each frame:
steps by feedback | mean pitch | first text state seen | text states seen | past states seen + oldest / 64.
"""

from pathlib import Path

import onnx
from kubevoice.voice import Bundle, Emotion, VoiceManifest, VoiceStats, seal_bundle

BINS = 5
SCALE = 1024.0
EMOTION_ROWS, SPEAKER_ROWS = 36, 5


def _numbers(count: int) -> str:
    return ", ".join(f"{i}.0" for i in range(count))


HEAD = '<ir_version: 9, opset_import: ["" : 17]>'
ENCODER = f"""{HEAD}
encoder (int64[n] sy, int64[n] tone, int64[n] syllable_flag, int64[n] word_segment,
         float[n, {EMOTION_ROWS}] emotion_weights, float[n, {SPEAKER_ROWS}] speaker_weights,
         float[n] duration_scale, float[n] pitch_shift, float[n] energy_shift)
    => (float[s, 2] memory, float[2, s, 2] memory_keys, float[2, s, 2] memory_values,
        float[n] durations, int64[n] frames, float[n] pitch, float[n] energy)
{{
    emotion_row = Constant<value = float[{EMOTION_ROWS}] {{{_numbers(EMOTION_ROWS)}}}>()
    speaker_row = Constant<value = float[{SPEAKER_ROWS}] {{{_numbers(SPEAKER_ROWS)}}}>()
    four = Constant<value = float {{4.0}}>()
    half = Constant<value = float {{0.5}}>()
    emotion = MatMul(emotion_weights, emotion_row)
    speaker = MatMul(speaker_weights, speaker_row)
    both = Add(emotion, speaker)
    length = Add(both, four)
    durations = Mul(length, duration_scale)
    rounded = Add(durations, half)
    frames = Cast<to = 7>(rounded)
    total = ReduceSum<keepdims = 0>(frames)
    two = Constant<value = int64 {{2}}>()
    three = Constant<value = int64 {{3}}>()
    padded = Add(total, two)
    steps = Div(padded, three)
    zero = Constant<value = int64 {{0}}>()
    unit = Constant<value = int64 {{1}}>()
    range = Range(zero, steps, unit)
    time = Cast<to = 1>(range)
    eighth = Constant<value = float {{0.125}}>()
    symbols = Cast<to = 1>(sy)
    contour = Mul(symbols, eighth)
    pitch = Add(contour, pitch_shift)
    energy = Identity(energy_shift)
    mean = ReduceMean<axes = [0], keepdims = 1>(pitch)
    last = Constant<value = int64[1] {{1}}>()
    column = Unsqueeze(time, last)
    nothing = Sub(column, column)
    means = Add(nothing, mean)
    memory = Concat<axis = 1>(column, means)
    shape = Constant<value = int64[3] {{2, 1, 2}}>()
    memory_keys = Expand(column, shape)
    memory_values = Neg(memory_keys)
}}"""
DECODER = f"""{HEAD}
decoder (float[{BINS}] frame, float[2] memory,
         float[2, ahead, 2] memory_keys, float[2, ahead, 2] memory_values,
         float[2, past, 2] past_keys, float[2, past, 2] past_values)
    => (float[3, {BINS}] frames, float[2, 2] key, float[2, 2] value)
{{
    zero = Constant<value = int64[1] {{0}}>()
    unit = Constant<value = int64[1] {{1}}>()
    one = Constant<value = float[1] {{1.0}}>()
    small = Constant<value = float[1] {{0.015625}}>()
    before = Slice(frame, zero, unit)
    counted = Add(before, one)
    two = Constant<value = int64[1] {{2}}>()
    pitch = Slice(memory, unit, two)
    now = Slice(memory, zero, unit)
    flat = Constant<value = int64[1] {{-1}}>()
    all_keys = Reshape(memory_keys, flat)
    first = Slice(all_keys, zero, unit)
    ahead_shape = Shape<start = 1, end = 2>(memory_keys)
    seen = Cast<to = 1>(ahead_shape)
    past_shape = Shape<start = 1, end = 2>(past_keys)
    remembered = Cast<to = 1>(past_shape)
    past_flat = Reshape(past_keys, flat)
    nothing = Constant<value = float[1] {{0.0}}>()
    guarded = Concat<axis = 0>(past_flat, nothing)
    oldest = Slice(guarded, zero, unit)
    fraction = Mul(oldest, small)
    history = Add(remembered, fraction)
    row = Concat<axis = 0>(counted, pitch, first, seen, history)
    square = Constant<value = int64[2] {{2, 2}}>()
    key = Expand(now, square)
    value = Neg(key)
    block = Constant<value = int64[2] {{3, {BINS}}}>()
    frames = Expand(row, block)
}}"""
POSTNET = f"""{HEAD}
postnet (float[t, {BINS}] mel, float[p] valid, int64[1] skip, float[2, {BINS}] late)
    => (float[o, {BINS}] mel_out, float[2, {BINS}] next_late)
{{
    known = Concat<axis = 0>(late, mel)
    size = Shape<start = 0, end = 1>(mel)
    mel_out = Slice(known, skip, size)
    end = Constant<value = int64[1] {{9223372036854775807}}>()
    next_late = Slice(known, size, end)
}}"""
VOCODER = f"""{HEAD}
vocoder (float[t, {BINS}] mel) => (float[samples] audio)
{{
    flat = Constant<value = int64[1] {{-1}}>()
    scale = Constant<value = float {{{1 / SCALE}}}>()
    long = Reshape(mel, flat)
    audio = Mul(long, scale)
}}"""


def make_toy_voice(folder: Path, name: str = "toy", sample_rate: int = 8000) -> Bundle:
    """Write the toy voice's bundle to `folder`; voices of different names are different revisions."""
    folder.mkdir(parents=True)
    for graph, text in (
        ("encoder", ENCODER),
        ("decoder", DECODER),
        ("postnet", POSTNET),
        ("vocoder", VOCODER),
    ):
        onnx.save(onnx.parser.parse_model(text), folder / f"{graph}.onnx")
    return seal_bundle(
        folder,
        VoiceManifest(
            name=name,
            sample_rate=sample_rate,
            hop=BINS,
            mels=BINS,
            outputs_per_step=3,
            speakers=("first", "second"),
            speaker_rows=SPEAKER_ROWS,
            emotions=(Emotion(label="neutral", id=1), Emotion(label="happy", id=5)),
            emotion_rows=EMOTION_ROWS,
            stats=VoiceStats(pitch_mean=200.0, pitch_std=50.0, energy_mean=0.0, energy_std=1.0),
        ),
    )
