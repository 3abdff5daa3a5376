"""The page beside a released bundle: the result of the quality gate, and every clip with its spectrogram."""

from collections.abc import Iterator, Sequence

from kubevoice.resources.stages import Verdict
from kubevoice.resources.voicemodel import Evaluation

from kubevoice_training.evaluation.report import ClipReport, EvaluationReport
from kubevoice_training.evaluation.voice_metrics import LOWER_BOUNDS, get_threshold
from kubevoice_training.pages.html import badge, document, section, table, text
from kubevoice_training.pages.media import picture, player

__all__ = ["evaluation_page"]

KINDS = {Verdict.PASSED: "good", Verdict.FAILED: "bad", Verdict.REPORTED: "plain"}
METRICS = {
    "pinyinErrorRate": ("Pinyin error rate", "share of syllables that Whisper recognizes wrongly, tones aside"),
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


def evaluation_page(
    report: EvaluationReport, revision: str, evaluation: Evaluation, verdict: Verdict, failures: Sequence[str]
) -> str:
    """Return the page of one evaluation; names and texts are escaped."""
    return document(f"{report.name}: evaluation", _parts(report, revision, evaluation, verdict, failures))


def _parts(
    report: EvaluationReport, revision: str, evaluation: Evaluation, verdict: Verdict, failures: Sequence[str]
) -> Iterator[str]:
    yield f"<header><h1>{text(report.name)}{badge(verdict, KINDS[verdict])}</h1>"
    yield f'<p class="quiet">revision {text(revision)}; policy {text(evaluation.policy)}</p></header>'
    if failures:
        yield section("Thresholds missed", "<ul>", *(f"<li>{text(line)}</li>" for line in failures), "</ul>")
    yield section("Metrics", _metrics(report, evaluation), _provenance(report))
    if emotions := _emotions(report):
        yield section("Emotions", emotions)
    if report.clips:
        yield section("Clips", _clips(report.clips))


def _provenance(report: EvaluationReport) -> str:
    compared = sum(clip.distortion is not None for clip in report.clips)
    kept = (
        "kept from training"
        if report.held_out
        else "of the training set, because none was held out: metrics are too good"
    )
    export = ", ".join(f"{name} {value:.1g}" for name, value in report.export.items())
    return (
        f'<p class="quiet">Compared with {compared} recordings {kept}. Largest difference of the exported graphs from '
        f"torch: {text(export)}.</p>"
    )


def _metrics(report: EvaluationReport, evaluation: Evaluation) -> str:
    rows = []
    for metric, (name, meaning) in METRICS.items():
        value, limit = report.metrics.get(metric), get_threshold(metric, evaluation)
        sign = "at least" if metric in LOWER_BOUNDS else "at most"
        passed = (
            value is not None and limit is not None and (value >= limit if metric in LOWER_BOUNDS else value <= limit)
        )
        mark = "" if limit is None else badge("met", "good") if passed else badge("missed", "bad")
        why = f"; {report.missing[metric]}" if value is None and metric in report.missing else ""
        shown = "not measured" if value is None else f"{value:.3g}"
        threshold = "" if limit is None else f"{sign} {limit:.3g}"
        rows.append((text(name), shown, threshold, mark, f'<span class="quiet">{text(meaning + why)}</span>'))
    return table(("metric", "measured", "threshold", "", "meaning"), rows, words=(0, 4))


def _emotions(report: EvaluationReport) -> str:
    """What is known of each emotion: a sentence in it, its length and pitch, and the duration error of its clips."""

    def figure(prefix: str, label: str, digits: str) -> str:
        value = report.metrics.get(f"{prefix}.{label}")
        return "" if value is None else format(value, digits)

    rows = [
        (
            text(label),
            player(sound),
            figure("seconds", label, ".2f"),
            figure("f0Median", label, ".0f"),
            figure("durationError", label, ".3f"),
        )
        for label, sound in report.samples.items()
    ]
    head = ("emotion", "one sentence", "seconds", "median F0, Hz", "duration error")
    return table(head, rows, words=(0, 1)) if rows else ""


def _clips(clips: Sequence[ClipReport]) -> str:
    def optional(value: float | None, digits: str) -> str:
        return "" if value is None else format(value, digits)

    rows = [
        (
            f'<b>{text(clip.text)}</b><br><span class="quiet">{text(clip.emotion)} {text(clip.speaker)}'
            + (f"<br>recognized: {text(clip.transcript)}" if clip.transcript is not None else "")
            + "</span>",
            picture(clip.picture, "spectrogram of the voice") + player(clip.sound),
            picture(clip.recorded_picture, "spectrogram of the recording") + player(clip.recorded_sound),
            optional(clip.distortion, ".2f"),
            optional(clip.f0_error, ".1f"),
            f"{clip.seconds:.2f}" + (f" / {clip.recorded_seconds:.2f}" if clip.recorded_seconds else ""),
        )
        for clip in clips
    ]
    head = ("text", "synthesized", "recorded", "distortion, dB", "F0 error, Hz", "seconds")
    return table(head, rows, words=(0, 1, 2))
