"""The operator with the older versions of KubeRay in docs/install.md. All other tests use the newest."""

import pytest
import testcluster
from testcluster.build import OLDER_KUBERAY

import voices
from voices import Client, Voice

pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.slow]


@pytest.fixture(scope="module")
def namespace(node):
    return voices.prepare(node, "kuberays")


@pytest.fixture(scope="module")
def dataset(node):
    return voices.upload_dataset(node.s3, "few", clips=9)


@pytest.mark.parametrize("version", OLDER_KUBERAY)
def test_a_voice_is_served_swapped_and_scaled(node, namespace, dataset, version):
    with testcluster.older_kuberay(node, version) as cluster:
        voice = Voice(cluster, voices.voicemodel(cluster.s3, "mei", namespace, dataset)).apply()
        try:
            voice.wait_ready(420)
            assert voices.submit_ray_jobs(voice)["no token"] == 401
            old = voice.status["serving"]["revision"]
            with Client(voice) as client:
                voice.apply(training={"maxSteps": 4}, serving={"maxReplicas": 2, "minReplicas": 2})
                voice.wait_ready(300)
                voice.wait("two replicas", lambda: voice.status["serving"]["replicas"]["ready"] == 2, 420)
            assert client.failures == []
            assert voice.status["serving"]["revision"] != old
        finally:
            voice.delete()
            voice.wait("the end of its pods", lambda: not voice.pods(), 420)
