"""Ray that cannot start on this machine: the user reads Ray's own reason."""

import pytest
from kubevoice.errors import KubeVoiceError
from kubevoice_operator.local.ray import LocalRay

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("only_ray")]

NO_REDIS = {
    "RAY_REDIS_ADDRESS": "127.0.0.1:1",
    "RAY_redis_db_connect_retries": "1",
    "RAY_redis_db_connect_wait_milliseconds": "1",
}


def test_the_reason_why_ray_ended_is_quoted_with_the_time_it_took(tmp_path):
    ray = LocalRay(tmp_path)
    with pytest.raises(KubeVoiceError, match=r"Ray ended with exit code 1 after \d+ s") as failure:
        ray.start(NO_REDIS)
    lines = str(failure.value).splitlines()
    assert str(ray.log) in lines[0]
    assert any("Could not establish connection to Redis 127.0.0.1:1" in line for line in lines[1:])
    assert not any("[0x" in line for line in lines)
    assert len(lines) <= 6
    assert ray.running() is None
