"""The revision that `rollback` chooses, and its message if there is none."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from kubevoice.errors import InputError
from kubevoice.resources.status import Revision
from kubevoice_cli.rollback import choose_revision

DIGESTS = {name: f"sha256:{name * 4}{'0' * 60}" for name in "abc"} | {"d": f"sha256:aa{'1' * 62}"}


def history(*entries):
    """Return revisions, newest first, each given by its letter and its state."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return tuple(Revision(digest=DIGESTS[name], created_at=when, state=state) for name, state in entries)


@pytest.mark.parametrize(
    ("entries", "wanted", "chosen"),
    [
        ([("a", "Serving"), ("b", "Superseded"), ("c", "Superseded")], None, "b"),
        ([("a", "Superseded"), ("b", "Serving"), ("c", "Superseded")], None, "c"),
        ([("a", "Rejected"), ("b", "Serving"), ("d", "Rejected"), ("c", "Superseded")], None, "c"),
        ([("a", "Canary"), ("b", "Serving"), ("c", "Superseded")], None, "b"),
        ([("a", "Serving"), ("b", "Superseded"), ("c", "Superseded")], "cc", "c"),
        ([("a", "Serving"), ("b", "Superseded")], "sha256:BBBB", "b"),
        ([("a", "Rejected"), ("b", "Serving")], DIGESTS["a"], "a"),
    ],
)
def test_the_revision_before_the_one_that_serves_or_the_one_that_is_named(entries, wanted, chosen):
    assert choose_revision(history(*entries), wanted).digest == DIGESTS[chosen]


@pytest.mark.parametrize(
    ("entries", "wanted", "complaint"),
    [
        ([], None, "no revision serves now; name one of: none"),
        ([("a", "Serving")], None, "no revision is older than the one that serves; there are: aaaa00000000 (Serving)"),
        ([("a", "Serving"), ("b", "Rejected")], None, "bbbb00000000 (Rejected)"),
        ([("a", "Serving"), ("b", "Superseded")], "c", "no revision begins with 'c'; there are: aaaa00000000"),
        (
            [("a", "Serving"), ("d", "Superseded")],
            "aa",
            "'aa' matches several revisions: aaaa00000000 (Serving), aa1111111111",
        ),
        ([("a", "Serving")], "", "no revision begins with ''"),
    ],
)
def test_there_is_no_such_revision(entries, wanted, complaint):
    with pytest.raises(InputError) as caught:
        choose_revision(history(*entries), wanted)
    assert complaint in str(caught.value)


@pytest.fixture
def kubevoice(tmp_path):
    def run(*words, kubeconfig="nowhere"):
        command = [sys.executable, "-c", "from kubevoice_cli.main import run; run()", *words]
        env = os.environ | {"KUBEVOICE_HOME": str(tmp_path / "home"), "KUBECONFIG": str(tmp_path / kubeconfig)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.mark.parametrize("words", [("rollback", "mei"), ("status", "mei"), ("status",)])
def test_without_a_cluster_it_says_so_in_one_line(kubevoice, tmp_path, words):
    result = kubevoice(*words, "-n", "voices")
    assert (result.returncode, "set KUBECONFIG" in result.stderr) == (1, True), result.stderr
    (tmp_path / "away").write_text(
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], "
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: u, user: {token: t}}]}"
    )
    result = kubevoice(*words, "-n", "voices", kubeconfig="away")
    assert (result.returncode, "http://127.0.0.1:9 cannot be reached" in result.stderr) == (1, True), result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("rollback", "mei"), "there is no VoiceModel 'mei' here"),
        (("rollback", "../mei"), "there is no VoiceModel '../mei' here"),
        (("rollback", "mei", "abc", "--undo"), "omit --undo"),
    ],
)
def test_bad_input_is_exit_code_2(kubevoice, words, complaint):
    result = kubevoice(*words)
    assert (result.returncode, complaint in result.stderr) == (2, True), result.stderr
