"""A pod's CPU limit, as its control group tells it."""

import pytest
from kubevoice_training import cores


@pytest.mark.parametrize(
    ("said", "found"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("", None), ("1 0", None)],
)
def test_a_pod_may_use_as_many_cores_as_its_limit_is_worth(tmp_path, said, found):
    (tmp_path / "cpu.max").write_text(said + "\n", encoding="ascii")
    assert cores.limit(tmp_path / "cpu.max") == found


def test_without_control_groups_there_is_no_limit(tmp_path):
    assert cores.limit(tmp_path / "cpu.max") is None
