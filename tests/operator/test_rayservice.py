"""The RayService is valid for KubeRay's CRD, and its config for Ray Serve."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft4Validator
from kube_schemas import forbid_unknown_fields
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.render.names import Images
from kubevoice_operator.render.rayservice import BundleRef, TrafficSplit, render_rayservice, worker_bounds

ROOT = Path(__file__).resolve().parents[2]
CRD = ROOT.parent / "shared" / "crds" / "ray.io_rayservices.yaml"
REVISION = "sha256:" + "1" * 64
STABLE = BundleRef(REVISION, "s3://voices/bundles/1")
CANARY = BundleRef("sha256:" + "2" * 64, "s3://voices/bundles/2")
BASE = """
apiVersion: kubevoice.io/v1alpha1
kind: VoiceModel
metadata: {name: mei, namespace: voices}
spec:
  base: {uri: builtin://base}
  dataset: {uri: s3://data/set}
  storage: {artifactsUri: s3://voices, secretRef: {name: s3}, caBundleRef: {configMap: ca}}
  serving: %s
"""
VARIANTS = [
    "{}",
    "{minReplicas: 0, replica: {cpu: 0.2, gpu: 1}, tolerations: [{key: gpu, operator: Exists}]}",
    "{minReplicas: 2, maxReplicas: 2, rollout: {strategy: Canary, steps: [{weight: 10}]}}",
    "{expose: {auth: {secretRef: {name: tokens}, key: mine}, requestsPerMinute: 60, corsOrigins: ['*']}}",
]


def render(serving="{}", traffic=None, images=Images()):  # noqa: B008  # it is immutable
    return render_rayservice(load_voicemodel(BASE % serving), traffic or TrafficSplit(STABLE), images)["spec"]


def render_cluster(serving="{}", traffic=None):
    return render(serving, traffic)["rayClusterConfig"]


def render_applications(serving="{}", traffic=None):
    return yaml.safe_load(render(serving, traffic)["serveConfigV2"])["applications"]


def render_worker(serving="{}"):
    (group,) = render_cluster(serving)["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    return group, container


@pytest.mark.skipif(not CRD.exists(), reason="KubeRay's CRD is not in ../shared/crds")
@pytest.mark.parametrize("serving", VARIANTS)
def test_kuberay_accepts_it(serving):
    spec = render(serving, TrafficSplit(STABLE, CANARY, 10))
    (version,) = [v for v in yaml.safe_load(CRD.read_text())["spec"]["versions"] if v["name"] == "v1"]
    schema = forbid_unknown_fields(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    errors = [
        f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in Draft4Validator(schema).iter_errors(spec)
    ]
    assert errors == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own warnings
@pytest.mark.parametrize("serving", VARIANTS)
def test_ray_serve_accepts_its_config(serving):
    from ray.serve.schema import ServeDeploySchema

    config = yaml.safe_load(render(serving, TrafficSplit(STABLE, CANARY, 10))["serveConfigV2"])
    assert [a.name for a in ServeDeploySchema.model_validate(config).applications] == ["voice", "canary"]


def test_no_revision_canary_or_weight_changes_the_cluster_or_the_stable_replicas():
    serving = "{rollout: {strategy: Canary, steps: [{weight: 10}]}}"
    steps = [
        TrafficSplit(STABLE),
        TrafficSplit(STABLE, CANARY, 10),
        TrafficSplit(STABLE, CANARY, 50),
        TrafficSplit(CANARY),
    ]
    first, *others = [render_cluster(serving, step) for step in steps]
    assert others == [first] * 3
    for step in steps:
        voice = render_applications(serving, step)[0]
        for deployment in voice["deployments"]:
            deployment.pop("user_config")
        assert voice == render_applications(serving)[0] | {"deployments": voice["deployments"]}
        assert [d["name"] for d in voice["deployments"]] == ["Ingress", "Synthesizer"]


def test_the_ingress_has_the_revision_and_the_cache_settings():
    serving = "{cache: {megabytes: 8, ttlSeconds: 60, redisUrl: 'redis://redis:6379', redisSecretRef: {name: r}}}"
    (voice,) = render_applications(serving)
    ingress_config = voice["deployments"][0]["user_config"]
    assert ingress_config["voices"] == {ingress_config["default"]: STABLE.revision}
    assert ingress_config["cache"] == {"megabytes": 8, "ttlSeconds": 60, "redisUrl": "redis://redis:6379"}
    head = render_cluster(serving)["headGroupSpec"]["template"]["spec"]["containers"][0]
    secrets = {e["name"]: e["valueFrom"]["secretKeyRef"]["name"] for e in head["env"] if "valueFrom" in e}
    assert secrets == {"REDIS_USERNAME": "r", "REDIS_PASSWORD": "r"}


def test_the_ingress_has_the_access_rules_and_a_mount_of_the_secret():
    auth = "auth: {secretRef: {name: tokens}}"
    serving = f"{{expose: {{{auth}, requestsPerMinute: 60, corsOrigins: ['https://a.example']}}}}"
    (voice,) = render_applications(serving)
    ingress_config = voice["deployments"][0]["user_config"]["access"]
    template = render_cluster(serving)["headGroupSpec"]["template"]["spec"]
    (volume,) = [v for v in template["volumes"] if "secret" in v]
    assert volume["secret"]["secretName"] == "tokens"
    (mount,) = [m for m in template["containers"][0]["volumeMounts"] if m["name"] == volume["name"]]
    assert mount["readOnly"]
    assert "subPath" not in mount  # which would not be updated with the Secret
    assert ingress_config == {
        "keysFile": f"{mount['mountPath']}/{volume['secret']['items'][0]['path']}",
        "requestsPerMinute": 60,
        "corsOrigins": ["https://a.example"],
    }
    # The workers need no keys.
    assert "tokens" not in str(render_worker(serving))
    assert render_applications()[0]["deployments"][0]["user_config"]["access"] == {
        "keysFile": None,
        "requestsPerMinute": None,
        "corsOrigins": [],
    }
    assert not [v for v in render_cluster()["headGroupSpec"]["template"]["spec"]["volumes"] if "secret" in v]


def test_other_access_rules_do_not_change_the_cluster():
    before, after = "{expose: {requestsPerMinute: 1}}", "{expose: {requestsPerMinute: 2, corsOrigins: ['*']}}"
    assert render_cluster(before) == render_cluster(after)


def test_a_canary_is_another_application_that_starts_with_one_replica():
    voice, canary = render_applications("{minReplicas: 3, maxReplicas: 5}", TrafficSplit(STABLE, CANARY, 25))
    ingress_config = voice["deployments"][0]["user_config"]
    assert ingress_config["canary"] == {"application": "canary", "revision": CANARY.revision, "weight": 25}
    (synthesizer,) = canary["deployments"]
    assert canary["route_prefix"] is None
    assert synthesizer["user_config"]["voices"][0]["revision"] == CANARY.revision
    assert synthesizer["autoscaling_config"]["min_replicas"] == 1
    assert synthesizer["autoscaling_config"]["max_replicas"] == 5
    assert [a["name"] for a in render_applications()] == ["voice"]


@pytest.mark.parametrize(
    ("serving", "bounds"),
    [
        ("{minReplicas: 2, maxReplicas: 5}", (2, 5)),
        ("{minReplicas: 0, maxReplicas: 3}", (0, 3)),
        ("{minReplicas: 2, maxReplicas: 2, rollout: {strategy: Canary, steps: [{weight: 10}]}}", (2, 3)),
    ],
)
def test_there_may_be_a_worker_for_each_replica_and_a_canary(serving, bounds):
    assert worker_bounds(load_voicemodel(BASE % serving)) == bounds
    group, _ = render_worker(serving)
    assert (group["minReplicas"], group["maxReplicas"]) == bounds
    assert group["replicas"] == max(1, bounds[0])


@pytest.mark.parametrize(
    ("replica", "slots", "request_"),
    [("{cpu: 0.2}", 1, "300m"), ("{cpu: 1}", 1, "1100m"), ("{cpu: 2.5}", 3, "2600m"), ("{cpu: 4, gpu: 1}", 4, "4100m")],
)
def test_a_worker_has_the_resources_of_one_replica(replica, slots, request_):
    group, container = render_worker(f"{{replica: {replica}}}")
    options = render_applications(f"{{replica: {replica}}}")[0]["deployments"][1]["ray_actor_options"]
    assert group["rayStartParams"]["num-cpus"] == str(slots)
    assert options["num_cpus"] == slots
    assert container["resources"]["requests"]["cpu"] == request_
    gpus = int(container["resources"]["limits"].get("nvidia.com/gpu", 0))
    assert options["num_gpus"] == gpus == (1 if "gpu" in replica else 0)


def test_the_ingress_runs_on_the_head_without_cpu():
    options = render_applications()[0]["deployments"][0]["ray_actor_options"]
    assert options["num_cpus"] == 0
    assert "node:__internal_head__" in options["resources"]


def test_only_the_autoscaler_gets_a_token_and_only_workers_get_credentials():
    cluster_config = render_cluster()
    head, workers = (
        cluster_config["headGroupSpec"]["template"]["spec"],
        cluster_config["workerGroupSpecs"][0]["template"]["spec"],
    )
    for pod in (head, workers):
        assert pod["automountServiceAccountToken"] is False
    directory = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert directory in [mount["mountPath"] for mount in cluster_config["autoscalerOptions"]["volumeMounts"]]
    for container in head["containers"] + workers["containers"]:
        assert directory not in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert "envFrom" not in head["containers"][0]
    assert workers["containers"][0]["envFrom"] == [{"secretRef": {"name": "s3"}}]


def test_every_container_meets_the_restricted_standard_and_has_a_writable_home():
    cluster_config = render_cluster()
    pods = [
        cluster_config["headGroupSpec"]["template"]["spec"],
        cluster_config["workerGroupSpecs"][0]["template"]["spec"],
    ]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [c for pod in pods for c in pod["containers"]] + [cluster_config["autoscalerOptions"]]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        (home,) = [variable["value"] for variable in container["env"] if variable["name"] == "HOME"]
        assert home in [mount["mountPath"] for mount in container["volumeMounts"]]
        assert container["resources"]["limits"]["memory"]


def test_some_changes_need_another_cluster():
    def read_annotations(serving):
        return render_cluster(serving)["headGroupSpec"]["template"]["metadata"]["annotations"]

    tolerant = "{tolerations: [{key: gpu, operator: Exists}]}"
    assert len({str(read_annotations(s)) for s in ("{}", tolerant, "{replica: {cpu: 2}}")}) == 3
    assert read_annotations("{}") == read_annotations(
        "{maxReplicas: 3, targetOngoingRequests: 4, replica: {threads: 2}}"
    )


def test_a_worker_terminates_later_than_its_last_request():
    group, container = render_worker()
    pod, (*_, seconds) = group["template"]["spec"], container["lifecycle"]["preStop"]["exec"]["command"]
    finish = render_applications()[0]["deployments"][1]["graceful_shutdown_timeout_s"]
    assert finish < int(seconds) < pod["terminationGracePeriodSeconds"]
    assert render()["rayClusterDeletionDelaySeconds"] >= finish


def test_a_deleted_head_ends_within_seconds_and_a_starting_worker_at_once():
    """The shell that KubeRay starts ignores SIGTERM as process 1."""
    assert render_cluster()["headGroupSpec"]["template"]["spec"]["terminationGracePeriodSeconds"] <= 10
    assert render_worker()[0]["template"]["spec"]["shareProcessNamespace"]


def test_ray_cannot_reach_the_autoscalers_token_through_its_processes():
    assert "shareProcessNamespace" not in render_cluster()["headGroupSpec"]["template"]["spec"]


def test_every_pod_has_the_operators_image_pull_secrets():
    cluster_config = render(images=Images(serving="mirror/serving:1", pull_secrets=("mirror", "other")))[
        "rayClusterConfig"
    ]
    for group in (cluster_config["headGroupSpec"], *cluster_config["workerGroupSpecs"]):
        assert group["template"]["spec"]["imagePullSecrets"] == [{"name": "mirror"}, {"name": "other"}]
        assert group["template"]["spec"]["containers"][0]["image"] == "mirror/serving:1"
    assert "imagePullSecrets" not in render_cluster()["headGroupSpec"]["template"]["spec"]
