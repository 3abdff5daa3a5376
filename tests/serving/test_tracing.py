"""What an engineer finds of a request in the traces, that no text is among it, and that speech does not wait for it."""

import socket

import pytest
from http_app import listening
from kubevoice_serving import tracing
from local_voice import served, speak
from trace_collector import TraceCollector, attributes

pytestmark = pytest.mark.usefixtures("only_ray")

CALLER = "00f067aa0ba902b7"
TOLD_IN_CONFIDENCE = "这句话不可外传。"
WORK = ("read", "synthesize", "encode", "wait")


def parent(trace_id, *, sampled=True):
    return f"00-{trace_id}-{CALLER}-0{int(sampled)}"


@pytest.fixture
def collector():
    with TraceCollector() as collector:
        yield collector


@pytest.fixture
def ask_for_traces(monkeypatch):
    """Makes this process send its traces somewhere until the end of the test."""

    def ask(endpoint, **more):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50", "NO_PROXY": "*"}
        for name, value in (variables | more).items():
            monkeypatch.setenv(name, value)
        tracing.tracer.cache_clear()

    yield ask
    tracing.tracer.cache_clear()


def request(site, trace_id, *, sampled=True, **fields):
    body = {"input": TOLD_IN_CONFIDENCE, "response_format": "wav"} | fields
    return site.call("POST", "/v1/audio/speech", body, traceparent=parent(trace_id, sampled=sampled))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_request_goes_on_with_its_callers_trace(tmp_path, toy, collector, ask_for_traces, stream):
    ask_for_traces(collector.url)
    with listening(tmp_path, toy) as site:
        trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        status, headers, _ = request(site, trace_id, stream=stream)
        assert status == 200
        spans = collector.wait(trace_id, "POST /v1/audio/speech", "speak", *WORK)
    (asked,) = [span for span in spans if span.name == "POST /v1/audio/speech"]
    (spoken,) = [span for span in spans if span.name == "speak"]
    assert asked.parent_span_id.hex() == CALLER
    assert spoken.parent_span_id == asked.span_id
    work = [span for span in spans if span.name in WORK]
    assert {span.parent_span_id for span in work} == {spoken.span_id}
    told = attributes(asked)
    assert (told["http.request.method"], told["http.response.status_code"]) == ("POST", 200)
    assert told["kubevoice.request_id"] == headers["X-Request-Id"]
    for span in (asked, spoken):
        told = attributes(span)
        assert (told["kubevoice.voice"], told["kubevoice.revision"]) == ("toy", toy.digest)
        assert (told["kubevoice.format"], told["kubevoice.streaming"]) == ("wav", stream)
    for span in work:
        assert asked.start_time_unix_nano - 1e6 <= span.start_time_unix_nano <= span.end_time_unix_nano


def test_the_text_is_in_no_trace_nor_is_what_nobody_samples(tmp_path, toy, collector, ask_for_traces):
    ask_for_traces(collector.url)
    with listening(tmp_path, toy) as site:
        assert request(site, "1" * 32, sampled=False)[0] == 200
        assert request(site, "2" * 32, emotion="nothing of the kind")[0] == 400
        assert site.call("GET", "/healthz", traceparent=parent("3" * 32))[0] == 200
        assert request(site, "4" * 32)[0] == 200
        collector.wait("4" * 32, "POST /v1/audio/speech", *WORK)
        refused = collector.wait("2" * 32, "POST /v1/audio/speech", "speak")
    assert 400 in [attributes(span).get("http.response.status_code") for span in refused]
    assert {span.trace_id.hex() for span, _ in collector.spans} == {"2" * 32, "4" * 32}
    assert TOLD_IN_CONFIDENCE.encode() not in collector.raw


def test_a_collector_that_is_not_there_costs_no_request(tmp_path, toy, ask_for_traces):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        ask_for_traces(f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with listening(tmp_path, toy) as site:
            for digit in "123":
                assert request(site, digit * 32)[0] == 200


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
    ids=["nothing asked", "disabled", "no exporter", "another protocol"],
)
def test_nothing_is_traced_unless_it_is_asked_for_and_can_be(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tracing.tracer.cache_clear()
    assert tracing.tracer() is None
    tracing.tracer.cache_clear()


def test_a_voicemodel_names_the_collector_and_a_trace_crosses_ray(tmp_path_factory, toy, collector, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    tracing_spec = f', tracing: {{endpoint: "{collector.url}"}}'
    folder = tmp_path_factory.mktemp("traced")
    with served(folder, toy, tracing_spec) as serving:
        assert speak(serving, headers={"traceparent": parent("5" * 32)})[0] == 200
        spans = collector.wait("5" * 32, "POST /v1/audio/speech", "speak", "synthesize")
    of = next(resource for span, resource in collector.spans if span.name == "speak")
    assert of["service.name"] == "toy"
    assert len({span.name for span in spans}) > 3
