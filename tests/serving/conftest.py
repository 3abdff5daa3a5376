import importlib.util
import sys
from pathlib import Path

import pytest

# Tests are no package, so their shared helper is loaded by its path.
spec = importlib.util.spec_from_file_location("toy_voice", Path(__file__).with_name("toy_voice.py"))
toy_voice = importlib.util.module_from_spec(spec)
sys.modules["toy_voice"] = toy_voice
spec.loader.exec_module(toy_voice)


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """The toy voice's bundle."""
    return toy_voice.make_toy_voice(tmp_path_factory.mktemp("voices") / "toy")


@pytest.fixture(scope="session")
def other_toy(tmp_path_factory):
    """Another revision of it, an octave slower to tell them apart by ear: another sample rate."""
    return toy_voice.make_toy_voice(tmp_path_factory.mktemp("voices") / "other", "other", sample_rate=4000)


def config(*bundles, default=""):
    """A user_config that serves `bundles` under the names of their manifests."""
    voices = [{"name": b.manifest.name, "revision": b.digest, "uri": str(b.path)} for b in bundles]
    return {"voices": voices, "default": default}
