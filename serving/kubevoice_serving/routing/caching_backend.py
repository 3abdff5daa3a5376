"""A `Backend` before another one that answers what was spoken before."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from kubevoice.engine.timing import Times
from kubevoice.text import Analysis, Lexicon

from kubevoice_serving.domain import Refusal, SpeechAnswer, SpeechEnd, SpeechHead, SpeechItem, SpeechJob, Timed, Track
from kubevoice_serving.replica.synthesizer import ReplicaState, VoiceInfo
from kubevoice_serving.routing.backend import Backend
from kubevoice_serving.routing.response_cache import LARGEST, Phrases, Single, phrase_key
from kubevoice_serving.routing.tracks import CacheConfig, IngressConfig, TrackTraffic

__all__ = ["RememberingBackend"]


class RememberingBackend:
    """Knows which revision each voice is to have, so that nothing of an earlier one is ever answered.

    While a canary is on trial every request goes to a replica: what is remembered would tell nothing of it.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._config = IngressConfig()
        self._phrases = Phrases(CacheConfig())
        self._single = Single()

    async def configure(self, config: IngressConfig) -> None:
        """Take the revisions that are to be served, and the size of what is remembered."""
        self._config = config
        if config.cache != self._phrases.config:
            before, self._phrases = self._phrases, Phrases(config.cache)
            await before.aclose()

    def _revision(self, job: SpeechJob) -> str | None:
        """Return what a request's voice is to be; None if nothing may be remembered of it."""
        config = self._config
        if config.canary is not None or not config.cache.megabytes or job.fresh:
            return None
        return config.voices.get(job.voice or config.default)

    async def speak(self, job: SpeechJob) -> SpeechAnswer | Refusal:
        """Answer from memory, or as the replicas do; equal requests at the same time are spoken once."""
        revision = self._revision(job)
        if revision is None:
            return await self._backend.speak(job)
        key = phrase_key(job, revision, whole=True)
        if (found := await self._phrases.find(key)) is not None:
            return found
        answer = await self._single.do(key, lambda: self._backend.speak(job))
        assert isinstance(answer, SpeechAnswer | Refusal)  # noqa: S101  # what speak returns
        if isinstance(answer, SpeechAnswer) and answer.head.revision == revision:
            self._phrases.keep(key, answer)
        return answer

    async def stream(self, job: SpeechJob) -> AsyncGenerator[SpeechItem, None]:
        """Answer from memory at once, or as the replicas do, piece by piece."""
        revision = self._revision(job)
        key = phrase_key(job, revision or "", whole=False)
        if revision is not None and (found := await self._phrases.find(key)) is not None:
            yield found.head
            if job.timestamps:
                yield found.times
            yield found.audio
            yield found.end
            return
        head: SpeechHead | None = None
        pieces: list[bytes] = []
        times = Times()
        size = 0
        async with aclosing(self._backend.stream(job)) as items:
            async for item in items:
                if isinstance(item, SpeechHead):
                    head = item
                elif isinstance(item, bytes):
                    size += len(item)
                    if size <= LARGEST:
                        pieces.append(item)
                elif isinstance(item, Times):
                    times += item
                elif isinstance(item, SpeechEnd) and head is not None and head.revision == revision and size <= LARGEST:
                    self._phrases.keep(key, SpeechAnswer(head, b"".join(pieces), item, times))
                yield item

    async def time(self, job: SpeechJob) -> Timed | Refusal:
        """Tell when words are heard: it costs too little to be remembered, and is true of remembered speech, too."""
        return await self._backend.time(job)

    async def analyze(
        self, text: str, lexicon: Lexicon | None = None, *, ssml: bool = False, voice: str | None = None
    ) -> Analysis | Refusal:
        """Show how a voice would read text."""
        return await self._backend.analyze(text, lexicon, ssml=ssml, voice=voice)

    async def voices(self) -> tuple[VoiceInfo, ...]:
        """List voices."""
        return await self._backend.voices()

    async def states(self) -> list[ReplicaState]:
        """Tell what each replica serves."""
        return await self._backend.states()

    def traffic(self) -> dict[Track, TrackTraffic]:
        """Tell what became of the requests of each track."""
        return self._backend.traffic()
