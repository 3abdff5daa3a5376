"""Kubernetes objects for the tests of the node."""

from pathlib import Path

import yaml

HERE = Path(__file__).parent
USER = 10001
APPS = "apps"
TMP = "/tmp"  # noqa: S108  # inside a container
EVERYWHERE = "0.0.0.0"  # noqa: S104  # in a pod
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_spec(*command, image="kubevoice/training:0.1.0", env=(), **container):
    """Return a pod's spec that meets the restricted pod security standard."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "main",
                "image": image,
                **({"command": list(command)} if command else {}),
                "env": [{"name": "HOME", "value": TMP}, *env],
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [{"name": "tmp", "mountPath": TMP}],
                **container,
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def pod(name, namespace, spec):
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"restartPolicy": "Never", **spec}}


def run_pod(node, name, namespace, spec, seconds=120):
    """Run a pod until it has succeeded and return its output."""
    node.apply([pod(name, namespace, spec)])

    def has_succeeded():
        phase = node.get("pod", name, "-n", namespace)["status"]["phase"]
        assert phase != "Failed", node.kubectl("logs", name, "-n", namespace)
        return phase == "Succeeded"

    node.wait(f"pod {name} to succeed", has_succeeded, seconds)
    return node.kubectl("logs", name, "-n", namespace)


def service(name, namespace, port):
    spec = {"selector": {"app": name}, "ports": [{"port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def applications(namespace):
    """Return a ConfigMap with the tests' Ray Serve applications, for pods to mount."""
    data = {path.name: path.read_text() for path in (HERE / "apps").glob("*.py")}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": APPS, "namespace": namespace}, "data": data}


def ray_template(container, *, token=False):
    """Return a pod template of a Ray cluster, with the tests' applications on PYTHONPATH."""
    resources = {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    path = [{"name": "PYTHONPATH", "value": f"/{APPS}"}]
    spec = pod_spec(image="kubevoice/serving:0.1.0", env=path, name=container, resources=resources)
    spec["volumes"].append({"name": APPS, "configMap": {"name": APPS}})
    spec["containers"][0]["volumeMounts"].append({"name": APPS, "mountPath": f"/{APPS}"})
    return {"spec": spec | {"automountServiceAccountToken": token}}


def rayservice(name, namespace, greeting, *, autoscaling=False):
    """Return a RayService of the greeter: a head and one worker, fixed or added by Ray's autoscaler."""
    deployment = {
        "name": "Greeter",
        "num_replicas": 1,
        "user_config": {"greeting": greeting},
        "ray_actor_options": {"num_cpus": 0.1},
    }
    application = {"name": "greeter", "import_path": "greeter:build", "route_prefix": "/", "deployments": [deployment]}
    least = 0 if autoscaling else 1
    cluster = {
        "rayVersion": "2.60.0",
        "enableInTreeAutoscaling": autoscaling,
        # The autoscaler is a container of the head, and must meet the restricted standard, too.
        "autoscalerOptions": {"securityContext": CONTAINER_SECURITY},
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", "dashboard-host": EVERYWHERE},
            # The autoscaler calls the API server.
            "template": ray_template("ray-head", token=autoscaling),
        },
        "workerGroupSpecs": [
            {
                "groupName": "workers",
                "replicas": least,
                "minReplicas": least,
                "maxReplicas": 1,
                "rayStartParams": {"num-cpus": "1"},
                "template": ray_template("ray-worker"),
            }
        ],
    }
    config = {"http_options": {"host": EVERYWHERE}, "proxy_location": "EveryNode", "applications": [application]}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"serveConfigV2": yaml.safe_dump(config), "rayClusterConfig": cluster},
    }
