"""Which tests pytest-xdist gives to the same process."""

import re
from functools import cache

import pytest
from xdist.scheduler import LoadScopeScheduling


class ModuleScheduling(LoadScopeScheduling):
    """Gives a process a module at a time, or all modules that are marked with the same `xdist_group`.

    pytest-xdist's scheduling of groups has no effect with pytest 9.2, so the mark is read from the module's text.
    """

    def _split_scope(self, nodeid):
        module = nodeid.partition("::")[0]
        return find_group(self.config.rootpath / module) or module


@cache
def find_group(module):
    """Return the group that a module's mark names, or None."""
    mark = re.search(r'pytest\.mark\.xdist_group\("(\w+)"\)', module.read_text(encoding="utf-8"))
    return mark[1] if mark else None


def require_group(item, *groups):
    """Fail the collection if a test that must be in one of the groups is in a module without such a mark."""
    if find_group(item.path) not in groups:
        marks = " or ".join(f'pytest.mark.xdist_group("{group}")' for group in groups)
        raise pytest.UsageError(f"{item.nodeid}: its module needs pytestmark = {marks}")
