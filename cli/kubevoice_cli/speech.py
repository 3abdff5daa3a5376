"""`say` and `text`: speech and the front end, in this process."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.text import FrontEndConfig, Lexicon, Reading, ReadingOptions, analyse, read_document, read_lexicon
from kubevoice.text.ssml import Break, Notice, Speech, Style, parse
from kubevoice.voice import builtin_voice
from rich.table import Table

from kubevoice_cli.client import fetch_speech, fetch_subtitles
from kubevoice_cli.console import answers, errors, plain

__all__ = ["say", "ssml_app", "text"]

ssml_app = typer.Typer(help="Documents in SSML.", no_args_is_help=True)

DEFAULT_VOICE = "builtin://base"
HINTS_HELP = "Take 行[hang2], <行|hang2> and [停顿:0.5s] as hints."
KEEP_CODE_HELP = "Read fenced code, too."
LEXICON_HELP = "File of corrections: word, tab, pinyin with tones or other words."
SUBTITLE_FORMATS = ("srt", "vtt", "json")
AUDIO_FORMATS = ("wav", "flac", "mp3", "opus", "aac", "pcm")


def _get_format(path: Path, formats: tuple[str, ...]) -> str:
    """Return the format that the suffix of a file names; InputError if it is not one of `formats`."""
    file_format = path.suffix.removeprefix(".").lower()
    if file_format not in formats:
        raise InputError(f"{path}: the name must end with .{', .'.join(formats)}")
    return file_format


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise KubeVoiceError(f"cannot write {path}: {error.strerror}") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def _read_lexicon(path: Path | None) -> Lexicon | None:
    return read_lexicon(_read_text(path), str(path)) if path else None


def _write_entry(entry: Reading | str) -> str:
    return f"={entry}" if isinstance(entry, str) else " ".join(entry)


def _print_notices(notices: Iterable[Notice]) -> None:
    for notice in notices:
        place = f"line {notice.line}, column {notice.column}: " if notice.line else ""
        errors.print(f"[yellow]note:[/] {place}{plain(notice.message)}")


@ssml_app.command("check")
def check_ssml(
    path: Annotated[Path, typer.Argument(help="An SSML document.", show_default=False)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the spans of an SSML document and its ignored parts; exit code 2 if it is not valid.

    Parameters
    ----------
    path : Path
        File with the document.
    as_json : bool
        Whether spans and notices are printed as JSON.

    Raises
    ------
    InputError
        If the document cannot be synthesized.
    """
    document = parse(_read_text(path))
    read_document(document)
    spans = [{"kind": type(span).__name__.lower()} | asdict(span) for span in document.spans]
    notices = [asdict(notice) for notice in document.notices]
    if as_json:
        answers.print_json(json.dumps({"spans": spans, "notices": notices}, ensure_ascii=False))
        return
    table = Table("what", "text", "how")
    for span in document.spans:
        if isinstance(span, Speech):
            changed = {k: v for k, v in asdict(span.style).items() if v != getattr(Style(), k)}
            changed |= {"pinyin": " ".join(span.pinyin)} if span.pinyin else {}
            how = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in changed.items())
            table.add_row("speech", plain(span.text.strip()), plain(how))
        elif isinstance(span, Break):
            table.add_row("break", "", f"{span.seconds:g} s")
        else:
            table.add_row("mark", plain(span.name), "")
    answers.print(table)
    _print_notices(document.notices)


