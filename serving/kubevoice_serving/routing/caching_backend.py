"""A `Backend` that answers from the response cache before it asks another backend."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from kubevoice.engine.timing import Times
from kubevoice.resources.data_plane import CacheConfig, IngressConfig

from kubevoice_serving.domain import (
    Refusal,
    SpeechHead,
    SpeechItem,
    SynthesisRequest,
    SynthesisResult,
    SynthesisStats,
)
from kubevoice_serving.routing.backend import Backend
from kubevoice_serving.routing.forwarding_backend import ForwardingBackend
from kubevoice_serving.routing.response_cache import MAX_AUDIO_BYTES, ResponseCache, make_cache_key
from kubevoice_serving.routing.single_flight import SingleFlight

__all__ = ["CachingBackend"]


class CachingBackend(ForwardingBackend):
    """Knows which revision each voice should have, so that it never sends a result of an earlier revision.

    While there is a canary every request goes to a replica, so that all of them count in its analysis. Otherwise the
    counts of a track lack what was answered from the cache. Times of words are not cached, because they are cheap; they
    hold for cached speech too.

    Parameters
    ----------
    backend : Backend
        Asked for what is not in the cache.
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._config = IngressConfig()
        """The last configuration; set by `configure`."""
        self._cache = ResponseCache(CacheConfig())
        """Replaced by `configure` when its sizes or the address of Redis change."""
        self._single_flight = SingleFlight()

    async def configure(self, config: IngressConfig) -> None:
        """Take the revisions that should be served, and the settings of the cache.

        Parameters
        ----------
        config : IngressConfig
            The configuration, which holds from the next request on. Another size or address of Redis empties the memory
            tier.
        """
        self._config = config
        if config.cache != self._cache.config:
            old_cache, self._cache = self._cache, ResponseCache(config.cache)
            await old_cache.aclose()

    def _find_voice(self, request: SynthesisRequest) -> tuple[str, str] | None:
        """Return name and revision of the voice that should answer; None if the cache must not be used."""
        config = self._config
        if config.canary is not None or not config.cache.megabytes or request.bypass_cache:
            return None
        voice = request.voice or config.default
        revision = config.voices.get(voice)
        return None if revision is None else (voice, revision)

    async def synthesize(self, request: SynthesisRequest) -> SynthesisResult | Refusal:
        """Answer from the cache, or as the backend does.

        Equal requests at the same time are synthesized once.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Returns
        -------
        SynthesisResult or Refusal
            The speech, or why the voice cannot synthesize the request.

        Raises
        ------
        AtCapacityError, UnavailableError
            As the backend raises them.
        """
        target = self._find_voice(request)
        if target is None:
            return await self._backend.synthesize(request)
        voice, revision = target
        key = make_cache_key(request, voice, revision, streaming=False)
        if (cached := await self._cache.get(key)) is not None:
            return cached
        result = await self._single_flight.do(key, lambda: self._backend.synthesize(request))
        assert isinstance(result, SynthesisResult | Refusal)  # noqa: S101  # what synthesize returns
        if isinstance(result, SynthesisResult) and result.head.revision == revision and not result.head.silent:
            self._cache.set(key, result)
        return result

    async def stream(self, request: SynthesisRequest) -> AsyncGenerator[SpeechItem, None]:
        """Answer from the cache in one chunk, or as the backend does.

        A complete stream of the backend is then cached.

        Parameters
        ----------
        request : SynthesisRequest
            What to synthesize.

        Yields
        ------
        SpeechItem
            See `domain.SpeechItem` for the order.

        Raises
        ------
        AtCapacityError, UnavailableError
            As the backend raises them.
        """
        target = self._find_voice(request)
        if target is None:
            items = self._backend.stream(request)
        else:
            voice, revision = target
            key = make_cache_key(request, voice, revision, streaming=True)
            if (cached := await self._cache.get(key)) is not None:
                yield cached.head
                if request.timestamps:
                    yield cached.times
                yield cached.audio
                yield cached.stats
                return
            items = self._stream_into_cache(request, key, revision)
        async with aclosing(items):
            async for item in items:
                yield item

    async def _stream_into_cache(
        self, request: SynthesisRequest, key: str, revision: str
    ) -> AsyncGenerator[SpeechItem, None]:
        """Yield the backend's stream, and cache it when it is complete and of the revision that should answer."""
        head: SpeechHead | None = None
        chunks: list[bytes] = []
        times = Times()
        size = 0
        async with aclosing(self._backend.stream(request)) as items:
            async for item in items:
                if isinstance(item, SpeechHead):
                    head = None if item.silent else item
                elif isinstance(item, bytes):
                    size += len(item)
                    if size <= MAX_AUDIO_BYTES:
                        chunks.append(item)
                elif isinstance(item, Times):
                    times += item
                elif (
                    isinstance(item, SynthesisStats) and head and head.revision == revision and size <= MAX_AUDIO_BYTES
                ):
                    self._cache.set(key, SynthesisResult(head, b"".join(chunks), item, times))
                yield item
