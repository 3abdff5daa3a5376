"""Training leaves out torch's compiler, and the optimizer makes the same steps."""

import json
import subprocess
import sys

import torch

PROGRAM = """
import json, sys, torch
from kubevoice_training.runtime.torch_compiler import leave_out_compiler
leave_out_compiler()
{steps}
print(json.dumps([layer.weight.tolist(), "torch._dynamo.convert_frame" in sys.modules]))
"""
STEPS = """
torch.manual_seed(0)
layer = torch.nn.Linear(3, 3)
optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    layer(torch.randn(2, 3)).square().sum().backward()
    optimizer.step()
"""


def test_optimizers_make_the_same_steps_without_the_compiler():
    names = {"torch": torch}
    exec(STEPS, names)  # noqa: S102  # the text above
    command = [sys.executable, "-c", PROGRAM.format(steps=STEPS)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [names["layer"].weight.tolist(), False]
