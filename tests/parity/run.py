"""Compare the product's networks with the reference's outputs: `make parity`.

The environment variable PARITY names the folder of the cases; the default is ../shared/parity. Arguments such as
`--only am_infer` are passed to its check.py.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASES = Path(os.environ.get("PARITY") or HERE.parents[2] / "shared" / "parity")


def compare(*arguments, **options):
    """Make the voices that the cases need, and run check.py; return its CompletedProcess."""
    with tempfile.TemporaryDirectory() as voices:
        subprocess.run([sys.executable, CASES / "make_voices.py", voices], check=True)
        arguments = ["--cases", CASES, "--voices", voices, "--adapter", HERE / "adapter.py", *arguments]
        return subprocess.run([sys.executable, CASES / "check.py", *arguments], check=False, **options)


if __name__ == "__main__":
    if not (CASES / "check.py").is_file():
        sys.exit(f"no parity cases in {CASES}; name their folder with PARITY=DIR")
    sys.exit(compare(*sys.argv[1:]).returncode)
