"""The process that trains models: `python -m tasks.training.child [REQUEST [cpu]]`.

Without a request it serves: each line of standard input is the path of a request, or that and
`cpu`, as a list in JSON. It writes lines of JSON to standard output: progress, log records, and
last the outcome. What libraries print goes to standard error. It ends itself when its standard
input closes, since its parent is gone.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import sys
import threading
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

import psutil

from tasks.runtime.children import LogForwarder, Send, end_with_parent, open_channel
from tasks.runtime.errors import StoreError, UserError
from tasks.runtime.garbage import collect_rarely
from tasks.runtime.resources import Resources
from tasks.training.artefacts import TrainedModel, checkpoint_folder, fit, progress_callback
from tasks.training.request import TrainingRequest, facts_of, log_file, read_request, run_of

CODES = {"trained": 0, "defect": 1, "refused": 2, "device": 3, "memory": 4, "store": 5}
"""The exit code for each outcome, unless a signal ends the process."""
LOCK_WAIT = 60.0  # seconds to wait for another process that trains the same model
CUDA_WORDS = ("cuda", "cublas", "cudnn", "cusolver", "cusparse", "nccl", "nvrtc", "nvidia driver")
CUDA_ERRORS = {"AcceleratorError", "OutOfMemoryError"}  # raised by torch, whatever the message


def main(arguments: list[str]) -> int:
    """Train what the request asks for and return the exit code; without a request, serve."""
    collect_rarely()
    send = open_channel()
    logging.getLogger().addHandler(LogForwarder(send))
    logging.getLogger().setLevel(logging.INFO)
    if not arguments:
        _serve(send)
    threading.Thread(target=end_with_parent, name="parent-watch", daemon=True).start()
    outcome = _attempt(Path(arguments[0]), arguments[1:] == ["cpu"], send)
    send(outcome)
    return CODES[outcome["ended"]]


def _serve(send: Send) -> NoReturn:
    """Train one request after another; end at once when standard input closes, even in a training.

    Each outcome has `resident`: the bytes that the process holds then.
    """
    requests: SimpleQueue[list[str]] = SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), name="requests", daemon=True).start()
    while True:
        file, *device = requests.get()
        with suppress(OSError):  # the peak is that of this training
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        log = os.open(log_file(Path(file)), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(log, 2)  # and what is printed: `open_channel` sent that to the same place
        os.dup2(log, 1)
        os.close(log)
        outcome = _attempt(Path(file), device == ["cpu"], send)
        gc.collect()
        send(outcome | {"resident": psutil.Process().memory_info().rss})


def _read_requests(requests: SimpleQueue[list[str]]) -> None:
    """Pass on the requests of standard input until it is closed at the other end; then exit at once."""
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(1)


def _attempt(file: Path, on_cpu: bool, send: Send) -> dict[str, Any]:
    """Train and return the outcome: `ended`, with a message or with facts about the training."""
    from models.errors import DeviceMissingError, ModelError

    try:
        request = read_request(file)
        if on_cpu:
            request = request.model_copy(update={"device": "cpu"})
        trained = _train(request, file, send)
    except DeviceMissingError as error:
        return {"ended": "device", "message": str(error)}
    except (ModelError, UserError) as error:
        return {"ended": "store" if isinstance(error, StoreError) else "refused", "message": str(error)}
    except Exception as error:
        if not on_cpu and is_cuda_failure(error):
            return {"ended": "device", "message": _first_line(error)}
        if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
            return {"ended": "memory", "message": _first_line(error)}
        traceback.print_exc()
        return {"ended": "defect", "message": f"{type(error).__name__}: {_first_line(error)}"}
    facts = {"device": trained.device, "seconds": trained.seconds, "report": dict(trained.report)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"ended": "trained", "peak_memory": peak, **facts}


def _train(request: TrainingRequest, file: Path, send: Send) -> TrainedModel:
    """Train under a lock, since an earlier process may still be training the same model."""
    from filelock import FileLock

    from models.options import TrainingOptions

    run, resources = run_of(file), Resources.of(request.memory, request.threads)
    folder = run / request.artefact
    options = TrainingOptions(
        device=request.device,
        seed=request.seed,
        threads=resources.threads,
        checkpoints=checkpoint_folder(folder),
        progress=progress_callback(lambda *step: send({"progress": step})),
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with resources.applied(), FileLock(folder.with_name(f"{folder.name}.lock"), timeout=LOCK_WAIT):
        find_trained = partial(_trained_folder, request, file)
        return fit(request.model, request.settings, run / request.dataset, folder, options, find_trained)


def _trained_folder(request: TrainingRequest, file: Path, part: str) -> Path | None:
    """Return the folder of the model `part` if this run trained it on the same dataset and seed."""
    part_file = file.with_name(f"{part}.request.json")
    folder = run_of(file) / request.artefact.with_name(part)
    if facts_of(part_file, folder) is None:
        return None
    part_request = read_request(part_file)
    same = all(getattr(part_request, key) == getattr(request, key) for key in ("dataset", "stamp", "seed"))
    return folder if same else None


def is_cuda_failure(error: BaseException) -> bool:
    """Return whether an error is about the GPU: out of memory, lost, or unusable by the library."""
    if {kind.__name__ for kind in type(error).__mro__} & CUDA_ERRORS:
        return True
    return any(word in str(error).lower() for word in CUDA_WORDS)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
