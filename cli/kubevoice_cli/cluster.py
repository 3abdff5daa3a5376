"""VoiceModels of a cluster, reached with the kubeconfig that kubectl uses."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.status import VoiceModelStatus
from kubevoice.resources.voicemodel import GROUP, VERSION
from pydantic import ValidationError

__all__ = ["Cluster"]

REQUEST_SECONDS = 15


class Cluster:
    """One namespace of the cluster that the kubeconfig's current context names.

    Every method raises KubeVoiceError if the cluster cannot be reached or refuses.

    Parameters
    ----------
    namespace : str
        The namespace.

    Raises
    ------
    KubeVoiceError
        If the Kubernetes client is not installed, or if there is no kubeconfig.
    """

    def __init__(self, namespace: str) -> None:
        try:
            from kubernetes import client, config
        except ImportError:
            raise KubeVoiceError("a cluster needs the Kubernetes client: pip install 'kubevoice[operator]'") from None
        try:
            api_client = config.new_client_from_config()  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError) as error:
            raise KubeVoiceError(f"no cluster can be found: {error}; set KUBECONFIG, as for kubectl") from None
        api_client.rest_client.pool_manager.connection_pool_kw["retries"] = False
        self.namespace, self._server = namespace, api_client.configuration.host
        self._objects: Any = client.CustomObjectsApi(api_client)

    @property
    def where(self) -> str:
        """Namespace and API server, as messages name them."""
        return f"in namespace {self.namespace} of {self._server}"

    def list_statuses(self) -> dict[str, VoiceModelStatus]:
        """Return the status of each VoiceModel in the namespace.

        Returns
        -------
        dict of str to VoiceModelStatus
            Statuses by name, in the order of the names.

        Raises
        ------
        KubeVoiceError
            If a status is of another version.
        """
        return {name: _parse_status(name, raw) for name, raw in sorted(self._list_objects().items())}

    def get(self, name: str) -> tuple[VoiceModelStatus, str | None]:
        """Return one VoiceModel.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        tuple of VoiceModelStatus and str or None
            Its status, and the digest that spec.revision pins it to; None if it is not pinned.

        Raises
        ------
        InputError
            If there is no such VoiceModel.
        """
        if name not in (objects := self._list_objects()):
            names = ", ".join(sorted(objects)) or "none"
            raise InputError(f"there is no VoiceModel {name!r} {self.where}; there are: {names}")
        return _parse_status(name, objects[name]), objects[name]["spec"].get("revision")

    def pin(self, name: str, revision: str | None) -> None:
        """Set spec.revision, or remove it.

        Parameters
        ----------
        name : str
            Name of the VoiceModel.
        revision : str or None
            Digest of the revision; None removes the field.
        """
        with self._translate_errors():
            self._objects.patch_namespaced_custom_object(
                *self._voices,
                name,
                {"spec": {"revision": revision}},
                _content_type="application/merge-patch+json",
                field_manager="kubevoice-cli",
                _request_timeout=REQUEST_SECONDS,
            )

    def _list_objects(self) -> dict[str, Any]:
        with self._translate_errors():
            page = self._objects.list_namespaced_custom_object(*self._voices, _request_timeout=REQUEST_SECONDS)
        return {item["metadata"]["name"]: item for item in page["items"]}

    @property
    def _voices(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, "voicemodels"

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise KubeVoiceError(
                    f"there are no VoiceModels {self.where}: KubeVoice is not installed there (docs/install.md)"
                ) from None
            raise KubeVoiceError(f"{self._server} refused ({error.status}): {_read_message(error)}") from None
        except (HTTPError, OSError) as error:
            raise KubeVoiceError(
                f"the cluster {self._server} cannot be reached: {error}; check `kubectl get voicemodels`"
            ) from None


def _parse_status(name: str, raw: Any) -> VoiceModelStatus:
    try:
        return VoiceModelStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        raise KubeVoiceError(
            f"the status of {name} is of another version than this command; use the version of the operator"
        ) from None


def _read_message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)
