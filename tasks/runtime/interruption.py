"""Ctrl-C and other requests to end: a command ends in time, with its children, whatever it is doing."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_CODE: Final = 130
PATIENCE: Final = 6.0  # seconds to settle the record of a run; then everything is ended
DEBOUNCE: Final = 1.0  # seconds in which a second signal counts as the first
GRACE: Final = 1.5  # seconds for children to end by themselves

LastWords = Callable[[], None]

_ending, _asked = threading.Lock(), threading.Event()
_last_words: list[LastWords] = []


def interrupted() -> bool:
    """Return whether a signal has asked the command to end."""
    return _asked.is_set()


@contextmanager
def interruptible(last_words: LastWords) -> Iterator[None]:
    """End this process with exit code 130 if a signal asks for it; `last_words` prints what comes next.

    The first signal raises KeyboardInterrupt in the main thread, so that the work inside settles its
    record. What has not ended `PATIENCE` seconds later, or at a second signal, is ended as it is: the
    main thread may be inside a library that does not return. No child is left in either case. The
    innermost of nested contexts has the last words. A signal that this process was started to ignore
    (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _last_words.append(last_words)
    try:
        with _handled_signals():
            yield
    except BaseException:
        if interrupted():
            _end()
        raise
    finally:
        _last_words.pop()


@contextmanager
def _handled_signals() -> Iterator[None]:
    """Handle the signals inside the outermost context; C code of the main thread cannot delay it."""
    if len(_last_words) > 1:
        yield
        return
    _asked.clear()
    handled = [name for name in SIGNALS if signal.getsignal(name) not in (signal.SIG_IGN, None)]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    handlers = {name: signal.signal(name, _interrupt) for name in handled}
    descriptor = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reader, set(handled)), name="interruption", daemon=True)
    watch.start()
    try:
        yield
    finally:
        if not interrupted():
            signal.set_wakeup_fd(descriptor)
            for name, handler in handlers.items():
                signal.signal(name, handler)
            os.close(writer)  # ends the watch
            watch.join()
            os.close(reader)


def _interrupt(*_: object) -> None:
    _asked.set()
    raise KeyboardInterrupt


def _watch(reader: int, handled: set[signal.Signals]) -> None:
    """Read the numbers of arriving signals, also while the main thread runs no Python."""
    while numbers := os.read(reader, 64):
        if not handled.isdisjoint(numbers):
            _asked.set()
            time.sleep(DEBOUNCE)
            select.select([reader], [], [], PATIENCE - DEBOUNCE)
            _end()


def _end() -> NoReturn:
    """End the children and this process; the second of two threads that call this waits for the first."""
    _ending.acquire()
    with suppress(Exception):  # nothing may keep the process from ending
        _last_words[-1]()
    with suppress(Exception):
        _end_children()
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(EXIT_CODE)


def _end_children() -> None:
    import psutil

    children = psutil.Process().children(recursive=True)
    for method in ("terminate", "kill"):
        for child in children:
            with suppress(psutil.NoSuchProcess):
                getattr(child, method)()
        _, children = psutil.wait_procs(children, timeout=GRACE)
