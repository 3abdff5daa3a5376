"""Long work shows how far it is on standard error, and leaves standard output to the data."""

import io
import json
import os
import pty
import subprocess
import sys
import threading

import soundfile as sf
from kubevoice_cli.progress import ItemBar
from rich.console import Console


def test_dataset_check_shows_a_bar_on_a_terminal_and_data_on_the_pipe(tmp_path):
    sf.write(tmp_path / "a.wav", [0.1, -0.1] * 6000, 24_000)
    rows = "".join(f"c{number},你好,neutral,a.wav\n" for number in range(60))
    (tmp_path / "metadata.csv").write_text(f"id,text,emotion,wav_path\n{rows}", encoding="utf-8")
    terminal, end = pty.openpty()
    shown = bytearray()

    def read():
        while chunk := _read(terminal):
            shown.extend(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    command = [sys.executable, "-c", "from kubevoice_cli.main import run; run()", "dataset", "check", ".", "--json"]
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    result = subprocess.run(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=end, timeout=120, check=False
    )
    os.close(end)
    reader.join()
    os.close(terminal)
    assert result.returncode == 0, shown.decode()
    assert json.loads(result.stdout)["clips"] == 60
    assert "check recordings" in shown.decode()
    assert "/60" in shown.decode()


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end was closed
        return b""


def test_without_a_terminal_there_is_a_line_from_time_to_time():
    file, seconds = io.StringIO(), [0.0]
    with ItemBar(Console(file=file), "check", lambda: seconds[0]) as bar:
        for number in range(1, 31):
            bar.advance(number, 30)
            seconds[0] += 1.0
    assert file.getvalue().splitlines() == ["check  11/30", "check  21/30"]
