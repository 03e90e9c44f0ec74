"""`module:name`: from the text in a TOML file to the object in Python."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from treewarden.agents.agent import Agent
from treewarden.agents.agent_spec import AgentSpec
from treewarden.agents.core.said import listed

from .core.node import Node, Problems, Refused, text
from .core.problems import guess

__all__ = ["agent_class", "async_function", "failed_at", "import_name", "tree_function"]

_LISTED: Final = 8


def agent_class(node: Node, folder: Path, problems: Problems) -> type[Agent[Any]] | Refused:
    """The Agent class that `node` names."""
    found = import_name(node, folder, problems, _is_agent)
    if isinstance(found, Refused) or _is_agent(found):
        return found
    if inspect.iscoroutinefunction(found):
        return problems.refuse(node, "is an async function, not an Agent class", f"write worker = {node.value!r}")
    if isinstance(found, AgentSpec):
        return problems.refuse(node, "is a worker, not an Agent class", "write worker = with the name of its function")
    return problems.refuse(node, f"is {_kind(found)}, not an Agent class", "derive it from treewarden.agents.Agent")


def async_function(node: Node, folder: Path, problems: Problems) -> Callable[..., Any] | Refused:
    """The async function that `node` names."""
    found = import_name(node, folder, problems, inspect.iscoroutinefunction)
    if isinstance(found, Refused) or inspect.iscoroutinefunction(found):
        return found
    if _is_agent(found):
        return problems.refuse(node, "is an Agent class, not an async function", f"write agent = {node.value!r}")
    remedy = "write async def" if callable(found) else "name a function that is written with async def"
    return problems.refuse(node, f"is {_kind(found)}, not an async function", remedy)


def tree_function(node: Node, folder: Path, problems: Problems) -> Callable[..., Any] | Refused:
    """The function that `node` names, to be called for a blueprint."""
    found = import_name(node, folder, problems, inspect.isfunction)
    if isinstance(found, Refused):
        return found
    if callable(found) and not isinstance(found, type) and not inspect.iscoroutinefunction(found):
        return found
    return problems.refuse(
        node, f"is {_kind(found)}, not a function that returns a blueprint", "write def, and return tree(...)"
    )


def import_name(node: Node, folder: Path, problems: Problems, wanted: Callable[[object], bool]) -> Any:
    """Import what `node` names, with `folder` first on the path while its module is imported, and only then.

    The module stays imported: what has changed in it since is not seen. `wanted` picks what is proposed instead.
    """
    value = text(node, problems)
    if isinstance(value, Refused):
        return value
    module_name, _, name = value.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *name.split("."))):
        return problems.refuse(node, "is not of the form module:name", "write it as in 'desk:Writer'")
    found: Any = _module(node, module_name, folder, problems)
    for part in () if isinstance(found, Refused) else name.split("."):
        if not hasattr(found, part):
            public = [each for each in vars(found) if not each.startswith("_")]
            fitting = sorted(each for each in public if wanted(getattr(found, each)) and _made_in(found, each))[
                :_LISTED
            ]
            owner = getattr(found, "__name__", module_name)
            has = f"{owner} has {listed(fitting)}" if fitting else f"{owner} has nothing that could stand here"
            return problems.refuse(
                node, f"names nothing: {owner} has no {part!r}", guess(part, fitting) or guess(part, public) or has
            )
        found = getattr(found, part)
    return found


def _module(node: Node, name: str, folder: Path, problems: Problems) -> ModuleType | Refused:
    top = name.partition(".")[0]
    if top in sys.modules and (other := _elsewhere(sys.modules[top], top, folder)):
        fault = f"names a module beside this file, but another {top!r} is imported already, {other}"
        return problems.refuse(node, fault, "rename one of them")
    try:
        with _first_on_path(folder):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            remedy = f"install it, or mend {failed_at(error, folder)}"
            return problems.refuse(node, f"needs the module {error.name!r}, which is not installed", remedy)
        beside = sorted(file.stem for file in folder.glob("*.py"))
        remedy = f"beside this file there is {listed(beside)}" if beside else "put it beside this file, or install it"
        fault = f"cannot be imported: no module {error.name!r} is beside this file or installed"
        return problems.refuse(node, fault, guess(error.name, beside) or remedy)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        fault, place = f"cannot be imported: {type(error).__name__}: {error}", failed_at(error, folder)
        if place.startswith("<frozen "):  # the file itself cannot be read, or is none of Python's
            file = getattr(error, "filename", None) or f"{name.replace('.', '/')}.py"
            place = f"{file}: it has to be a text of Python's that this user may read"
        return problems.refuse(node, fault, f"mend {place}")


def _elsewhere(module: ModuleType, top: str, folder: Path) -> str:
    """Where the module called `top` was imported from, if that is not `folder`, which has one of its own."""
    own = [file for file in (folder / f"{top}.py", folder / top / "__init__.py") if file.exists()]
    if not own:
        return ""
    came_from = getattr(module, "__file__", None)
    if came_from is None:
        return "as a part of Python"
    return "" if any(Path(came_from).resolve() == file.resolve() for file in own) else f"from {came_from}"


@contextmanager
def _first_on_path(folder: Path) -> Generator[None]:
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if entry in sys.path:  # the module may have changed the path itself
            sys.path.remove(entry)


def failed_at(error: BaseException, folder: Path) -> str:
    """The file and line that `error` points to, as seen from `folder`."""
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    else:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if Path(frame.filename).is_relative_to(folder.resolve())] or frames
        file, line = ours[-1].filename, ours[-1].lineno
    path = Path(file)
    return f"{path.relative_to(folder.resolve()) if path.is_relative_to(folder.resolve()) else path} line {line}"


def _is_agent(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Agent)


def _made_in(owner: object, name: str) -> bool:
    """Whether the module made this itself; what it imported is not proposed."""
    made_in = getattr(getattr(owner, name), "__module__", None)
    return made_in in (getattr(owner, "__name__", None), getattr(owner, "__module__", None))


def _kind(found: object) -> str:
    if inspect.iscoroutinefunction(found):
        return "an async function"
    if inspect.isfunction(found):
        return "a function"
    if isinstance(found, ModuleType):
        return "a module"
    return "a class" if isinstance(found, type) else f"a value of type {type(found).__name__}"
