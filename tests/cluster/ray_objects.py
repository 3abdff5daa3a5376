"""What Ray runs for a voice: its clusters, its pods, and the bounds of its worker group."""

from voices import list_objects


def workers(voice):
    return [pod for pod in voice.pods("ray.io/node-type=worker") if pod["status"]["phase"] == "Running"]


def bounds(node, voice):
    (cluster,) = list_objects(node, "rayclusters", voice.namespace, f"kubevoice.io/voicemodel={voice.name}")
    group = cluster["spec"]["workerGroupSpecs"][0]
    return group["minReplicas"], group["maxReplicas"]


def pods_in_place_of(mei, killed, kind):
    """The names of running pods of a kind that came after `killed`."""
    pods = mei.pods(f"ray.io/node-type={kind}")
    names = [p["metadata"]["name"] for p in pods if p["status"]["phase"] == "Running"]
    return [name for name in names if name != killed]


def ray_clusters(node, mei):
    clusters = list_objects(node, "rayclusters", mei.namespace)
    return {cluster["metadata"]["name"] for cluster in clusters if not cluster["metadata"].get("deletionTimestamp")}


def active_cluster(node, mei):
    return node.get("rayservice", mei.name, "-n", mei.namespace)["status"]["activeServiceStatus"]["rayClusterName"]


def wait_for_single_cluster(node, mei):
    """Remove all Ray clusters but the serving one: a third would find no room on the node.

    KubeRay would wait for requests under way first, for three minutes.
    """
    for old in ray_clusters(node, mei) - {active_cluster(node, mei)}:
        node.kubectl("delete", "raycluster", old, "-n", mei.namespace, "--wait=false")

    def owners():
        return {pod["metadata"]["labels"]["ray.io/cluster"] for pod in mei.pods("ray.io/cluster")}

    mei.wait("one Ray cluster", lambda: owners() == {active_cluster(node, mei)}, 300)