def say(
    text: Annotated[str, typer.Argument(help="Text to synthesize, in Chinese.", show_default=False)],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help=f"File to write: {', '.join(AUDIO_FORMATS)}.")] = Path(
        "speech.wav"
    ),
    voice: Annotated[
        str | None,
        typer.Option(help=f"Folder of a bundle or builtin://NAME; with --url, a name there. [{DEFAULT_VOICE}]"),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Send the request to this server instead of synthesizing in this process.")
    ] = None,
    emotion: Annotated[str | None, typer.Option(help="Emotion of the voice.")] = None,
    intensity: Annotated[float, typer.Option(help="0 is neutral, 1 as trained, 2 twice that.")] = 1.0,
    speaker: Annotated[str | None, typer.Option(help="Speaker of the voice, or a blend: anna(2)+ben(1).")] = None,
    speed: Annotated[float, typer.Option(help="2 is twice as fast.")] = 1.0,
    pitch: Annotated[float, typer.Option(help="Semitones up or down.")] = 0.0,
    volume: Annotated[float, typer.Option(help="Factor on the samples.")] = 1.0,
    ssml: Annotated[bool, typer.Option("--ssml", help="The text is an SSML document.")] = False,
    lexicon: Annotated[Path | None, typer.Option(help=LEXICON_HELP)] = None,
    hints: Annotated[bool, typer.Option(help=HINTS_HELP)] = True,
    keep_code: Annotated[bool, typer.Option("--keep-code", help=KEEP_CODE_HELP)] = False,
    subtitles_to: Annotated[
        Path | None,
        typer.Option(
            "--subtitles", help=f"Also write the times of all words to this file: {', '.join(SUBTITLE_FORMATS)}."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of ONNX Runtime.", min=1)] = 1,
) -> None:
    """Synthesize a text into a file. No server is needed.

    Parameters
    ----------
    text : str
        Text, or an SSML document if `ssml` is set.
    output : Path
        File to write; its suffix names the format.
    voice, url : str or None
        The voice: of a bundle, or by its name on the server at `url`.
    emotion, intensity, speaker : str or None, float, str or None
        Controls of the voice.
    speed, pitch, volume : float
        Factor, semitones, and factor.
    ssml : bool
        Whether the text is an SSML document.
    lexicon : Path or None
        File of readings.
    hints : bool
        Whether the text has readings and pauses in it.
    keep_code : bool
        Whether fenced code is read.
    subtitles_to : Path or None
        File for subtitles; its suffix names the format.
    threads : int
        Threads of ONNX Runtime.

    Raises
    ------
    InputError
        For a text, a control or a file that cannot be used.
    KubeVoiceError
        If a file cannot be written, or the server does not answer.
    """
    audio_format = _get_format(output, AUDIO_FORMATS)
    subtitle_format = _get_format(subtitles_to, SUBTITLE_FORMATS) if subtitles_to else ""
    readings = _read_lexicon(lexicon)
    if url is not None:
        fields: dict[str, Any] = {"emotion": emotion, "intensity": intensity, "speaker": speaker, "speed": speed}
        fields |= {"pitch": pitch, "volume": volume, "voice": voice, "input": text}
        fields |= {"ssml": True} if ssml else {}
        fields |= {} if hints else {"hints": False}
        fields |= {"keep_code": True} if keep_code else {}
        fields |= {"lexicon": {word: _write_entry(entry) for word, entry in readings.items()}} if readings else {}
        request = {key: value for key, value in fields.items() if value is not None}
        _write(output, fetch_speech(url, request | {"response_format": audio_format}))
        if subtitles_to:
            _write(subtitles_to, fetch_subtitles(url, request | {"format": subtitle_format}))
    else:
        from kubevoice.audio.encode import encode_audio
        from kubevoice.engine import Controls, Engine, build_script, synthesize_parts
        from kubevoice.engine.timing import time_parts
        from kubevoice.subtitles import render_subtitles

        where = voice or DEFAULT_VOICE
        engine = Engine.load(builtin_voice(where) if where.startswith("builtin://") else Path(where), threads=threads)
        controls = Controls(speaker, emotion, intensity, speed, pitch, volume)
        options = ReadingOptions(readings, hints=hints, keep_code=keep_code)
        script = build_script(engine, text, ssml=ssml, options=options)
        samples = np.concatenate(list(synthesize_parts(engine, script.parts, controls)))
        _print_notices(script.notices)
        _write(output, encode_audio(samples, engine.sample_rate, audio_format))
        if subtitles_to:
            timing = time_parts(engine, script.parts, controls)
            _write(subtitles_to, render_subtitles(subtitle_format, text, timing, ssml=ssml, options=options).encode())
    for path in filter(None, (output, subtitles_to)):
        answers.print(plain(str(path)))


def text(
    lexicon: Annotated[Path | None, typer.Option(help=LEXICON_HELP)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse characters that have no reading.")] = False,
    hints: Annotated[bool, typer.Option(help=HINTS_HELP)] = True,
    keep_code: Annotated[bool, typer.Option("--keep-code", help=KEEP_CODE_HELP)] = False,
    neutral_tones: Annotated[bool, typer.Option(help="Give 衣服 and the like a neutral tone.")] = True,
    explained: Annotated[bool, typer.Option("--explain", help="Print which rule or model decided each part.")] = False,
) -> None:
    """Show how the front end reads text: lines from stdin, a JSON object a line to stdout.

    Parameters
    ----------
    lexicon : Path or None
        File of readings.
    strict : bool
        Whether a character without a reading is an error; otherwise a notice names it.
    hints : bool
        Whether a text has readings and pauses in it.
    keep_code : bool
        Whether fenced code is read.
    neutral_tones : bool
        Whether words such as 衣服 end with a neutral tone.
    explained : bool
        Whether to print what decided each part instead: its place, the part, what is spoken, and the rule or the model.

    Raises
    ------
    InputError
        If a line could not be read; the others are printed.
    """
    failed = 0
    front_end_config = FrontEndConfig(
        _read_lexicon(lexicon) or {}, strict=strict, hints=hints, keep_code=keep_code, neutral_tones=neutral_tones
    )
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        try:
            analysis = analyse(line.rstrip("\n"), front_end_config, explained=explained)
        except InputError as error:
            failed += 1
            errors.print(f"[bold red]error:[/] line {number}: {plain(str(error))}")
            continue
        if explained:
            for each in analysis.decisions:
                place = "" if each.offset is None else each.offset
                sys.stdout.write(f"{place}\t{each.written}\t{each.reading}\t{each.by}\n")
        else:
            sys.stdout.write(json.dumps(analysis.as_dict(), ensure_ascii=False) + "\n")
    if failed:
        raise InputError(f"{failed} lines could not be read; correct them and run again")
