"""VoiceModels on a node: their datasets, their state, and requests to them."""

import csv
import io
import json
import os
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import boto3
import operators
from botocore.config import Config
from rest import Rest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "hsk-words"
BUCKETS = ("datasets", "voices")
BASE = "small-base"
"""Prefix in the first bucket of what the voices are fine-tuned from."""
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def s3_client(s3):
    return boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


def make_buckets(s3):
    client = s3_client(s3)
    existing = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in existing:
            client.create_bucket(Bucket=name)
    client.close()


def prepare(cluster, namespace):
    """Install the operator and make a namespace with buckets, a base voice and credentials; return its name."""
    operators.release(cluster)
    make_buckets(cluster.s3)
    if not list_keys(cluster.s3, "datasets", BASE):
        from small_base import make_small_base  # imports torch

        with tempfile.TemporaryDirectory() as folder:
            upload_bundle(cluster.s3, BASE, make_small_base(Path(folder)))
    name = cluster.namespace(namespace)
    cluster.apply([cluster.s3.secret("s3", name)])
    return name


def upload_dataset(s3, prefix, clips=24):
    """Upload the first `clips` clips of the example dataset to S3; return the dataset's URI."""
    text = (EXAMPLE / "metadata.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))[:clips]
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    client = s3_client(s3)
    for row in rows:
        client.upload_file(str(EXAMPLE / row["wav_path"]), "datasets", f"{prefix}/{row['wav_path']}")
    client.put_object(Bucket="datasets", Key=f"{prefix}/metadata.csv", Body=table.getvalue().encode())
    client.close()
    return f"s3://datasets/{prefix}/"


def upload_bundle(s3, prefix, bundle, bucket="datasets"):
    """Upload a voice bundle to S3; return its URI."""
    client = s3_client(s3)
    for path in bundle.path.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(bundle.path).as_posix()}")
    client.close()
    return f"s3://{bucket}/{prefix}"


def list_keys(s3, bucket, prefix=""):
    client = s3_client(s3)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    client.close()
    return keys


def voicemodel(s3, name, namespace, dataset=None, *, steps=6, **spec):
    """Return a VoiceModel that is served by the smallest replicas.

    It is fine-tuned within a minute, from the base that `prepare` uploads. Without a dataset it is its base as it is.
    """
    body = {
        "base": {"uri": f"s3://datasets/{BASE}"},
        "dataset": {"uri": dataset},
        "storage": {
            "endpoint": s3.endpoint,
            "pathStyle": True,
            "secretRef": {"name": "s3"},
            "artifactsUri": "s3://voices/",
        },
        "training": {
            "maxSteps": steps,
            "batchSize": 4,
            "saveEvery": 2,
            "gpusPerNode": 0,
            "resources": {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"memory": "3Gi"}},
        },
        "evaluation": {"policy": "Report", "sentences": ["今天天气真好。"]},
        "serving": {"minReplicas": 1, "maxReplicas": 1, "replica": {"cpu": 0.2, "memory": "2Gi"}},
    }
    if dataset is None:
        del body["dataset"], body["training"]
    for part, changes in spec.items():
        body[part] = body.get(part, {}) | changes if isinstance(changes, dict) else changes
    return {
        "apiVersion": "kubevoice.io/v1alpha1",
        "kind": "VoiceModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": body,
    }


@cache
def connect(kubeconfig):
    """Return a cached connection to an API server, because waiting tests send several requests a second."""
    return Rest(kubeconfig)


def list_objects(cluster, kind, namespace, labels=""):
    return connect(cluster.kubeconfig).list(kind, namespace, labels)


