"""Export to TorchScript on request: the same four graphs as in ONNX, for programs that run libtorch."""

import json
import warnings
from pathlib import Path

import torch
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.voice import Bundle
from torch import nn

from kubevoice_training.export.equivalence import TEXTS, ExportDifferences, measure_export_differences
from kubevoice_training.export.onnx_export import TOLERANCE, build_graph_factories
from kubevoice_training.voice_checkpoint import load_weights

__all__ = ["export_torchscript"]


@torch.no_grad()
def export_torchscript(bundle: Bundle, folder: Path) -> ExportDifferences:
    """Write encoder.pt, decoder.pt, postnet.pt, vocoder.pt and export.json.

    Inputs and outputs are those of the ONNX graphs, in the same order.

    Parameters
    ----------
    bundle
        A voice that was released with its checkpoint.
    folder
        Where to; created if it does not exist.

    Returns
    -------
    ExportDifferences
        Differences from torch.

    Raises
    ------
    InputError
        If the bundle was released without its checkpoint.
    KubeVoiceError
        If a graph differs by more than `TOLERANCE`; nothing is written then.
    """
    if not (bundle.path / "checkpoint" / "labels.json").is_file():
        raise InputError(f"{bundle.path} was released without its checkpoint; release the voice again to export it")
    weights = load_weights(bundle.path / "checkpoint")
    scripts: dict[str, nn.Module] = {}
    for name, make in build_graph_factories(weights.acoustic, weights.vocoder).items():
        graph = make(11)
        with warnings.catch_warnings():
            # The tracer warns of shapes it fixes, which the check below would show, and that exporters come and go.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(graph.network.eval(), tuple(graph.inputs.values()), check_trace=False)
            scripts[name] = torch.jit.freeze(traced.eval())
    differences = measure_export_differences(bundle, weights, scripts)
    if worst := [name for name, value in differences.torchscript.items() if not value <= TOLERANCE]:
        raise KubeVoiceError(f"{worst[0]} differs from torch by {differences.torchscript[worst[0]]:.2g}; not exported")
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in scripts.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(script, str(folder / f"{Path(name).stem}.pt"))
    report = {
        "revision": bundle.digest,
        "texts": len(TEXTS),
        "maxAbsDiff": {"torchscript": differences.torchscript, "onnx": differences.onnx},
    }
    (folder / "export.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return differences
