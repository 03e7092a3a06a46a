"""Loads the user's file."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import traceback
from pathlib import Path

from ._plugin import Handler, Kind, NoHandler, find
from ._session import WireError

#: The error code of the wire: the plugin cannot be run.
PLUGIN_BROKEN = 19
#: Not the file's own name: an action called `json` must not become the module of that name.
_MODULE = "coattail_plugin"
_HERE = os.path.dirname(os.path.abspath(__file__))


def load(file: Path, kind: Kind) -> Handler:
    """Run the file and find its handler. Whatever it raises becomes a `WireError`."""
    _arrange_path(file)
    try:
        loader = _Loader(_MODULE, str(file))
        spec = importlib.machinery.ModuleSpec(_MODULE, loader, origin=str(file))
        spec.has_location = True
        module = importlib.util.module_from_spec(spec)
        sys.modules[_MODULE] = module
        loader.exec_module(module)
        return find(module, kind)
    except NoHandler as error:
        raise WireError(PLUGIN_BROKEN, f"{_shown(file)} cannot be run: {error}") from None
    except BaseException as error:
        print_traceback(error)
        message = f"{_shown(file)} cannot be loaded: {_reason(error, file)}"
        raise WireError(PLUGIN_BROKEN, message, _hint(error)) from None


class _Loader(importlib.machinery.SourceFileLoader):
    """Leaves no `__pycache__` among the user's plugins."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Keep the bytecode in memory only."""


def print_traceback(error: BaseException) -> None:
    """Show on stderr where the user's code failed, without the SDK's own frames on top."""
    start = error.__traceback__
    while start is not None and _is_ours(start.tb_frame.f_code.co_filename):
        start = start.tb_next
    traceback.print_exception(type(error), error, start, file=sys.stderr)


def _arrange_path(file: Path) -> None:
    """Let the file import what lies beside it and in the instance's folder.

    Both come last: an action called `random.py` must not replace the standard library's module. That is
    also why the current folder, which `python -m` puts in front, goes.
    """
    here = os.getcwd()
    sys.path[:] = [entry for entry in sys.path if entry and os.path.abspath(entry) != here]
    sys.path += [str(file.parent), here]


def _is_ours(filename: str) -> bool:
    return filename.startswith((_HERE, "<frozen importlib"))


def _shown(file: Path) -> str:
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _reason(error: BaseException, file: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, SystemExit):
        return f"it ends the program (exit code {error.code})"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)
    ]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"


def _hint(error: BaseException) -> dict[str, str] | None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return {"hint": f"install it for this Python: {sys.executable} -m pip install {package}"}
    return None
