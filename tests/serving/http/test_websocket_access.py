"""Access to the WebSocket, and the response to a request that is no handshake."""

import json

import pytest
from kubevoice.resources.data_plane import AccessConfig
from kubevoice_serving.http.api_keys import generate_key
from kubevoice_serving.http.schemas import MAX_CHARACTERS
from websocket_client import PATH, open_websocket
from websocket_site import send_text


@pytest.fixture
def key(site, tmp_path):
    key, line = generate_key("mei")
    (tmp_path / "keys").write_text(line.text)
    site.access.configure(AccessConfig(keys_file=tmp_path / "keys"))
    return key


def test_a_key_may_be_a_header_or_a_subprotocol(site, key):
    header = {"additional_headers": {"Authorization": f"Bearer {key}"}}
    subprotocols = {"subprotocols": ["kubevoice", f"kubevoice.key.{key}"]}
    for options in (header, subprotocols):
        with open_websocket(site.url, **options) as connection:
            connection.send("start")
            connection.send("text", text="你好。")
            connection.send("end")
            assert connection.receive_until_closed() == (1000, "")
            assert connection.websocket.subprotocol == ("kubevoice" if "subprotocols" in options else None)
            assert key not in json.dumps(connection.events)
    assert 'key_requests_total{key="mei"}' in site.call("GET", "/metrics")[2].decode()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "missing_api_key"),
        ({"subprotocols": ["kubevoice"]}, "missing_api_key"),
        ({"subprotocols": ["kubevoice", "kubevoice.key."]}, "missing_api_key"),
        ({"subprotocols": ["kubevoice", "kubevoice.key.kv-wrong"]}, "invalid_api_key"),
        ({"additional_headers": {"Authorization": "Bearer kv-wrong"}}, "invalid_api_key"),
    ],
)
def test_a_handshake_without_a_valid_key_is_refused(site, key, backend, options, reason):
    with open_websocket(site.url, **options) as connection:
        assert connection.receive_until_closed() == (4401, reason)
    assert backend.requests == []


def test_a_key_in_the_url_is_ignored(site, key):
    with open_websocket(site.url, query=f"?api_key={key}") as connection:
        assert connection.receive_until_closed() == (4401, "missing_api_key")


def test_a_connection_counts_towards_the_rate_limit(site):
    site.access.configure(AccessConfig(requests_per_minute=1))
    send_text(site, ["你好。"])
    with open_websocket(site.url) as connection:
        assert connection.receive_until_closed() == (4429, "rate_limited")
    assert "1 requests a minute" in connection.error["message"]


def test_scripts_of_other_sites_need_to_be_configured(site):
    for origin, origins, admitted in (
        (site.url, (), True),
        ("https://evil.example.com", (), False),
        ("null", (), False),
        ("https://app.example.com", ("https://app.example.com",), True),
        ("https://evil.example.com", ("https://app.example.com",), False),
        ("https://any.example.com", ("*",), True),
    ):
        site.access.configure(AccessConfig(cors_origins=origins))
        with open_websocket(site.url, origin=origin) as connection:
            connection.send("start")
            connection.send("text", text="你好。")
            connection.send("end")
            assert connection.receive_until_closed() == ((1000, "") if admitted else (4403, "origin_not_allowed")), (
                origin
            )


def test_a_plain_request_must_use_a_websocket(site):
    status, headers, body = site.call("GET", PATH)
    assert (status, headers["Upgrade"]) == (426, "websocket")
    assert "ws://" in json.loads(body)["error"]["message"]
    document = json.loads(site.call("GET", "/openapi.json")[2])
    messages = document["paths"][PATH]["get"]["x-messages"]
    for schema in (*messages["sent"]["oneOf"], *messages["received"]["oneOf"]):
        assert schema["$ref"].rpartition("/")[2] in document["components"]["schemas"]


def test_one_message_may_have_the_longest_text(site):
    assert send_text(site, ["好" * (MAX_CHARACTERS - 1)], speed=4.0).audio
