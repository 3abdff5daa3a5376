"""Identifies processes: pids are reused."""

from pathlib import Path

__all__ = ["identify_process", "read_boot_id", "read_stat"]


def read_stat(pid: int) -> list[str]:
    """Read what /proc says of a process.

    Parameters
    ----------
    pid
        Its process id.

    Returns
    -------
    list of str
        The fields of /proc/PID/stat from the state on; empty if the process is gone or only waits to be reaped.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] == "Z" else fields


def identify_process(pid: int) -> str:
    """Identify a process by the boot and the tick in which it began: with the pid that names it for good.

    Parameters
    ----------
    pid
        Its process id.

    Returns
    -------
    str
        Empty if the process is gone.
    """
    fields = read_stat(pid)
    return f"{read_boot_id()}/{fields[19]}" if fields else ""


def read_boot_id() -> str:
    """Return what distinguishes this boot of the machine from any other.

    Returns
    -------
    str
        A UUID.
    """
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
