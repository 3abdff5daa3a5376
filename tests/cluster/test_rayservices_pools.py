"""VoicePools on a real API server with KubeRay's CRDs. A server of the test answers for their replicas."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import operators
import pytest
import yaml
from kubelet import REVISION, Voices
from test_rayservices import NEWEST, OPERATOR_SCRIPT, install

pytestmark = pytest.mark.xdist_group("control_plane")
OTHER = "sha256:" + "2" * 64


class Replicas(BaseHTTPRequestHandler):
    """Replicas of every pool and voice: they serve what the test says."""

    voices: ClassVar[dict[str, str]] = {}
    errors: ClassVar[dict[str, str]] = {}

    def do_GET(self):
        replica = {"replica": "a", "voices": self.voices, "errors": self.errors}
        body = json.dumps({"replicas": [replica]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def voices(control_plane, rest):
    install(control_plane, NEWEST)
    return Voices(rest, control_plane.namespace("pools"))


@pytest.fixture(scope="module", autouse=True)
def operator(voices, control_plane, tmp_path_factory):
    with ThreadingHTTPServer(("127.0.0.1", 0), Replicas) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        program = ("-c", OPERATOR_SCRIPT.format(url=f"http://127.0.0.1:{server.server_port}"))
        with operators.deployed_operator(
            control_plane, tmp_path_factory.mktemp("operator"), program=program
        ) as process:
            yield process
            assert process.metric('kubevoice_operator_reconcile_errors_total{kind="bug"}') == 0
            assert 'code="403"' not in process.get("/metrics")[1]
        server.shutdown()


@pytest.fixture
def replicas():
    Replicas.voices, Replicas.errors = {}, {}
    yield Replicas
    Replicas.voices, Replicas.errors = {}, {}


def make_pool(rest, voices, name, **spec):
    body = {"apiVersion": "kubevoice.io/v1alpha1", "kind": "VoicePool", "metadata": {"name": name}, "spec": spec}
    rest.create("voicepools", voices.namespace, body)
    return name


def make_voice(voices, name, pool):
    """Make a VoiceModel of a released base voice that a pool serves."""
    voices.make(name, dataset=None, serving={"poolRef": {"name": pool}})
    voices.run(name, ("release",))
    return name


def read_pool(rest, voices, name):
    return rest.get("voicepools", voices.namespace, name)


def read_ready(rest, voices, pool):
    conditions = read_pool(rest, voices, pool).get("status", {}).get("conditions", ())
    return next(((c["status"], c["reason"], c["message"]) for c in conditions if c["type"] == "Ready"), (None,) * 3)


def read_configured(rest, voices, pool):
    """Return the voices in the Serve config of a pool's RayService, with their revisions."""
    service = rest.get("rayservices", voices.namespace, f"{pool}-pool")
    if service is None:
        return {}
    (application,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    (synthesizer,) = [d for d in application["deployments"] if d["name"] == "Synthesizer"]
    return {voice["name"]: voice["revision"] for voice in synthesizer["user_config"]["voices"]}


def test_voices_share_the_rayservice_of_their_pool(rest, voices, control_plane, replicas):
    pool = make_pool(rest, voices, "shared", storage={"secretRef": {"name": "s3"}})
    voices.wait("a pool without voices", lambda: read_ready(rest, voices, pool)[:2] == ("False", "Waiting"))
    for name in ("ada", "bea"):
        make_voice(voices, name, pool)
    voices.wait("both voices", lambda: read_configured(rest, voices, pool) == {"ada": REVISION, "bea": REVISION})
    assert rest.get("rayservices", voices.namespace, "ada") is None
    replicas.voices, replicas.errors = {"ada": REVISION}, {"bea": "s3://voices/bundles: nothing is there"}
    voices.wait_condition("ada", "Ready", "True", "Serving")
    assert "nothing is there" in voices.wait_condition("bea", "Ready", "False", "ServingFailed")
    replicas.voices, replicas.errors = {"ada": REVISION, "bea": REVISION}, {}
    voices.wait_condition("bea", "Ready", "True", "Serving")
    voices.wait("a ready pool", lambda: read_ready(rest, voices, pool)[:2] == ("True", "Serving"))
    table = control_plane.kubectl("get", "vp,vm", "-n", voices.namespace)
    assert "2/2" in table
    (row,) = [line.split() for line in table.splitlines() if "/ada" in line]
    assert "shared" in row


def test_a_change_of_one_voice_changes_the_list_alone(rest, voices, replicas):
    pool = make_pool(rest, voices, "changes")
    replicas.voices = {"cai": REVISION, "dai": REVISION}
    for name in ("cai", "dai"):
        make_voice(voices, name, pool)
        voices.wait_condition(name, "Ready", "True", "Serving")
    before = rest.get("rayservices", voices.namespace, f"{pool}-pool")["spec"]["rayClusterConfig"]
    voices.edit("cai", {"revision": OTHER})
    voices.wait("the other revision", lambda: read_configured(rest, voices, pool) == {"cai": OTHER, "dai": REVISION})
    voices.wait_condition("cai", "Ready", "False", "RollingOut")
    replicas.voices = {"cai": OTHER, "dai": REVISION}
    voices.wait_condition("cai", "Ready", "True", "Pinned")
    voices.delete("dai")
    voices.wait("one voice", lambda: read_configured(rest, voices, pool) == {"cai": OTHER})
    assert rest.get("rayservices", voices.namespace, f"{pool}-pool")["spec"]["rayClusterConfig"] == before
    voices.delete("cai")
    voices.wait("no RayService", lambda: rest.get("rayservices", voices.namespace, f"{pool}-pool") is None)


def test_a_pool_that_does_not_exist_yet_is_named_and_then_used(rest, voices, replicas):
    make_voice(voices, "eva", "later")
    assert "create it" in voices.wait_condition("eva", "Available", "False", "PoolNotReady")
    replicas.voices = {"eva": REVISION}
    make_pool(rest, voices, "later")
    voices.wait_condition("eva", "Ready", "True", "Serving")
    rest.delete("voicepools", voices.namespace, "later")
    assert "create it" in voices.wait_condition("eva", "Available", "False", "PoolNotReady")


def test_a_voice_moves_into_a_pool_and_out_of_it_without_a_gap(rest, voices, replicas):
    pool = make_pool(rest, voices, "moves")
    replicas.voices = {"fay": REVISION}
    voices.make("fay", dataset=None)
    voices.run("fay", ("release",))
    voices.wait_condition("fay", "Ready", "True", "Serving")
    assert rest.get("rayservices", voices.namespace, "fay")
    voices.edit("fay", {"serving": {"poolRef": {"name": pool}}})
    voices.wait("fay in the pool", lambda: read_configured(rest, voices, pool) == {"fay": REVISION})
    voices.wait("no RayService of its own", lambda: rest.get("rayservices", voices.namespace, "fay") is None)
    assert voices.status("fay")["serving"]["pool"] == pool
    voices.edit("fay", {"serving": {"poolRef": None}})
    voices.wait("its own RayService", lambda: rest.get("rayservices", voices.namespace, "fay"))
    voices.wait("no voice in the pool", lambda: read_configured(rest, voices, pool) == {})
    assert voices.wait_condition("fay", "Ready", "True", "Serving")
    assert "pool" not in voices.status("fay")["serving"]


def test_a_pool_whose_rayservice_is_refused_says_so(rest, voices, replicas):
    replicas.voices = {"gia": REVISION}
    make_voice(voices, "hua", make_pool(rest, voices, "valid"))
    voices.wait("a RayService", lambda: rest.get("rayservices", voices.namespace, "valid-pool"))
    somebodys = rest.get("rayservices", voices.namespace, "valid-pool")["spec"] | {"serveConfigV2": "somebody's"}
    pool = make_pool(rest, voices, "refused")
    foreign = {"apiVersion": "ray.io/v1", "kind": "RayService", "metadata": {"name": f"{pool}-pool"}}
    rest.create("rayservices", voices.namespace, foreign | {"spec": somebodys})
    make_voice(voices, "gia", pool)
    voices.wait("the refusal", lambda: read_ready(rest, voices, pool)[:2] == ("False", "RefusedByApi"))
    assert "refuses" in voices.wait_condition("gia", "Available", "False", "PoolNotReady")
    service = rest.get("rayservices", voices.namespace, f"{pool}-pool")
    assert service["spec"]["serveConfigV2"] == "somebody's"
