"""Amounts of a resource, as Kubernetes writes them."""

import pytest
from kubevoice.resources.quantity import parse_quantity


@pytest.mark.parametrize(
    ("amount", "value"),
    [
        ("1", 1),
        ("500m", 0.5),
        ("1.5", 1.5),
        (".25", 0.25),
        ("64k", 64_000),
        ("1Ki", 1024),
        ("1536Mi", 1536 * 2**20),
        ("1.5Gi", 1.5 * 2**30),
        ("2G", 2_000_000_000),
        ("1Ti", 2**40),
    ],
)
def test_it_has_the_value_that_kubernetes_gives_it(amount, value):
    assert parse_quantity(amount) == value


@pytest.mark.parametrize("amount", ["", "0", "-1", "1gi", "1 Gi", "Gi", "1K", "1e3x"])
def test_anything_else_is_refused(amount):
    with pytest.raises(ValueError, match="is not an amount"):
        parse_quantity(amount)
