"""The Ray Serve application: `kubevoice_serving.app:build`."""

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from kubevoice.errors import InputError
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from ray import serve
from ray.serve.handle import DeploymentHandle

from kubevoice_serving import synthesizer
from kubevoice_serving.ray_backend import RayBackend
from kubevoice_serving.recordings import Recordings

__all__ = ["AppArgs", "build"]


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubevoice"


class AppArgs(BaseModel):
    """The application's `args` in a Serve config."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    cache_dir: Path | None = None
    """Where fetched voices and recordings are kept; None is the replica's own ~/.cache/kubevoice."""

    @property
    def cache(self) -> Path:
        """The cache folder, resolved where it is used."""
        return self.cache_dir or _default_cache()


class Synthesizer(synthesizer.Synthesizer):
    """A replica that speaks; its user_config names the voices (see voices.UserConfig)."""

    def __init__(self, args: AppArgs) -> None:
        super().__init__(args.cache / "voices", serve.get_replica_context().replica_tag)


class Ingress:
    """The HTTP side. Its application is built in the replica, where the handle to `Synthesizer` lives."""

    def __init__(self, speakers: DeploymentHandle[Any], args: AppArgs) -> None:
        self._speakers = speakers
        self._args = args

    def __serve_build_asgi_app__(self) -> FastAPI:
        from kubevoice_serving.api import create_app  # only this replica needs the routes

        return create_app(RayBackend(self._speakers), Recordings(self._args.cache / "recordings"))


def build(args: dict[str, Any]) -> serve.Application:
    """Return the application; deployments `Ingress` and `Synthesizer`, whose user_config names the voices."""
    try:
        checked = AppArgs.model_validate(args)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise InputError(f"the application's args are wrong: {'; '.join(problems)}", problems) from None
    # The queue belongs before the replicas, where Ray counts it; the HTTP side only waits.
    speakers = serve.deployment(name="Synthesizer", max_ongoing_requests=8, max_queued_requests=64)
    front = serve.deployment(name="Ingress", max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0.1})
    return front(serve.ingress()(Ingress)).bind(speakers(Synthesizer).bind(checked), checked)
