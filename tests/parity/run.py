"""Compare our networks with the reference's answers: `make parity`.

PARITY names the folder of the cases, ../shared/parity if it is not set; further arguments go to its check.py, such
as `--only am_infer`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASES = Path(os.environ.get("PARITY") or HERE.parents[2] / "shared" / "parity")


def compare(*arguments, **options):
    """Run check.py on voices made for it."""
    with tempfile.TemporaryDirectory() as voices:
        subprocess.run([sys.executable, CASES / "make_voices.py", voices], check=True)
        words = ["--cases", CASES, "--voices", voices, "--adapter", HERE / "adapter.py", *arguments]
        return subprocess.run([sys.executable, CASES / "check.py", *words], check=False, **options)


if __name__ == "__main__":
    if not (CASES / "check.py").is_file():
        sys.exit(f"no parity cases in {CASES}; name their folder with PARITY=DIR")
    sys.exit(compare(*sys.argv[1:]).returncode)
