import pytest
from toy_voice import make_toy_voice


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """The toy voice's bundle."""
    return make_toy_voice(tmp_path_factory.mktemp("voices") / "toy")


@pytest.fixture(scope="session")
def other_toy(tmp_path_factory):
    """Another revision of it, an octave slower to tell them apart by ear: another sample rate."""
    return make_toy_voice(tmp_path_factory.mktemp("voices") / "other", "other", sample_rate=4000)


def config(*bundles, default=""):
    """A user_config that serves `bundles` under the names of their manifests."""
    voices = [{"name": b.manifest.name, "revision": b.digest, "uri": str(b.path)} for b in bundles]
    return {"voices": voices, "default": default}
