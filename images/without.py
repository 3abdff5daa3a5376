"""`without.py PATTERN < LOCK`: print a lock file, less the packages whose whole names match the pattern."""

import re
import sys


def without(lock: str, pattern: str) -> str:
    """Return `lock` less the packages that `pattern` matches; their hashes are indented below their pins."""
    blocks = re.split(r"\n(?=\S)", lock.rstrip())
    kept = [block for block in blocks if not re.fullmatch(pattern, re.split(r"[=\[\s]", block, maxsplit=1)[0])]
    return "".join(f"{block}\n" for block in kept)


if __name__ == "__main__":
    sys.stdout.write(without(sys.stdin.read(), sys.argv[1]))
