"""Keep what a property computes. functools does so under a lock that all instances of a class share in Python 3.11: the
analysis of one long text would stop that of every other text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class cached(Generic[T]):
    """A property that is computed once for each instance. Threads that ask at the same time may each compute it."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make, self.__doc__ = make, make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> cached[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> cached[T] | T:
        if instance is None:
            return self
        made = self._make(instance)
        instance.__dict__[self._name] = made  # found there from now on, because this class has no __set__
        return made
