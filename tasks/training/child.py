"""The process that trains one model: `python -m tasks.training.child REQUEST [cpu]`.

It tells by lines of JSON on standard output: progress, log, and last how it ended. What libraries print goes
to standard error. It ends itself when its standard input closes: whoever started it is gone.
"""

from __future__ import annotations

import logging
import resource
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import Any

from tasks.runtime.children import Say, Told, end_with_parent, speaker
from tasks.runtime.errors import StoreError, UserError
from tasks.training.artefacts import TrainedModel, checkpoints_of, fit, shown_by
from tasks.training.request import TrainingRequest, facts_of, read_request, run_of

CODES = {"trained": 0, "defect": 1, "refused": 2, "device": 3, "memory": 4, "store": 5}
"""The exit code of every way to end but by a signal."""
LOCK_WAIT = 60.0  # seconds for another process that trains the same to end
CUDA_WORDS = ("cuda", "cublas", "cudnn", "cusolver", "cusparse", "nccl", "nvrtc", "nvidia driver")
CUDA_ERRORS = {"AcceleratorError", "OutOfMemoryError"}  # of torch, whatever they say


def main(arguments: list[str]) -> int:
    """Train what the request asks for; return the exit code."""
    say = speaker()
    logging.getLogger().addHandler(Told(say))
    logging.getLogger().setLevel(logging.INFO)
    threading.Thread(target=end_with_parent, name="parent-watch", daemon=True).start()
    ended = _attempted(Path(arguments[0]), arguments[1:] == ["cpu"], say)
    say(ended)
    return CODES[ended["ended"]]


def _attempted(file: Path, on_cpu: bool, say: Say) -> dict[str, Any]:
    """Return how the training ended, in words."""
    from models.errors import DeviceMissingError, ModelError

    try:
        request = read_request(file)
        if on_cpu:
            request = request.model_copy(update={"device": "cpu"})
        trained = _trained(request, file, say)
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


def _trained(request: TrainingRequest, file: Path, say: Say) -> TrainedModel:
    """Train, alone: a process that trained the same before may not have ended yet."""
    from filelock import FileLock

    from models.options import TrainingOptions

    run = run_of(file)
    folder = run / request.artefact
    options = TrainingOptions(
        device=request.device,
        seed=request.seed,
        threads=request.threads,
        checkpoints=checkpoints_of(folder),
        progress=shown_by(lambda *step: say({"progress": step})),
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock"), timeout=LOCK_WAIT):
        own = partial(_beside, request, file)
        return fit(request.model, request.settings, run / request.dataset, folder, options, own)


def _beside(request: TrainingRequest, file: Path, part: str) -> Path | None:
    """Return the folder of a model that this run has trained on the dataset of a request, if it has."""
    other = file.with_name(f"{part}.request.json")
    folder = run_of(file) / request.artefact.with_name(part)
    if facts_of(other, folder) is None:
        return None
    theirs = read_request(other)
    same = all(getattr(theirs, key) == getattr(request, key) for key in ("dataset", "stamp", "seed"))
    return folder if same else None


def is_cuda_failure(error: BaseException) -> bool:
    """Tell whether an error is the GPU's: out of its memory, lost, or not usable by the library."""
    if {kind.__name__ for kind in type(error).__mro__} & CUDA_ERRORS:
        return True
    return any(word in str(error).lower() for word in CUDA_WORDS)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
