"""The operator with the older versions of KubeRay in docs/install.md. All other tests use the newest."""

import pytest
import testcluster
from ray_jobs import submit_ray_jobs
from testcluster.build import OLDER_KUBERAY
from toy_voice import make_toy_voice

import voices
from voices import Client, Voice

pytestmark = [pytest.mark.xdist_group("second_node"), pytest.mark.slow]


@pytest.fixture(scope="module")
def namespace(node):
    return voices.prepare(node, "kuberays")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Two toy voices, with sample rates that the samples of a release can have."""
    return [make_toy_voice(tmp_path_factory.mktemp("voices") / "mei", sample_rate=rate) for rate in (8000, 16000)]


def read_revision(voice):
    """Return the revision that every replica serves; None while one does not report it."""
    return voice.status["serving"].get("revision")


@pytest.mark.parametrize("version", OLDER_KUBERAY)
def test_a_voice_without_a_dataset_is_served_swapped_and_scaled(node, namespace, bundles, version):
    first, second = (voices.upload_bundle(node.s3, bundle.digest[7:], bundle) for bundle in bundles)
    with testcluster.older_kuberay(node, version) as cluster:
        voice = Voice(cluster, voices.voicemodel(cluster.s3, "mei", namespace, base={"uri": first})).apply()
        try:
            voice.wait_ready(420)
            assert submit_ray_jobs(voice)["no token"] == 401
            voice.wait("the first voice", lambda: read_revision(voice) == bundles[0].digest, 120)
            with Client(voice) as client:
                voice.apply(base={"uri": second}, serving={"maxReplicas": 2, "minReplicas": 2})
                voice.wait_ready(300)
                voice.wait("two replicas", lambda: voice.status["serving"]["replicas"]["ready"] == 2, 420)
            assert client.failures == []
            assert set(client.revisions) <= {bundle.digest for bundle in bundles}
            voice.wait("the second voice", lambda: read_revision(voice) == bundles[1].digest, 120)
        finally:
            voice.delete()
            voice.wait("the end of its pods", lambda: not voice.pods(), 420)
