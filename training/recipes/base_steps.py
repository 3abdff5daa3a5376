"""What the base voice's two trainings share: steps that a GPU repeats as one CUDA graph, and what ships of them.

Launching a step's thousands of small kernels takes several times as long as they run.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from base_data import PACKED
from torch import Tensor, nn

AVERAGING = 0.999
"""Decay of the weights' moving average, which is what ships: it speaks more clearly than the last step's weights."""
WARM = 3
"""Steps before one is captured, in which libraries choose their kernels."""

Step = Callable[..., dict[str, Tensor]]
"""Takes tensors of unchanging shapes, makes one step of training, returns its losses by name."""


class Average(nn.Module):
    """Moving average of a network's weights in place, which a CUDA graph can hold."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(network)

    @torch.no_grad()
    def update_parameters(self, network: nn.Module) -> None:
        """Go a step towards the network."""
        torch._foreach_lerp_(list(self.module.parameters()), list(network.parameters()), 1.0 - AVERAGING)


def captured(step: Step, inputs: tuple[Tensor, ...], pool: Any = None) -> Step:
    """Make a few steps, then return the step as one CUDA graph; graphs of one `pool` share their memory."""
    held = tuple(each.clone() for each in inputs)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM):
            step(*held)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        figures = step(*held)

    def replay(*given: Tensor) -> dict[str, Tensor]:
        for place, each in zip(held, given, strict=True):
            place.copy_(each)
        graph.replay()
        return figures

    return replay


def adam(network: nn.Module, rate: float, betas: tuple[float, float], decay: float = 0.0) -> torch.optim.Optimizer:
    """Return AdamW over what of the network is taught; on a GPU its rate lies there, where a graph reads it."""
    taught = [each for each in network.parameters() if each.requires_grad]
    gpu = taught[0].is_cuda
    lr = torch.tensor(rate, device=taught[0].device) if gpu else rate
    return torch.optim.AdamW(taught, lr=lr, betas=betas, weight_decay=decay, capturable=gpu)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, in place where a graph holds it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def keep(path: Path, state: dict[str, Any], averaged: nn.Module) -> None:
    """Write a training's checkpoint, and what ships of it in float16 to packed/ beside it.

    The float16 weights are small enough to be copied from another machine at any time. `state` has the step, the
    seconds spent, and whatever else the training continues from.
    """
    halves = {name: x.half() if x.is_floating_point() else x for name, x in averaged.state_dict().items()}
    _write(path, state)
    _write(path.parent / PACKED / path.name, {"averaged": halves, "step": state["step"], "spent": state["spent"]})


def _write(path: Path, state: dict[str, Any]) -> None:
    """Write beside its place, then rename."""
    path.parent.mkdir(exist_ok=True)
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)
