"""`say` and `text`: speech and the front end, in this process."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.text import analyse
from kubevoice.voice import builtin_voice

from kubevoice_cli.client import speak
from kubevoice_cli.console import answers, errors, plain

__all__ = ["say", "text"]

DEFAULT_VOICE = "builtin://base"
FORMATS = ("wav", "flac", "mp3", "opus", "aac", "pcm")


def _write(path: Path, audio: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(audio)
        temporary.replace(path)
    except OSError as error:
        raise KubeVoiceError(f"cannot write {path}: {error.strerror}") from None


def say(
    text: Annotated[str, typer.Argument(help="What to say, in Chinese.", show_default=False)],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help=f"File to write: {', '.join(FORMATS)}.")] = Path(
        "speech.wav"
    ),
    voice: Annotated[
        str | None,
        typer.Option(help=f"Folder of a bundle or builtin://NAME; with --url, a name there. [{DEFAULT_VOICE}]"),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Ask this server instead of speaking here.")] = None,
    emotion: Annotated[str | None, typer.Option(help="Emotion of the voice.")] = None,
    intensity: Annotated[float, typer.Option(help="0 is neutral, 1 as trained, 2 twice that.")] = 1.0,
    speaker: Annotated[str | None, typer.Option(help="Speaker of the voice.")] = None,
    speed: Annotated[float, typer.Option(help="2 is twice as fast.")] = 1.0,
    pitch: Annotated[float, typer.Option(help="Semitones up or down.")] = 0.0,
    volume: Annotated[float, typer.Option(help="Factor on the samples.")] = 1.0,
    threads: Annotated[int, typer.Option(help="Threads of ONNX Runtime.", min=1)] = 1,
) -> None:
    """Speak into a file. No server is needed."""
    audio_format = output.suffix.removeprefix(".").lower()
    if audio_format not in FORMATS:
        raise InputError(f"{output}: the name must end with .{', .'.join(FORMATS)}")
    if url is not None:
        wishes = {"emotion": emotion, "intensity": intensity, "speaker": speaker, "speed": speed}
        wishes |= {"pitch": pitch, "volume": volume, "voice": voice, "response_format": audio_format}
        named = {key: value for key, value in wishes.items() if value is not None}
        _write(output, speak(url, {"input": text} | named))
    else:
        from kubevoice.audio.encode import encode_audio
        from kubevoice.engine import Controls, Engine, read_aloud

        where = voice or DEFAULT_VOICE
        engine = Engine.load(builtin_voice(where) if where.startswith("builtin://") else Path(where), threads=threads)
        samples = read_aloud(engine, text, Controls(speaker, emotion, intensity, speed, pitch, volume))
        _write(output, encode_audio(samples, engine.sample_rate, audio_format))
    answers.print(plain(str(output)))


def text() -> None:
    """Show how the front end reads text: lines from stdin, a JSON object a line to stdout."""
    failed = 0
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        try:
            found = analyse(line.rstrip("\n"))
        except InputError as error:
            failed += 1
            errors.print(f"[bold red]error:[/] line {number}: {plain(str(error))}")
            continue
        sys.stdout.write(json.dumps(found.as_dict(), ensure_ascii=False) + "\n")
    if failed:
        raise InputError(f"{failed} lines could not be read; correct them and run again")
