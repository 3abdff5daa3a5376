"""Errors of the API server that refuse an object, and errors after which the operator retries."""

import asyncio

import pytest
from kubevoice_operator.cluster.applier import catch_refusal
from kubevoice_operator.cluster.requests import ApiException


def catch_refusal_of_error(status, message):
    async def request():
        error = ApiException(status=status, reason="Error")
        error.body = f'{{"message": "{message}"}}'
        raise error

    return asyncio.run(catch_refusal(request()))


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "exceeded quota"), (422, "invalid"), (500, ".spec.x: field not declared in schema")],
)
def test_a_permanent_error_is_a_refusal(status, message):
    assert catch_refusal_of_error(status, message) == f"the API server refuses it: {message}"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_transient_error_is_raised(status):
    with pytest.raises(ApiException):
        catch_refusal_of_error(status, "etcdserver: request timed out")
