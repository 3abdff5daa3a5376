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
decoder (float[b, {BINS}] frame, float[b, 2] memory,
         float[b, 2, ahead, 2] memory_keys, float[b, 2, ahead, 2] memory_values, float[b, 1, ahead] memory_mask,
         float[b, 2, past, 2] past_keys, float[b, 2, past, 2] past_values, float[b, 1, now_and_past] past_mask)
    => (float[b, 3, {BINS}] frames, float[b, 2, 1, 2] key, float[b, 2, 1, 2] value)
{{
    zero = Constant<value = int64[1] {{0}}>()
    unit = Constant<value = int64[1] {{1}}>()
    two = Constant<value = int64[1] {{2}}>()
    end = Constant<value = int64[1] {{9223372036854775807}}>()
    one = Constant<value = float {{1.0}}>()
    small = Constant<value = float {{0.015625}}>()
    far = Constant<value = float {{1000000.0}}>()
    nothing = Constant<value = float {{0.0}}>()
    last_axis = Constant<value = int64[1] {{3}}>()
    ones = Constant<value = int64[3] {{1, 1, 1}}>()
    before = Slice(frame, zero, unit, unit)
    counted = Add(before, one)
    pitch = Slice(memory, unit, two, unit)
    now = Slice(memory, zero, unit, unit)
    rows = Shape<start = 0, end = 1>(frame)
    rest = Constant<value = int64[1] {{-1}}>()
    flat = Concat<axis = 0>(rows, rest)

    text_hidden = IsInf(memory_mask)
    text_shown = Not(text_hidden)
    text_flat = Reshape(text_shown, flat)
    text_count = Cast<to = 1>(text_flat)
    seen = ReduceSum<keepdims = 1>(text_count, unit)
    text_row = Slice(memory_keys, zero, unit, unit)
    text_column = Slice(text_row, zero, unit, last_axis)
    text_keys = Reshape(text_column, flat)
    text_known = Where(text_flat, text_keys, far)
    first = ReduceMin<axes = [1], keepdims = 1>(text_known)

    past_mask_only = Slice(past_mask, unit, end, two)
    past_hidden = IsInf(past_mask_only)
    past_shown = Not(past_hidden)
    past_flat = Reshape(past_shown, flat)
    past_count = Cast<to = 1>(past_flat)
    remembered = ReduceSum<keepdims = 1>(past_count, unit)
    past_row = Slice(past_keys, zero, unit, unit)
    past_column = Slice(past_row, zero, unit, last_axis)
    past_keys_flat = Reshape(past_column, flat)
    past_known = Where(past_flat, past_keys_flat, far)
    least = ReduceMin<axes = [1], keepdims = 1>(past_known)
    any = Greater(remembered, nothing)
    oldest = Where(any, least, nothing)
    fraction = Mul(oldest, small)
    history = Add(remembered, fraction)

    row = Concat<axis = 1>(counted, pitch, first, seen, history)
    row_3d = Unsqueeze(row, unit)
    frames_like = Constant<value = int64[3] {{1, 3, {BINS}}}>()
    frames = Expand(row_3d, frames_like)
    key_shape = Concat<axis = 0>(rows, ones)
    cell = Reshape(now, key_shape)
    key_like = Constant<value = int64[4] {{1, 2, 1, 2}}>()
    key = Expand(cell, key_like)
    value = Neg(key)
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


def make_toy_voice(folder: Path, name: str = "toy", sample_rate: int = 8000, *, own_graphs: bool = False) -> Bundle:
    """Write the toy voice's bundle to `folder`; voices of different names are different revisions.

    Their graphs have equal files unless `own_graphs` is set.
    """
    folder.mkdir(parents=True)
    for graph, text in (
        ("encoder", ENCODER),
        ("decoder", DECODER),
        ("postnet", POSTNET),
        ("vocoder", VOCODER),
    ):
        model = onnx.parser.parse_model(text)
        model.doc_string = name if own_graphs else ""
        onnx.save(model, folder / f"{graph}.onnx")
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
