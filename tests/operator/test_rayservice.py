"""The RayService is what KubeRay's CRD accepts, and its Serve config what Ray Serve accepts."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft4Validator
from kubevoice.resources.voicemodel import load_voicemodel
from kubevoice_operator.render.names import Images
from kubevoice_operator.render.rayservice import Bundle, Traffic, render_rayservice

ROOT = Path(__file__).resolve().parents[2]
CRD = ROOT.parent / "shared" / "crds" / "ray.io_rayservices.yaml"
REVISION = "sha256:" + "1" * 64


@pytest.fixture(scope="module")
def service():
    model = load_voicemodel(ROOT / "examples" / "s3-cluster.yaml")
    return render_rayservice(model, Traffic(Bundle(REVISION, "s3://voices/bundles/1")), Images())


def closed(schema):
    """Kubernetes prunes fields a structural schema does not name; here they are faults."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


@pytest.mark.skipif(not CRD.exists(), reason="KubeRay's CRD is not in ../shared/crds")
def test_kuberay_accepts_it(service):
    (version,) = [v for v in yaml.safe_load(CRD.read_text())["spec"]["versions"] if v["name"] == "v1"]
    schema = closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    faults = [
        f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}"
        for e in Draft4Validator(schema).iter_errors(service["spec"])
    ]
    assert faults == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray itself
def test_ray_serve_accepts_its_config(service):
    from ray.serve.schema import ServeDeploySchema

    config = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    assert config.applications[0].import_path.startswith("kubevoice_serving")
