"""The Ray Serve application: `kubevoice_serving.app:build`."""

import asyncio
import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from kubevoice.errors import InputError
from kubevoice.resources.data_plane import IngressConfig
from kubevoice.validation import CamelModel, describe_errors
from pydantic import ValidationError
from ray import serve
from ray.serve.handle import DeploymentHandle

from kubevoice_serving.http.access import AccessControl
from kubevoice_serving.http.client_rules import ClientRules
from kubevoice_serving.http.recordings import Recordings
from kubevoice_serving.replica.synthesizer import Synthesizer
from kubevoice_serving.routing.caching_backend import CachingBackend
from kubevoice_serving.routing.queueing_backend import QueueingBackend
from kubevoice_serving.routing.ray_backend import RayBackend
from kubevoice_serving.routing.ray_disconnects import RayDisconnects
from kubevoice_serving.routing.replica_calls import handle_loop_error

__all__ = ["AppArgs", "build", "build_canary"]


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubevoice"


class AppArgs(CamelModel):
    """The application's `args` in a Serve config.

    Attributes
    ----------
    cache_dir : Path or None
        Where fetched voices and recordings are kept; None is ~/.cache/kubevoice of the replica.
    """

    cache_dir: Path | None = None

    @property
    def cache(self) -> Path:
        """The cache folder, resolved where it is used."""
        return self.cache_dir or _default_cache()


class SynthesizerDeployment(Synthesizer):
    """The deployment `Synthesizer`: a replica in Ray. Its user_config is a SynthesizerConfig."""

    def __init__(self, args: AppArgs, *, is_canary: bool) -> None:
        super().__init__(args.cache / "voices", serve.get_replica_context().replica_tag, is_canary=is_canary)


class IngressDeployment:
    """The deployment `Ingress`: the HTTP process. Its user_config is an IngressConfig.

    Its application is built in the replica, where the handle to `Synthesizer` works.
    """

    def __init__(self, synthesizers: DeploymentHandle[Any], args: AppArgs) -> None:
        self._replicas = RayBackend(synthesizers)
        self._queue = QueueingBackend(self._replicas)
        self._backend = CachingBackend(self._queue)
        self._access, self._rules = AccessControl(), ClientRules()
        self._args = args

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take new rules, a new canary or weight, new revisions and new settings of the cache.

        Parameters
        ----------
        user_config : dict
            An IngressConfig as JSON.

        Raises
        ------
        pydantic.ValidationError
            If `user_config` is not an IngressConfig.
        """
        asyncio.get_running_loop().set_exception_handler(handle_loop_error)
        config = IngressConfig.model_validate(user_config)
        self._access.configure(config.access)
        self._rules.configure(config)
        self._queue.configure(config.queue)
        self._replicas.configure(config)
        await self._backend.configure(config)

    def __serve_build_asgi_app__(self) -> FastAPI:
        from kubevoice_serving.http.application import create_app  # only this deployment needs the routes

        recordings = Recordings(self._args.cache / "recordings")
        app = create_app(self._backend, recordings, self._access, self._rules, name_responses=False)
        app.add_middleware(RayDisconnects)
        return app


def _parse_args(args: dict[str, Any]) -> AppArgs:
    try:
        return AppArgs.model_validate(args)
    except ValidationError as error:
        problems = describe_errors(error.errors())
        raise InputError(f"the application's args are wrong: {'; '.join(problems)}", problems) from None


def _bind_synthesizer(args: AppArgs, *, is_canary: bool) -> serve.Application:
    # Requests queue before the replicas, where Ray counts them for autoscaling; the HTTP process only waits.
    deployment = serve.deployment(name="Synthesizer", max_ongoing_requests=8, max_queued_requests=64)
    return deployment(SynthesizerDeployment).bind(args, is_canary=is_canary)


def build(args: dict[str, Any]) -> serve.Application:
    """Build the application: the deployments `Ingress` and `Synthesizer`.

    Parameters
    ----------
    args : dict
        An AppArgs as JSON.

    Returns
    -------
    serve.Application
        The application, not deployed yet.

    Raises
    ------
    InputError
        If they are not valid.
    """
    app_args = _parse_args(args)
    ingress = serve.deployment(name="Ingress", max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
    return ingress(serve.ingress()(IngressDeployment)).bind(_bind_synthesizer(app_args, is_canary=False), app_args)


def build_canary(args: dict[str, Any]) -> serve.Application:
    """Build the application of a canary: the deployment `Synthesizer` alone.

    The stable application's `Ingress` sends it requests.

    Parameters
    ----------
    args : dict
        An AppArgs as JSON.

    Returns
    -------
    serve.Application
        The application, not deployed yet.

    Raises
    ------
    InputError
        If `args` are not valid.
    """
    return _bind_synthesizer(_parse_args(args), is_canary=True)
