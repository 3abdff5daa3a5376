"""Changes of a RayService on a local Ray. The tests run in this order; the last one stops Ray."""

import threading
from pathlib import Path

import openai
import pytest
from kubevoice.errors import InputError
from kubevoice_operator.local.ray import port_is_free
from kubevoice_operator.local.ray_serve import LocalServing
from kubevoice_operator.render.rayservice import BundleRef
from kubevoice_serving.http.api_keys import generate_key
from local_voice import DEADLINE_SECONDS, bundle, call, open_speech, render, serve_voice, speak, wait_until

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("only_ray")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def serving(folder, toy):
    with serve_voice(folder, toy) as local:
        yield local


def test_api_keys_are_needed_if_the_spec_names_a_secret(serving, toy):
    service = render(bundle(toy), more=", expose: {auth: {secretRef: {name: tokens}}}")
    with pytest.raises(InputError, match="make one: kubevoice key NAME >> ") as error_info:
        serving.apply(service)
    path = Path(str(error_info.value).rpartition(" ")[2])
    key, line = generate_key("mei")
    path.write_text(line.text)
    try:
        serving.apply(service)
        wait_until(lambda: speak(serving)[0] == 401)
        serving.wait("toy", toy.digest, DEADLINE_SECONDS)
        with openai.OpenAI(base_url=f"{serving.url}/v1", api_key=key, max_retries=0) as client:
            assert client.audio.speech.create(model="toy", voice="toy", input="你好。").content
        with open_speech(serving, subprotocols=["kubevoice", f"kubevoice.key.{key}"]) as connection:
            connection.send("text", text="你好。")
            connection.send("end")
            assert connection.receive_until("speech.audio.done")
            assert connection.websocket.subprotocol == "kubevoice"
        with open_speech(serving) as connection:
            assert connection.receive_until_closed() == (4401, "missing_api_key")
        with openai.OpenAI(base_url=f"{serving.url}/v1", api_key="none", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as error_info:
                client.models.list()
            assert error_info.value.code == "invalid_api_key"
        path.unlink()
        headers = {"Authorization": f"Bearer {key}"}
        wait_until(lambda: call(serving, "GET", "/v1/voices", headers=headers)[0] == 503)
    finally:
        serving.apply(render(bundle(toy)))
        wait_until(lambda: speak(serving)[0] == 200)


def test_each_address_has_a_rate_limit_behind_rays_proxy(serving, toy):
    serving.apply(render(bundle(toy), more=", expose: {requestsPerMinute: 1}"))
    try:
        wait_until(lambda: call(serving, "GET", "/v1/voices")[0] == 429)
        # Ray's proxy accepts this header from this machine, so a test can use it for another address.
        headers = {"X-Forwarded-For": "10.0.0.1"}
        assert [call(serving, "GET", "/v1/voices", headers=headers)[0] for _ in range(2)] == [200, 429]
    finally:
        serving.apply(render(bundle(toy)))
        wait_until(lambda: speak(serving)[0] == 200)


def test_another_program_on_the_port_is_an_input_error(serving, tmp_path, toy):
    other = LocalServing(tmp_path, int(serving.url.rpartition(":")[2]))
    with pytest.raises(InputError, match="is in use by another program"):
        other.apply(render(bundle(toy)))


def test_a_new_revision_is_swapped_in_without_a_failed_request(serving, other_toy):
    answers, stop = [], threading.Event()

    def send_requests():
        while not stop.is_set():
            status, headers, _ = speak(serving)
            answers.append((status, headers["X-Revision"]))

    clients = [threading.Thread(target=send_requests) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        assert speak(serving, cached=True)[1]["X-Cache"] in ("miss", "hit; memory")
        serving.apply(render(bundle(other_toy)))
        serving.wait("toy", other_toy.digest, DEADLINE_SECONDS)
        assert speak(serving, cached=True)[1]["X-Revision"] == other_toy.digest
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert {status for status, _ in answers} == {200}
    assert speak(serving)[1]["X-Revision"] == other_toy.digest


def test_a_revision_that_cannot_be_loaded_leaves_the_old_one_serving(serving, other_toy, tmp_path):
    serving.apply(render(bundle(other_toy)))
    serving.wait("toy", other_toy.digest, DEADLINE_SECONDS)
    serving.apply(render(BundleRef("sha256:" + "0" * 64, str(tmp_path / "nothing"))))
    with pytest.raises(Exception, match="nothing"):
        serving.wait("toy", "sha256:" + "0" * 64, DEADLINE_SECONDS)
    status, headers, _ = speak(serving)
    assert (status, headers["X-Revision"]) == (200, other_toy.digest)


def test_stopping_leaves_no_process_and_a_free_port(serving, folder):
    assert serving.stop()
    assert port_is_free(int(serving.url.rpartition(":")[2]))
    name = str(folder).encode()
    processes = [p for p in Path("/proc").iterdir() if p.name.isdigit() and name in read_command(p)]
    assert processes == []


def read_command(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
