"""Share what both trainings of the base voice need: steps as CUDA graphs, averaged weights and checkpoints.

A step has thousands of small kernels. Launching them one by one takes several times as long as running them.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from base_data import PACKED
from torch import Tensor, nn

AVERAGE_DECAY = 0.999
"""Decay of the moving average of the weights. The average is released, because it is more intelligible than the last
step's weights."""
WARM_UP_CALLS = 3
"""Calls of a step before its capture, in which libraries choose their kernels."""

Step = Callable[..., dict[str, Tensor]]
"""Takes tensors of constant shapes, makes a training step, and returns the losses by name."""


class Average(nn.Module):
    """Moving average of a network's weights, updated in place so that a CUDA graph can contain the update."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(network)

    @torch.no_grad()
    def update_parameters(self, network: nn.Module) -> None:
        """Move the average towards the network's weights."""
        torch._foreach_lerp_(list(self.module.parameters()), list(network.parameters()), 1.0 - AVERAGE_DECAY)


def capture_graph(step: Step, inputs: tuple[Tensor, ...], pool: Any = None) -> Step:
    """Make WARM_UP_CALLS steps, then return the step as one CUDA graph.

    Parameters
    ----------
    step
        The step.
    inputs
        Tensors with the shapes that the step will be called with.
    pool
        A memory pool for graphs that do not run at the same time.
    """
    buffers = tuple(each.clone() for each in inputs)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_CALLS):
            step(*buffers)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        losses = step(*buffers)

    def replay(*tensors: Tensor) -> dict[str, Tensor]:
        for buffer, each in zip(buffers, tensors, strict=True):
            buffer.copy_(each)
        graph.replay()
        return losses

    return replay


def build_optimizer(
    network: nn.Module, rate: float, betas: tuple[float, float], decay: float = 0.0
) -> torch.optim.Optimizer:
    """Return AdamW for the trainable parameters; on a GPU the learning rate is a tensor that a graph can read."""
    trainable = [each for each in network.parameters() if each.requires_grad]
    gpu = trainable[0].is_cuda
    lr = torch.tensor(rate, device=trainable[0].device) if gpu else rate
    return torch.optim.AdamW(trainable, lr=lr, betas=betas, weight_decay=decay, capturable=gpu)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate; in place if it is a tensor that a graph reads."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def save_checkpoint(path: Path, state: dict[str, Any], average: nn.Module) -> None:
    """Write the checkpoint of a training, and its averaged weights as float16 to packed/ beside it.

    The float16 weights are small enough to copy to another machine.

    Parameters
    ----------
    path
        The checkpoint.
    state
        The keys `step` and `spent` (seconds), and everything else that the training resumes from.
    average
        The network with the averaged weights.
    """
    weights = {name: x.half() if x.is_floating_point() else x for name, x in average.state_dict().items()}
    _write(path, state)
    _write(path.parent / PACKED / path.name, {"averaged": weights, "step": state["step"], "spent": state["spent"]})


def _write(path: Path, state: dict[str, Any]) -> None:
    """Write a file atomically."""
    path.parent.mkdir(exist_ok=True)
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)
