"""An operator that is stopped while names of Services are looked up ends at once."""

import operators
import pytest
from kubelet import Voices
from test_rayservices import NEWEST, install

pytestmark = pytest.mark.xdist_group("control_plane")

SLOW_LOOKUPS_SCRIPT = """
import os
import runpy
import socket
import sys
import time

lookup = socket.getaddrinfo

def look_up_slowly(host, *arguments, **options):
    if str(host).endswith(".svc"):
        print("looking up", host, file=sys.stderr, flush=True)
        time.sleep(300)
    return lookup(host, *arguments, **options)

socket.getaddrinfo = look_up_slowly
os.cpu_count = lambda: -3
runpy.run_module("kubevoice_operator", run_name="__main__")
"""
"""The operator beside a DNS server that does not answer. Python uses four threads more than processors: one here."""


def test_an_operator_ends_and_another_leads_while_names_are_looked_up(control_plane, rest, tmp_path):
    install(control_plane, NEWEST)
    voices = Voices(rest, control_plane.namespace("rayservices-shutdown"))
    with operators.operator(control_plane, tmp_path, program=("-c", SLOW_LOOKUPS_SCRIPT)) as operator:
        voices.make("mei")
        voices.run("mei")
        # That of another module's voice, if there is one: it keeps the thread.
        operator.wait("a lookup", lambda: "looking up" in operator.log.read_text())
        # Within the 30 s after which a kubelet kills: the Lease is released, so the next one leads at once.
        assert operator.stop(timeout=15) == 0
    with operators.operator(control_plane, tmp_path):
        voices.delete("mei")
