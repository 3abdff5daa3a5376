"""The product's images have the programs that their pods need and no others, and start with a read-only root."""

import json

import pytest
from objects import CONTAINER_SECURITY, pod_spec, run_pod
from testcluster.products import PARTS, image_name

pytestmark = pytest.mark.xdist_group("node")

SERVING_LIMIT_BYTES = 900e6
STARTS = {
    "operator": ("python -m kubevoice_operator --help", "--serving-image"),
    "serving": ("python -c 'import kubevoice_serving.app'; ray --version", "ray, version"),
    "training": ("python -m kubevoice_training --help", "kubevoice_training"),
}
CONTAINED_PACKAGES = {"operator": "kopf", "serving": "ray", "training": "onnx"}


@pytest.fixture(scope="module")
def namespace(node):
    return node.namespace("images")


@pytest.fixture(scope="module")
def manifests(node):
    """Layers and configuration of each image, from the container runtime."""

    def read_content(digest):
        return json.loads(node.sandbox.run("ctr", "--namespace=k8s.io", "content", "get", digest))

    manifests = {}
    for part in PARTS:
        listed = node.sandbox.run("ctr", "--namespace=k8s.io", "images", "ls", f"name=={image_name(part)}")
        (digest,) = [word for word in listed.split() if word.startswith("sha256:")]
        manifest = read_content(digest)
        manifests[part] = manifest["layers"], read_content(manifest["config"]["digest"])
    return manifests


def run_script(node, namespace, part, script):
    """Return the output of `script` in a container of the image with a read-only root."""
    name = f"{part}-{abs(hash(script)):x}"[:40]
    security = CONTAINER_SECURITY | {"readOnlyRootFilesystem": True}
    spec = pod_spec("bash", "-ec", script, image=image_name(part).removeprefix("docker.io/"), securityContext=security)
    return run_pod(node, name, namespace, spec, seconds=180)


@pytest.mark.parametrize("part", PARTS)
def test_a_program_starts_as_its_own_user_with_a_read_only_root(node, namespace, part):
    program, answer = STARTS[part]
    text = run_script(node, namespace, part, f"id -u; id -un; ! touch /opt/kubevoice/new 2>&1; {program}")
    assert text.startswith("10001\nkubevoice\n")
    assert answer in text


@pytest.mark.parametrize("part", PARTS)
def test_an_image_has_labels_and_a_user(manifests, part):
    _, description = manifests[part]
    assert description["config"]["User"] == "10001:10001"
    labels = {key.rpartition(".")[2]: value for key, value in description["config"]["Labels"].items()}
    assert labels["licenses"] == "Apache-2.0"
    assert labels["title"] == f"KubeVoice {part}"
    assert image_name(part).endswith(f":{labels['version']}")
    assert len(labels["revision"]) == 40


@pytest.mark.parametrize("part", PARTS)
def test_a_bill_of_materials_lists_the_packages(node, namespace, part):
    sbom = json.loads(run_script(node, namespace, part, "cat /opt/kubevoice/sbom.cdx.json"))
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["name"]) == ("CycloneDX", f"kubevoice-{part}")
    names = {component["name"] for component in sbom["components"]}
    assert {CONTAINED_PACKAGES[part], "kubevoice", "python", "libc6"} <= names
    assert all(component["purl"].startswith("pkg:") for component in sbom["components"])


def test_an_image_has_the_programs_that_kuberay_calls(node, namespace):
    assert "/wget" in run_script(node, namespace, "serving", "command -v bash wget")


@pytest.mark.parametrize(
    ("part", "absent"),
    [
        ("operator", "onnxruntime ray torch kubevoice_serving kubevoice_training"),
        ("serving", "torch kubevoice_operator kubevoice_training"),
    ],
)
def test_packages_that_a_part_never_imports_are_missing(node, namespace, part, absent):
    script = f'for name in {absent}; do ! python -c "import $name" 2>/dev/null || echo $name; done'
    assert run_script(node, namespace, part, script) == ""


@pytest.mark.parametrize("part", PARTS)
def test_build_tools_are_not_in_an_image(node, namespace, part):
    folders = "/build /parts /run/secrets/index /run/secrets/certificates"
    script = f"ls -d {folders} 2>/dev/null || true; command -v uv gcc || true"
    assert run_script(node, namespace, part, script) == ""


@pytest.mark.parametrize("part", PARTS)
def test_modules_are_compiled_in_the_image(node, namespace, part):
    script = f"""python - <<'END'
import importlib.util, kubevoice_{part} as part
print(importlib.util.cache_from_source(part.__file__))
END
"""
    path = run_script(node, namespace, part, script).strip()
    assert run_script(node, namespace, part, f"ls {path}").strip() == path


def test_serving_is_small(manifests):
    layers, _ = manifests["serving"]
    assert sum(layer["size"] for layer in layers) < SERVING_LIMIT_BYTES
