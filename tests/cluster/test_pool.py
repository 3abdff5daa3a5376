"""Twenty voices in one pool on a node: served, changed, broken and removed one by one. The tests run in this order."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from kubevoice.storage import S3Options, connect, publish_tree
from toy_voice import make_toy_voice

import voices
from voices import Client, Voice, list_objects

pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.slow]

POOL, COUNT = "choir", 20
REPLICA = {"cpu": 0.2, "memory": "2Gi"}


class PooledVoice(Voice):
    """A VoiceModel that the pool serves; requests name it."""

    def endpoint(self):
        service = voices.connect(self.cluster.kubeconfig).get("services", self.namespace, f"{POOL}-pool-serve-svc")
        return f"http://{service['spec']['clusterIP']}:8000"

    def speak(self, *arguments, **options):
        return super().speak(*arguments, **{"voice": self.name} | options)

    def release(self, bundle):
        """Upload a published bundle to where release would publish it."""
        folder = f"{self.namespace}/{self.name}/bundles/{bundle.digest[7:]}"
        voices.upload_bundle(self.cluster.s3, folder, bundle, bucket="voices")


@pytest.fixture(scope="module")
def namespace(node):
    return voices.prepare(node, "pools")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Toy voices of different revisions, published to a folder."""
    made, published = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("published")
    storage = connect(published.as_uri(), S3Options())
    toys = []
    for number in range(COUNT + 1):
        toy = make_toy_voice(made / f"v{number}", f"v{number}")
        publish_tree(toy.path, storage, f"v{number}")
        toys.append(replace(toy, path=published / f"v{number}"))
    return toys


@pytest.fixture(scope="module")
def pool(node, namespace):
    body = {
        "apiVersion": "kubevoice.io/v1alpha1",
        "kind": "VoicePool",
        "metadata": {"name": POOL, "namespace": namespace},
        "spec": {
            "storage": {"secretRef": {"name": "s3"}},
            "residency": {"memory": "256Mi", "keep": ["v0"]},
            "serving": {"minReplicas": 1, "maxReplicas": 1, "replica": REPLICA},
        },
    }
    node.apply([body])
    yield body
    node.delete([body])


@pytest.fixture(scope="module")
def choir(node, namespace, pool, bundles):
    models = []
    for number, bundle in enumerate(bundles[:COUNT]):
        model = voices.voicemodel(node.s3, f"v{number}", namespace, training={"suspend": True})
        model["spec"] |= {"serving": {"poolRef": {"name": POOL}}, "revision": bundle.digest}
        voice = PooledVoice(node, model)
        voice.release(bundle)
        models.append(voice)
    node.apply([voice.model for voice in models])
    yield models
    node.delete([voice.model for voice in models])


def read_status(node, namespace):
    return voices.connect(node.kubeconfig).get("voicepools", namespace, POOL).get("status", {})


def list_pods(node, namespace):
    return list_objects(node, "pods", namespace, f"kubevoice.io/voicepool={POOL}")


def read_revision(answer):
    status, headers, body = answer
    assert status == 200, body[:300]
    return {name.lower(): value for name, value in headers.items()}["x-revision"]


def request(voice, path):
    with voices.HTTP.open(f"{voice.endpoint()}{path}", timeout=30) as answer:
        return json.load(answer)


def test_twenty_voices_are_served_by_one_replica(node, namespace, choir, bundles):
    for voice in choir:
        voice.wait_ready(600)
    assert not list_objects(node, "jobs", namespace)
    assert len(list_pods(node, namespace)) == 2
    revisions = [read_revision(voice.speak()) for voice in choir]
    assert revisions == [bundle.digest for bundle in bundles[:COUNT]]
    listed = {item["name"]: item["revision"] for item in request(choir[0], "/v1/voices")["voices"]}
    assert listed == dict(zip((voice.name for voice in choir), revisions, strict=True))
    status, _, body = choir[0].speak(voice="v99")
    assert (status, json.loads(body)["error"]["code"]) == (404, "unknown_voice")
    node.wait("all voices of the pool", lambda: read_status(node, namespace)["display"]["voices"] == "20/20", 120)
    table = node.kubectl("get", "vm,vp", "-n", namespace)
    rows = [line.split() for line in table.splitlines() if line.startswith("voicemodel")]
    assert sum(POOL in row for row in rows) == COUNT


def test_one_voice_changes_and_another_comes_while_a_third_speaks(node, namespace, choir, bundles):
    pods = {pod["metadata"]["uid"] for pod in list_pods(node, namespace)}
    with Client(choir[2]) as client:
        choir[1].release(bundles[COUNT])
        choir[1].apply(revision=bundles[COUNT].digest)
        choir[1].wait("the other revision", lambda: read_revision(choir[1].speak()) == bundles[COUNT].digest, 300)
        choir[3].delete()
        choir[3].wait("its end", lambda: choir[3].speak()[0] == 404, 300)
    assert client.failures == []
    assert set(client.revisions) == {bundles[2].digest}
    assert {pod["metadata"]["uid"] for pod in list_pods(node, namespace)} == pods


def test_a_bundle_that_is_not_there_concerns_its_own_voice_alone(choir, bundles):
    broken = choir[4]
    broken.apply(revision="sha256:" + "7" * 64)
    broken.wait("the reason", lambda: broken.condition("Degraded").get("reason") == "ServingFailed", 300)
    assert "7" * 12 in broken.condition("Degraded")["message"]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda voice: voice.speak()[0], [v for v in choir if v.name not in ("v3", "v4")]))
    assert set(answers) == {200}
    # Its loaded revision goes on.
    assert read_revision(broken.speak()) == bundles[4].digest
    assert broken.condition("Available")["status"] == "True"


def test_a_deleted_pool_leaves_its_voices_with_what_to_do(node, namespace, choir, pool):
    node.delete([pool])
    condition = choir[0].wait_condition("Available", "False", "PoolNotReady", timeout=300)
    assert "create it" in condition["message"]
    node.wait("the end of its pods", lambda: not list_pods(node, namespace), 420)
    node.apply([pool])
    choir[0].wait_ready(420)
    assert choir[0].speak()[0] == 200
