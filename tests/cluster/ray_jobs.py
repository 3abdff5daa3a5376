"""Jobs for the dashboard of a voice's Ray cluster, which only a token may submit."""

import base64
import json
import urllib.error
import urllib.request

from voices import HTTP, connect


def submit_ray_jobs(voice):
    """Send jobs to the dashboard of a voice's head, as any pod of the cluster could; return the HTTP statuses."""
    (head,) = [pod for pod in voice.pods("ray.io/node-type=head") if not pod["metadata"].get("deletionTimestamp")]
    name = head["metadata"]["labels"]["ray.io/cluster"]
    secret = connect(voice.cluster.kubeconfig).call("GET", f"api/v1/namespaces/{voice.namespace}/secrets/{name}")
    token = base64.b64decode(secret["data"]["auth_token"]).decode()
    tokens = {"no token": None, "a wrong token": "wrong", "the cluster's token": token}
    url = f"http://{head['status']['podIP']}:8265/api/jobs/"
    return {description: _post_job(url, token) for description, token in tokens.items()}


def _post_job(url, token):
    access = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = json.dumps({"entrypoint": "true"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} | access)  # noqa: S310
    try:
        with HTTP.open(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
