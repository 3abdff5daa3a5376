"""A minimal Ray Serve application that returns its config; pods mount it from a ConfigMap."""

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request


@serve.deployment
class Greeter:
    """Answers every request with the greeting of its `user_config`."""

    def reconfigure(self, config: dict[str, str]) -> None:
        """Change the greeting without a restart."""
        self.greeting = config["greeting"]

    async def __call__(self, _request: Request) -> str:
        """Return the greeting."""
        return self.greeting


def build(_arguments: dict[str, str]) -> DeploymentHandle:
    """Return the application."""
    return Greeter.bind()
