"""Traces of requests: their spans and attributes, without text, and without delay for speech."""

import socket

import pytest
from http_app import serve_app
from kubevoice_serving import tracing
from local_voice import serve_voice, speak
from trace_collector import TraceCollector, read_attributes

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("only_ray")]

CALLER = "00f067aa0ba902b7"
PRIVATE_TEXT = "这句话不可外传。"
WORK = ("read", "synthesize", "encode", "wait")


def make_traceparent(trace_id, *, sampled=True):
    return f"00-{trace_id}-{CALLER}-0{int(sampled)}"


@pytest.fixture
def collector():
    with TraceCollector() as collector:
        yield collector


@pytest.fixture
def enable_tracing(monkeypatch):
    """A function that makes this process export traces to an endpoint until the end of the test."""

    def configure(endpoint, **options):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50", "NO_PROXY": "*"}
        for name, value in (variables | options).items():
            monkeypatch.setenv(name, value)
        tracing.get_tracer.cache_clear()

    yield configure
    tracing.get_tracer.cache_clear()


def request(site, trace_id, *, sampled=True, **fields):
    body = {"input": PRIVATE_TEXT, "response_format": "wav"} | fields
    return site.call("POST", "/v1/audio/speech", body, traceparent=make_traceparent(trace_id, sampled=sampled))


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "streamed"])
def test_a_request_continues_its_callers_trace(tmp_path, toy, collector, enable_tracing, stream):
    enable_tracing(collector.url)
    with serve_app(tmp_path, toy) as site:
        trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        status, headers, _ = request(site, trace_id, stream=stream)
        assert status == 200
        spans = collector.wait(trace_id, "POST /v1/audio/speech", "replica", *WORK)
    (request_span,) = [span for span in spans if span.name == "POST /v1/audio/speech"]
    (replica_span,) = [span for span in spans if span.name == "replica"]
    assert request_span.parent_span_id.hex() == CALLER
    assert replica_span.parent_span_id == request_span.span_id
    work = [span for span in spans if span.name in WORK]
    assert {span.parent_span_id for span in work} == {replica_span.span_id}
    values = read_attributes(request_span)
    assert (values["http.request.method"], values["http.response.status_code"]) == ("POST", 200)
    assert values["kubevoice.request_id"] == headers["X-Request-Id"]
    for span in (request_span, replica_span):
        values = read_attributes(span)
        assert (values["kubevoice.voice"], values["kubevoice.revision"]) == ("toy", toy.digest)
        assert (values["kubevoice.format"], values["kubevoice.streaming"]) == ("wav", stream)
    for span in work:
        assert request_span.start_time_unix_nano - 1e6 <= span.start_time_unix_nano <= span.end_time_unix_nano


def test_traces_have_no_text_and_no_unsampled_requests(tmp_path, toy, collector, enable_tracing):
    enable_tracing(collector.url)
    with serve_app(tmp_path, toy) as site:
        assert request(site, "1" * 32, sampled=False)[0] == 200
        assert request(site, "2" * 32, emotion="nothing of the kind")[0] == 400
        assert site.call("GET", "/healthz", traceparent=make_traceparent("3" * 32))[0] == 200
        assert request(site, "4" * 32)[0] == 200
        collector.wait("4" * 32, "POST /v1/audio/speech", *WORK)
        refused = collector.wait("2" * 32, "POST /v1/audio/speech", "replica")
    assert 400 in [read_attributes(span).get("http.response.status_code") for span in refused]
    assert {span.trace_id.hex() for span, _ in collector.spans} == {"2" * 32, "4" * 32}
    assert PRIVATE_TEXT.encode() not in collector.raw


def test_without_a_collector_no_request_fails(tmp_path, toy, enable_tracing):
    with socket.socket() as closed_port:
        closed_port.bind(("127.0.0.1", 0))  # without listening
        enable_tracing(f"http://127.0.0.1:{closed_port.getsockname()[1]}")
        with serve_app(tmp_path, toy) as site:
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
    ids=["nothing configured", "disabled", "no exporter", "another protocol"],
)
def test_nothing_is_traced_unless_configured_and_supported(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tracing.get_tracer.cache_clear()
    assert tracing.get_tracer() is None
    tracing.get_tracer.cache_clear()


def test_a_voicemodel_names_the_collector_and_a_trace_crosses_ray(tmp_path_factory, toy, collector, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    tracing_spec = f', tracing: {{endpoint: "{collector.url}"}}'
    folder = tmp_path_factory.mktemp("traced")
    with serve_voice(folder, toy, tracing_spec) as serving:
        assert speak(serving, headers={"traceparent": make_traceparent("5" * 32)})[0] == 200
        spans = collector.wait("5" * 32, "POST /v1/audio/speech", "replica", "synthesize")
    resource_attributes = next(resource for span, resource in collector.spans if span.name == "replica")
    assert resource_attributes["service.name"] == "toy"
    assert len({span.name for span in spans}) > 3
