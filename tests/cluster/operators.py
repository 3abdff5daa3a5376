"""Operator processes on this machine for cluster tests, with the rights of their service account."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

from chart import CHART, RELEASE, SYSTEM, helm, render_chart
from ports import free_port
from testcluster.tools import wait_for

LEASE = "kubevoice-operator"
PROGRAM = ("-m", "kubevoice_operator")


def install(cluster):
    """Apply the chart's objects without the operator's Deployment."""
    cluster.namespace(SYSTEM)
    cluster.apply([item for item in render_chart() if item["kind"] != "Deployment"])


def run_helm(cluster, *arguments, namespace=SYSTEM, values=None):
    """Run Helm on `cluster` and return what it printed."""
    variables = {"KUBECONFIG": str(cluster.kubeconfig), "NO_PROXY": "*", "no_proxy": "*", "HOME": str(cluster.scratch)}
    result = helm(*arguments, "--namespace", namespace, values=values, **variables)
    assert result.returncode == 0, result.stderr
    return result.stdout


def release(cluster, values=None):
    """Install or upgrade the chart, wait until its pods run, and return Helm's output with the notes."""
    cluster.namespace(SYSTEM)
    options = ("--install", RELEASE, CHART, "--values", "-", "--wait", "--timeout", "3m")
    return run_helm(cluster, "upgrade", *options, values=values)


def install_alone(cluster, namespace, account):
    """Create a namespace and a service account with the operator's rights only there; return (account, namespace)."""
    cluster.namespace(namespace)
    values = {"namespaces": [namespace], "serviceAccount": {"name": account}, "crds": {"install": False}}
    kinds = ("ServiceAccount", "Role", "RoleBinding")
    cluster.apply([item for item in render_chart(values, namespace=namespace) if item["kind"] in kinds])
    return account, namespace


class OperatorProcess:
    """`python -m kubevoice_operator` on this machine, as a service account: its own, or `account`."""

    def __init__(self, cluster, log, *options, account=("kubevoice-operator", SYSTEM), program=PROGRAM):
        self.cluster, self.log, self.port = cluster, log, free_port()
        self._program = program
        self._options, self._kubeconfig = options, cluster.kubeconfig_for(*account)
        self._process = None

    def start(self):
        environment = os.environ | {"KUBECONFIG": str(self._kubeconfig)}
        command = [sys.executable, *self._program, "--port", str(self.port)]
        command += ["--lease-namespace", SYSTEM, *self._options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        return self

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return self._process is not None and self._process.poll() is None

    def send(self, kind):
        self._process.send_signal(kind)

    def wait_until_ended(self, timeout):
        """Wait until the process ends and return its exit code."""
        return self._process.wait(timeout)

    def stop(self, kind=signal.SIGTERM, timeout=20):
        if self.running():
            self._process.send_signal(kind)
            self._process.wait(timeout)
        return self._process.returncode if self._process else None

    def get(self, path):
        """Return status and body of the operator's own HTTP; (0, "") if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name):
        """Return the value of a metric's sample, by its full name with labels."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return None

    def leads(self):
        return self.metric("kubevoice_operator_leading") == 1

    def wait(self, description, predicate, timeout=120):
        wait_for(description, predicate, timeout, lambda: self.log.read_text()[-4000:])

    def wait_to_lead(self, timeout=120):
        self.wait("an operator that leads", self.leads, timeout)
        return self


@contextlib.contextmanager
def operator(cluster, folder, *options, **arguments):
    """Run an operator that leads, until the end of the block."""
    process = OperatorProcess(cluster, Path(folder) / f"operator-{free_port()}.log", *options, **arguments).start()
    try:
        yield process.wait_to_lead()
    finally:
        process.stop()


@contextlib.contextmanager
def deployed_operator(cluster, folder, *options, **arguments):
    """Run an operator as a Deployment does: it is started again when it ends, as one that lost its Lease does."""
    with operator(cluster, folder, *options, **arguments) as process:
        ended = threading.Event()

        def restart():
            while not ended.wait(1):
                if not process.running():
                    process.start()

        supervisor = threading.Thread(target=restart)
        supervisor.start()
        try:
            yield process
        finally:
            ended.set()
            supervisor.join()
