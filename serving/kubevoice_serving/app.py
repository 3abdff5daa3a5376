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

from kubevoice_serving.http.access import Access
from kubevoice_serving.http.recordings import Recordings
from kubevoice_serving.replica import synthesizer
from kubevoice_serving.routing.caching_backend import RememberingBackend
from kubevoice_serving.routing.ray_backend import RayBackend
from kubevoice_serving.routing.tracks import IngressConfig

__all__ = ["AppArgs", "build", "build_canary"]


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

    def __init__(self, args: AppArgs, *, on_trial: bool) -> None:
        super().__init__(args.cache / "voices", serve.get_replica_context().replica_tag, on_trial=on_trial)


class Ingress:
    """The HTTP side; its user_config (traffic.IngressConfig) names revisions, the canary, the cache, and who may call.

    Its application is built in the replica, where the handle to `Synthesizer` lives.
    """

    def __init__(self, speakers: DeploymentHandle[Any], args: AppArgs) -> None:
        self._replicas = RayBackend(speakers)
        self._backend = RememberingBackend(self._replicas)
        self._access = Access()
        self._args = args

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Divide the requests anew, let in whom the rules now admit, and forget what is out of date."""
        config = IngressConfig.model_validate(user_config)
        self._access.configure(config.access)
        self._replicas.configure(config)
        await self._backend.configure(config)

    def __serve_build_asgi_app__(self) -> FastAPI:
        from kubevoice_serving.http.application import create_app  # only this replica needs the routes

        return create_app(self._backend, Recordings(self._args.cache / "recordings"), self._access)


def _checked(args: dict[str, Any]) -> AppArgs:
    try:
        return AppArgs.model_validate(args)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise InputError(f"the application's args are wrong: {'; '.join(problems)}", problems) from None


def _speakers(args: AppArgs, *, on_trial: bool) -> serve.Application:
    # The queue belongs before the replicas, where Ray counts it; the HTTP side only waits.
    deployment = serve.deployment(name="Synthesizer", max_ongoing_requests=8, max_queued_requests=64)
    return deployment(Synthesizer).bind(args, on_trial=on_trial)


def build(args: dict[str, Any]) -> serve.Application:
    """Return the application; deployments `Ingress` and `Synthesizer`, whose user_config names the voices."""
    checked = _checked(args)
    front = serve.deployment(name="Ingress", max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
    return front(serve.ingress()(Ingress)).bind(_speakers(checked, on_trial=False), checked)


def build_canary(args: dict[str, Any]) -> serve.Application:
    """Return an application of `Synthesizer` alone, on trial; the first one's `Ingress` sends it requests."""
    return _speakers(_checked(args), on_trial=True)
