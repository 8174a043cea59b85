"""Refs of guarded actors: see how they are, wait for their start, wait for their end."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pykka

from actors.inbox import Inbox
from actors.vitals import Vitals

if TYPE_CHECKING:
    from actors.guard import GuardedActor


LOOK_S = 0.1


class StartFailedError(Exception):
    """An actor did not come up."""


A = TypeVar("A", bound="GuardedActor")


class GuardedRef(pykka.ActorRef[A]):
    """A ref that also gives the signs of life; these outlive the actor's object."""

    vitals: Vitals

    def __init__(self, actor: A) -> None:
        """For an actor whose vitals exist."""
        super().__init__(actor)
        self._object = weakref.ref(actor)
        self.vitals = actor.vitals

    @property
    def inbox(self) -> Inbox:
        """The mailbox."""
        return cast("Inbox", self.actor_inbox)

    def actor(self) -> A | None:
        """The actor's object, unless it is gone. For the supervisor's own use."""
        return self._object()


def guarded(ref: pykka.ActorRef[Any]) -> GuardedRef[Any]:
    """The ref as that of a guarded actor.

    Raises:
        TypeError: if it is none.
    """
    if not isinstance(ref, GuardedRef):
        raise TypeError(f"{ref} is no guarded actor: supervised actors derive from GuardedActor")
    return ref


def await_started(ref: GuardedRef[Any], seconds: float, unless: Callable[[], bool] | None = None) -> None:
    """Wait until `started()` has returned. `unless` is asked now and then: nobody wants it any more.

    Raises:
        StartFailedError: if it failed, did not return in time, or is not wanted any more.
    """
    vitals, waited = ref.vitals, 0.0
    slice_s = seconds if unless is None else LOOK_S
    while not vitals.settled.wait(slice_s):
        waited += slice_s
        if unless is not None and unless():
            raise StartFailedError(f"{vitals.name}: given up before it had started")
        if waited >= seconds:
            raise StartFailedError(f"{vitals.name}: started() did not return within {seconds} s")
    if not vitals.started:
        raise StartFailedError(f"{vitals.name}: {vitals.error}")


def stop_and_wait(ref: GuardedRef[Any], seconds: float) -> bool:
    """Stop an actor and wait for the end of its thread; False if it is still there after so many seconds."""
    ref.stop(block=False)
    thread = ref.vitals.thread
    if thread is None:
        return True
    thread.join(seconds)
    return not thread.is_alive()
