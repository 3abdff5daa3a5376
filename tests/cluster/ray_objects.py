"""The Ray clusters of a voice, their pods, and the bounds of the worker group."""

from voices import list_objects


def list_workers(voice):
    return [pod for pod in voice.pods("ray.io/node-type=worker") if pod["status"]["phase"] == "Running"]


def read_bounds(node, voice):
    (cluster,) = list_objects(node, "rayclusters", voice.namespace, f"kubevoice.io/voicemodel={voice.name}")
    group = cluster["spec"]["workerGroupSpecs"][0]
    return group["minReplicas"], group["maxReplicas"]


def list_replacements(mei, killed, kind):
    """Return the names of the running pods of a kind, without `killed`."""
    pods = mei.pods(f"ray.io/node-type={kind}")
    names = [p["metadata"]["name"] for p in pods if p["status"]["phase"] == "Running"]
    return [name for name in names if name != killed]


def list_ray_clusters(node, mei):
    clusters = list_objects(node, "rayclusters", mei.namespace)
    return {cluster["metadata"]["name"] for cluster in clusters if not cluster["metadata"].get("deletionTimestamp")}


def read_active_cluster(node, mei):
    return node.get("rayservice", mei.name, "-n", mei.namespace)["status"]["activeServiceStatus"]["rayClusterName"]


def wait_for_single_cluster(node, mei):
    """Delete all Ray clusters but the active one, because a third would not fit on the node.

    KubeRay would delete them only after three minutes, for running requests.
    """
    for old in list_ray_clusters(node, mei) - {read_active_cluster(node, mei)}:
        node.kubectl("delete", "raycluster", old, "-n", mei.namespace, "--wait=false")

    def list_clusters_of_pods():
        return {pod["metadata"]["labels"]["ray.io/cluster"] for pod in mei.pods("ray.io/cluster")}

    mei.wait("one Ray cluster", lambda: list_clusters_of_pods() == {read_active_cluster(node, mei)}, 300)
