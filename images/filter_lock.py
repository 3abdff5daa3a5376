"""`filter_lock.py PATTERN < LOCK`: print a lock file without the packages whose whole names match the pattern."""

import re
import sys


def exclude_packages(lock: str, pattern: str) -> str:
    """Return `lock` without the packages that `pattern` matches, and without their hashes, indented below the pins."""
    blocks = re.split(r"\n(?=\S)", lock.rstrip())
    remaining = [block for block in blocks if not re.fullmatch(pattern, re.split(r"[=\[\s]", block, maxsplit=1)[0])]
    return "".join(f"{block}\n" for block in remaining)


if __name__ == "__main__":
    sys.stdout.write(exclude_packages(sys.stdin.read(), sys.argv[1]))
