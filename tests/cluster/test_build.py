"""The message about missing tools, and the build of programs."""

import os
import threading
from pathlib import Path

import pytest
from testcluster import UnavailableError, build, tools
from testcluster.build import Module, Toolbox

PROGRAM = 'package main\n\nfunc main() { println("built") }\n'


@pytest.fixture
def toolbox(tmp_path, monkeypatch):
    """A Go module with one small program, and an empty cache."""
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    (tmp_path / "module").mkdir()
    (tmp_path / "module/go.mod").write_text("module example.test/small\n\ngo 1.21\n")
    (tmp_path / "module/main.go").write_text(PROGRAM)
    return Toolbox(Module(tmp_path / "module", {"small": ".", "broken": "./broken"}, {}))


def test_all_missing_packages_are_named_in_one_message(monkeypatch):
    monkeypatch.setattr(tools, "find", lambda program: None if program in ("runc", "ctr", "containerd") else program)
    monkeypatch.setattr(tools, "CNI_PLUGINS", Path("/nonexistent"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match=r"root .* packages containerd containernetworking-plugins runc$"):
        tools.require_for_node()


def test_without_go_nothing_is_built_and_the_message_names_go(toolbox, monkeypatch):
    monkeypatch.setattr(build, "find_go", lambda: None)
    with pytest.raises(UnavailableError, match="Go is needed"):
        toolbox.build(["small"])


def test_a_program_is_built_once_by_several_threads(toolbox, monkeypatch):
    if tools.find_go() is None:
        pytest.skip("Go is not installed")
    calls = []
    run_go = build.run_go
    monkeypatch.setattr(
        build, "run_go", lambda *arguments, **options: calls.append(arguments) or run_go(*arguments, **options)
    )
    threads = [threading.Thread(target=toolbox.build, args=(["small"],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert toolbox.binary("small").exists()
    assert list(toolbox.folder.glob(".scratch-*")) == []


def test_a_failed_build_has_a_message_and_leaves_no_program(toolbox):
    if tools.find_go() is None:
        pytest.skip("Go is not installed")
    with pytest.raises(RuntimeError, match="broken"):
        toolbox.build(["broken"])
    assert not toolbox.binary("broken").exists()


def test_a_changed_source_has_another_folder(toolbox):
    before = toolbox.folder
    (toolbox.module.folder / "main.go").write_text(PROGRAM.replace("built", "changed"))
    assert toolbox.folder != before
