"""What of a traceback is about the code that was loaded, and not about the loading of it."""

from __future__ import annotations

import importlib
import os
import traceback
from types import TracebackType
from typing import Final

FOLDER: Final = os.path.dirname(__file__)


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame of the loaded code on; None where it has none."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file != importlib.__file__ and not file.startswith((FOLDER, "<frozen ")):
            return trace
        trace = trace.tb_next
    return None


def own_traceback(error: BaseException) -> str:
    """What Python prints of `error`, without the frames of this package and of the import system."""
    frames = own_frames(error.__traceback__)
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()