class Voice:
    """One VoiceModel on a cluster."""

    def __init__(self, cluster, model):
        self.cluster, self.model = cluster, model
        self.name, self.namespace = model["metadata"]["name"], model["metadata"]["namespace"]

    def apply(self, **spec):
        """Change parts of its spec and apply it."""
        for part, changes in spec.items():
            current = self.model["spec"].get(part, {})
            self.model["spec"][part] = current | changes if isinstance(changes, dict) else changes
        self.cluster.apply([self.model])
        return self

    def delete(self):
        self.cluster.delete([self.model])

    @property
    def raw(self):
        return connect(self.cluster.kubeconfig).get("voicemodels", self.namespace, self.name)

    @property
    def status(self):
        return (self.raw or {}).get("status") or {}

    def condition(self, kind):
        return next((c for c in self.status.get("conditions", ()) if c["type"] == kind), {})

    def jobs(self, stage=None):
        labels = f"kubevoice.io/voicemodel={self.name}" + (f",kubevoice.io/stage={stage}" if stage else "")
        return list_objects(self.cluster, "jobs", self.namespace, labels)

    def pods(self, labels=""):
        selector = f"kubevoice.io/voicemodel={self.name}" + (f",{labels}" if labels else "")
        return list_objects(self.cluster, "pods", self.namespace, selector)

    def describe(self):
        """Return the output of `kubectl describe`, with Events."""
        return self.cluster.kubectl("describe", "vm", self.name, "-n", self.namespace)

    def wait(self, description, predicate, timeout):
        try:
            self.cluster.wait(f"{self.name}: {description}", predicate, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{json.dumps(self.status, ensure_ascii=False, indent=1)}") from None

    def wait_condition(self, kind, status="True", reason=None, timeout=120):
        def holds():
            condition = self.condition(kind)
            current = condition.get("observedGeneration") == self.raw["metadata"]["generation"]
            return current and condition["status"] == status and reason in (None, condition["reason"])

        self.wait(f"condition {kind}={status} {reason or ''}", holds, timeout)
        return self.condition(kind)

    def wait_ready(self, timeout=420):
        return self.wait_condition("Ready", timeout=timeout)

    @contextmanager
    def record_versions(self):
        """Yield a list that has, after the block, the resourceVersions which a watch of the VoiceModel reported."""
        words = [
            "get",
            "vm",
            self.name,
            "-n",
            self.namespace,
            "--watch",
            "-o",
            "jsonpath={.metadata.resourceVersion}{'\\n'}",
        ]
        environment = os.environ | {"KUBECONFIG": str(self.cluster.kubeconfig), "NO_PROXY": "*"}
        command = [str(self.cluster.kubectl_path), *words]
        versions = []
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watch:
            try:
                yield versions
            finally:
                watch.terminate()
                versions += watch.stdout.read().split()

    def endpoint(self):
        service = connect(self.cluster.kubeconfig).get("services", self.namespace, f"{self.name}-serve-svc")
        if service is None:
            raise RuntimeError(f"{self.name} has no Service")
        return f"http://{service['spec']['clusterIP']}:8000"

    def speak(self, text="你好。", timeout=30, endpoint=None, cache="no-cache", **fields):
        """Send a request for speech; return status, headers and body. `endpoint` saves a request for the Service."""
        body = json.dumps({"input": text, "response_format": "wav", **fields}).encode()
        request = urllib.request.Request(  # noqa: S310  # the cluster's own address
            f"{endpoint or self.endpoint()}/v1/audio/speech",
            body,
            {"Content-Type": "application/json", "Cache-Control": cache},
        )
        try:
            with HTTP.open(request, timeout=timeout) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()


class Client(threading.Thread):
    """A thread that requests speech again and again, and records the revisions and the failures.

    It waits `pause` seconds after each response, because without a pause one client uses all of the node's cores.
    """

    def __init__(self, voice, pause=0.3):
        super().__init__(daemon=True)
        self.voice, self.pause, self.revisions, self.failures = voice, pause, [], []
        self._stop_event = threading.Event()
        self._endpoint = voice.endpoint()

    def run(self):
        while not self._stop_event.wait(self.pause):
            try:
                status, headers, body = self.voice.speak(endpoint=self._endpoint)
            except OSError as error:
                self.failures.append((datetime.now(UTC).isoformat(), repr(error)))
                continue
            if status != 200 or not body.startswith(b"RIFF"):
                self.failures.append((datetime.now(UTC).isoformat(), status, body[:300]))
            else:
                self.revisions.append({k.lower(): v for k, v in headers.items()}["x-revision"])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stop_event.set()
        self.join(60)


def read_speech_revision(voice):
    status, headers, _ = voice.speak()
    return {k.lower(): v for k, v in headers.items()}["x-revision"] if status == 200 else None


def answers(voice):
    """Return whether a request gets speech. Another response must be an error that says when to try again."""
    try:
        code, headers, body = voice.speak()
    except OSError:
        return False
    if code != 200:
        assert code in (502, 503, 504), body
        # HAProxy and the ingress deployment write its name in different cases.
        assert int({name.lower(): value for name, value in headers.items()}["retry-after"]) > 0
        assert json.loads(body)["error"]["code"] == "unavailable"
    return code == 200
