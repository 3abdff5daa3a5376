"""The smallest Ray Serve application that tells which config it has; pods get it in a ConfigMap."""

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request


@serve.deployment
class Greeter:
    """Answers every request with the greeting of its `user_config`."""

    def reconfigure(self, config: dict[str, str]) -> None:
        """Take another greeting, in place."""
        self.greeting = config["greeting"]

    async def __call__(self, _request: Request) -> str:
        """Greet."""
        return self.greeting


def build(_arguments: dict[str, str]) -> DeploymentHandle:
    """Return the application."""
    return Greeter.bind()
