"""Training leaves out torch's compiler, and the optimizer makes the same steps."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys, torch
from kubevoice_training.runtime.torch_compiler import leave_out_compiler
if {leave_out}:
    leave_out_compiler()
torch.manual_seed(0)
layer = torch.nn.Linear(3, 3)
optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    layer(torch.randn(2, 3)).square().sum().backward()
    optimizer.step()
print(json.dumps([layer.weight.tolist(), "torch._dynamo.convert_frame" in sys.modules]))
"""


def make_steps(*, leave_out):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(leave_out=leave_out)], capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def test_optimizers_make_the_same_steps_without_the_compiler():
    weights, imported = make_steps(leave_out=False)
    assert imported
    assert make_steps(leave_out=True) == [weights, False]
