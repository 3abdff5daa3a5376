"""The embedded backend: the very objects a cluster would get, carried out on one machine.

Job containers are subprocesses with their volumes, environment and deadline; the RayService's `serveConfigV2` goes to a
local Ray through Serve's own API. What a scheduler does (node selectors, queues, retries) has no meaning here.
"""
