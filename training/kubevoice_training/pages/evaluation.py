"""The page beside a released bundle: the result of the quality gate, and every clip with its spectrogram."""

from collections.abc import Iterator, Sequence

from kubevoice.resources.stages import GateResult
from kubevoice.resources.voicemodel import Evaluation

from kubevoice_training.evaluation.report import ClipReport, EvaluationReport
from kubevoice_training.evaluation.voice_metrics import LOWER_BOUNDS, get_threshold
from kubevoice_training.pages.html import escape_text, render_badge, render_document, render_section, render_table
from kubevoice_training.pages.media import render_picture, render_player

__all__ = ["render_evaluation_page"]

KINDS = {GateResult.PASSED: "good", GateResult.FAILED: "bad", GateResult.REPORTED: "plain"}
METRICS = {
    "pinyinErrorRate": ("Pinyin error rate", "share of syllables that Whisper recognizes wrongly, tones aside"),
    "naturalness": ("Naturalness", "DistillMOS rating of synthesized speech, from 1 (bad) to 5 (excellent)"),
    "naturalnessLoss": ("Naturalness lost", "the base voice's rating with the same texts minus this voice's"),
    "speakerSimilarity": (
        "Speaker similarity",
        "cosine of GE2E embeddings of synthesis and recording; 1 is equal",
    ),
    "melCepstralDistortion": (
        "Mel cepstral distortion, dB",
        "10 √2 / ln 10 times the mean distance of mel cepstra 1 to 13 along the time-warping path (Kubichek 1993)",
    ),
    "f0Rmse": ("F0 error, Hz", "root mean square along the same path, where both are voiced"),
    "durationError": ("Duration error", "mean of |synthesized - recorded| / recorded"),
    "realTimeFactor": ("Real-time factor", "seconds of one CPU thread for a second of speech"),
}


def render_evaluation_page(
    report: EvaluationReport, revision: str, evaluation: Evaluation, result: GateResult, failures: Sequence[str]
) -> str:
    """Render the evaluation of a release. Names and texts are escaped.

    Parameters
    ----------
    report
        Metrics and clips.
    revision
        Digest of the bundle.
    evaluation
        Thresholds and policy.
    result
        Result of the quality gate.
    failures
        Messages of the thresholds that were missed.

    Returns
    -------
    str
        HTML.
    """
    return render_document(f"{report.name}: evaluation", _render_parts(report, revision, evaluation, result, failures))


def _render_parts(
    report: EvaluationReport, revision: str, evaluation: Evaluation, result: GateResult, failures: Sequence[str]
) -> Iterator[str]:
    yield f"<header><h1>{escape_text(report.name)}{render_badge(result, KINDS[result])}</h1>"
    yield f'<p class="quiet">revision {escape_text(revision)}; policy {escape_text(evaluation.policy)}</p></header>'
    if failures:
        yield render_section(
            "Thresholds missed", "<ul>", *(f"<li>{escape_text(line)}</li>" for line in failures), "</ul>"
        )
    yield render_section("Metrics", _render_metrics(report, evaluation), _render_provenance(report))
    if emotions := _render_emotions(report):
        yield render_section("Emotions", emotions)
    if report.clips:
        yield render_section("Clips", _render_clips(report.clips))


def _render_provenance(report: EvaluationReport) -> str:
    compared = sum(clip.distortion is not None for clip in report.clips)
    origin = (
        "that were held out from training"
        if report.held_out
        else "of the training set, because none was held out (the metrics are too good)"
    )
    source = (
        f"Compared with {compared} recordings {origin}." if compared else "There are no recordings to compare with."
    )
    export = ", ".join(f"{name} {value:.1g}" for name, value in report.export.items())
    difference = f" Largest difference of the exported graphs from torch: {export}." if export else ""
    return f'<p class="quiet">{escape_text(source + difference)}</p>'


def _render_metrics(report: EvaluationReport, evaluation: Evaluation) -> str:
    rows = []
    for metric, (name, meaning) in METRICS.items():
        value, limit = report.metrics.get(metric), get_threshold(metric, evaluation)
        sign = "at least" if metric in LOWER_BOUNDS else "at most"
        passed = (
            value is not None and limit is not None and (value >= limit if metric in LOWER_BOUNDS else value <= limit)
        )
        mark = "" if limit is None else render_badge("met", "good") if passed else render_badge("missed", "bad")
        why = f"; {report.missing[metric]}" if value is None and metric in report.missing else ""
        shown = "not measured" if value is None else f"{value:.3g}"
        threshold = "" if limit is None else f"{sign} {limit:.3g}"
        rows.append(
            (escape_text(name), shown, threshold, mark, f'<span class="quiet">{escape_text(meaning + why)}</span>')
        )
    return render_table(("metric", "measured", "threshold", "", "meaning"), rows, words=(0, 4))


def _render_emotions(report: EvaluationReport) -> str:
    """What is known of each emotion: a sentence in it, its length and pitch, and the duration error of its clips."""

    def format_metric(prefix: str, label: str, digits: str) -> str:
        value = report.metrics.get(f"{prefix}.{label}")
        return "" if value is None else format(value, digits)

    rows = [
        (
            escape_text(label),
            render_player(sound),
            format_metric("seconds", label, ".2f"),
            format_metric("f0Median", label, ".0f"),
            format_metric("durationError", label, ".3f"),
        )
        for label, sound in report.samples.items()
    ]
    head = ("emotion", "one sentence", "seconds", "median F0, Hz", "duration error")
    return render_table(head, rows, words=(0, 1)) if rows else ""


def _render_clips(clips: Sequence[ClipReport]) -> str:
    def optional(value: float | None, digits: str) -> str:
        return "" if value is None else format(value, digits)

    rows = [
        (
            f'<b>{escape_text(clip.text)}</b><br><span class="quiet">'
            f"{escape_text(clip.emotion)} {escape_text(clip.speaker)}"
            + (f"<br>recognized: {escape_text(clip.transcript)}" if clip.transcript is not None else "")
            + "</span>",
            render_picture(clip.picture, "spectrogram of the voice") + render_player(clip.sound),
            render_picture(clip.recorded_picture, "spectrogram of the recording") + render_player(clip.recorded_sound),
            optional(clip.distortion, ".2f"),
            optional(clip.f0_error, ".1f"),
            f"{clip.seconds:.2f}" + (f" / {clip.recorded_seconds:.2f}" if clip.recorded_seconds else ""),
        )
        for clip in clips
    ]
    head = ("text", "synthesized", "recorded", "distortion, dB", "F0 error, Hz", "seconds")
    return render_table(head, rows, words=(0, 1, 2))
