"""Which answers of the API server are told as a refusal, and which mean that it cannot do its work."""

import asyncio

import pytest
from kubevoice_operator.cluster.applier import catch_refusal
from kubevoice_operator.cluster.requests import ApiException


def raise_answer(status, message):
    async def request():
        error = ApiException(status=status, reason="said")
        error.body = f'{{"message": "{message}"}}'
        raise error

    return asyncio.run(catch_refusal(request()))


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "exceeded quota"), (422, "invalid"), (500, ".spec.x: field not declared in schema")],
)
def test_what_it_would_say_again_is_a_refusal(status, message):
    assert raise_answer(status, message) == f"the API server refuses it: {message}"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_none(status):
    with pytest.raises(ApiException):
        raise_answer(status, "etcdserver: request timed out")
