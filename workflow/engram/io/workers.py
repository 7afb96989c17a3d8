"""Threads that compute with one torch thread each.

The threads of one torch operation wait for each other at its end, and spin while they wait: beside
another process two of them finish a third of what they finish on a quiet machine. Workers on
their own batches meet only when both are done. torch releases the interpreter's lock in its
operations, so threads of one process do, and all of them share one model.
"""

from __future__ import annotations

import ctypes
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def single_threaded_workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """Open `count` worker threads, each with one torch thread.

    While they are open, torch computes with one thread in the calling thread too; afterwards with
    as many as before. After an error, work that no worker has begun is dropped.
    """
    _keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(count, "worker", torch.set_num_threads, (1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def in_order(
    pool: ThreadPoolExecutor, run: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Run `run` on every item in the pool's workers, and yield items with results in the order of
    the items.

    Args:
        pool: the workers.
        run: what is done with an item; its results do not depend on the worker.
        items: are taken as workers get free.
        ahead: most items that are begun and not yet yielded: what bounds the memory.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(run, item)))
            if len(waiting) >= ahead:
                first, job = waiting.popleft()
                yield first, job.result()
        while waiting:
            first, job = waiting.popleft()
            yield first, job.result()
    finally:
        for _, job in waiting:
            job.cancel()


class Switch:
    """A state that workers share: on while any of them needs it.

    Args:
        on: makes it so; after an error nobody holds it.
        off: undoes that; it is called by the last to leave.
    """

    def __init__(self, on: Callable[[], object], off: Callable[[], object]) -> None:
        self._on, self._off = on, off
        self._lock = Lock()
        self._users: Counter[int] = Counter()

    def __enter__(self) -> None:
        """Switch on, unless another thread has."""
        with self._lock:
            if not self._users.total():
                self._on()
            self._users[get_ident()] += 1

    def __exit__(self, *error: object) -> None:
        """Switch off, unless another thread needs it still."""
        with self._lock:
            self._users[get_ident()] -= 1
            if not self._users.total():
                self._off()

    @property
    def held_elsewhere(self) -> bool:
        """Whether another thread needs it."""
        return self._users.total() > self._users[get_ident()]


def _keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next batch rather than fetch it from the system
    again: every batch allocates the same few megabytes, and page faults would take up to a fifth of
    the time. Do nothing where the C library is not glibc."""
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)  # the largest that glibc accepts
