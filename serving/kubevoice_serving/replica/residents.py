"""Which voices are in memory, what they cost, and which leave when another one needs the room."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["ResidentSet"]

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class _Resident(Generic[Value]):
    """A loaded value, or the room that is reserved for one while `value` is None."""

    graphs: Mapping[str, int]
    used_at: float
    value: Value | None = None


@dataclass(slots=True)
class ResidentSet(Generic[Key, Value]):
    """Loaded values whose parts have costs. A part that several have is accounted for once.

    Attributes
    ----------
    budget : int
        Bytes that all parts together may cost.
    """

    budget: int
    _residents: dict[Key, _Resident[Value]] = field(default_factory=dict)

    @property
    def memory_bytes(self) -> int:
        """What all values, and those that room is reserved for, are accounted for."""
        return self._measure(self._residents, {})

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of the loaded values."""
        return tuple(key for key, resident in self._residents.items() if resident.value is not None)

    def get(self, key: Key) -> Value | None:
        """Return a loaded value.

        Parameters
        ----------
        key : Key
            Its key.

        Returns
        -------
        Value or None
            None if it is not loaded.
        """
        resident = self._residents.get(key)
        return resident.value if resident else None

    def last_use(self, key: Key) -> float:
        """Return when a loaded value was last used.

        Parameters
        ----------
        key : Key
            Its key.

        Returns
        -------
        float
            On the clock of the caller.
        """
        return self._residents[key].used_at

    def touch(self, key: Key, now: float) -> None:
        """Note that a value is used, if it is loaded.

        Parameters
        ----------
        key : Key
            Its key.
        now : float
            The time, on the clock of the caller.
        """
        if key in self._residents:
            self._residents[key].used_at = now

    def reserve(
        self, key: Key, graphs: Mapping[str, int], now: float, is_pinned: Callable[[Key], bool]
    ) -> list[Key] | None:
        """Make room for a value and keep it for `fill`.

        Parameters
        ----------
        key : Key
            The key of the value, which must not be loaded.
        graphs : mapping of str to int
            What each of its parts costs, in bytes.
        now : float
            The time, on the clock of the caller.
        is_pinned : callable
            Whether a key must stay.

        Returns
        -------
        list of Key or None
            As `make_room`.
        """
        removed = self.make_room(graphs, is_pinned)
        if removed is not None:
            self._residents[key] = _Resident(graphs, now)
        return removed

    def make_room(self, graphs: Mapping[str, int], is_pinned: Callable[[Key], bool]) -> list[Key] | None:
        """Remove the least recently used values until there is room for parts.

        Parameters
        ----------
        graphs : mapping of str to int
            What each part costs, in bytes.
        is_pinned : callable
            Whether a key must stay.

        Returns
        -------
        list of Key or None
            What was removed. None if there is no room: then nothing was removed.
        """
        left = dict(self._residents)
        removed: list[Key] = []
        for key in sorted((key for key in self.keys if not is_pinned(key)), key=self.last_use):
            if self._measure(left, graphs) <= self.budget:
                break
            removed.append(key)
            del left[key]
        if self._measure(left, graphs) > self.budget:
            return None
        # One whose parts others share frees nothing; the most recently used of those stays.
        for key in reversed(removed):
            kept = {**left, key: self._residents[key]}
            if self._measure(kept, graphs) <= self.budget:
                left = kept
        self._residents = left
        return [key for key in removed if key not in left]

    def could_fit(self, graphs: Mapping[str, int], is_kept: Callable[[Key], bool]) -> bool:
        """Return whether there would be room for parts if all but some values were removed.

        Parameters
        ----------
        graphs : mapping of str to int
            What each part costs, in bytes.
        is_kept : callable
            Whether a key stays for good.

        Returns
        -------
        bool
            Whether it makes sense to wait.
        """
        return self._measure({key: one for key, one in self._residents.items() if is_kept(key)}, graphs) <= self.budget

    def fill(self, key: Key, value: Value, now: float) -> None:
        """Put a value in the room that was reserved for it.

        Parameters
        ----------
        key : Key
            The key that `reserve` was called with.
        value : Value
            The value.
        now : float
            The time, on the clock of the caller.
        """
        resident = self._residents[key]
        resident.value, resident.used_at = value, now

    def remove(self, key: Key) -> None:
        """Forget a value, or the room that was reserved for it.

        Parameters
        ----------
        key : Key
            Its key; nothing happens if there is neither.
        """
        self._residents.pop(key, None)

    def _measure(self, residents: Mapping[Key, _Resident[Value]], graphs: Mapping[str, int]) -> int:
        """Return the bytes of all different parts."""
        costs = dict(graphs)
        for resident in residents.values():
            costs.update(resident.graphs)
        return sum(costs.values())
