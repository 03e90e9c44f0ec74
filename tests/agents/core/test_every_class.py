"""Every attrs class of this project, with its fields and its `__init__` as attrs itself would have made them."""

from __future__ import annotations

import subprocess
import sys


def test_every_class_of_ours_can_be_made() -> None:
    """What is wrong with a definition would be found out when the class is first used."""
    program = (
        "import attrs, importlib, inspect, pathlib, treewarden.agents, treewarden.supervisor\n"
        "import treewarden.topologies as last\n"
        "from treewarden.agents.core.values import _Later\n"
        "def told(kind, *names):\n"
        "    try: made = kind(**{name: name for name in names})\n"
        "    except Exception as error: return type(error), str(error)\n"
        "    values = [getattr(made, each.name) for each in attrs.fields(kind)]\n"
        "    return [(type(value), value if type(value) is str else None) for value in values]\n"
        "found, written, top = 0, 0, pathlib.Path(last.__file__).parent.parent\n"
        "for folder in ('agents', 'supervisor', 'topologies'):\n"
        "    for file in sorted((top / folder).rglob('*.py')):\n"
        "        parts = file.relative_to(top).with_suffix('').parts\n"
        "        name = '.'.join(['treewarden', *parts]).removesuffix('.__init__')\n"
        "        if '__main__' in name or 'pytest_plugin' in name: continue\n"
        "        module = importlib.import_module(name)\n"
        "        for each in vars(module).values():\n"
        "            if isinstance(each, type) and '__attrs_attrs__' in each.__dict__:\n"
        "                later, init = each.__dict__['__attrs_attrs__'], each.__init__\n"
        "                if '<__init__ of' in str(getattr(init, '__code__', '')):\n"
        "                    theirs = later.written.write() if isinstance(later, _Later) else each\n"
        "                    for name in ('__annotations__', '__doc__', '__module__', '__qualname__'):\n"
        "                        assert getattr(init, name) == getattr(theirs.__init__, name), each\n"
        "                    taken = inspect.signature(each).parameters\n"
        "                    assert str(inspect.signature(each)) == str(inspect.signature(theirs)), each\n"
        "                    needed = [name for name in taken if taken[name].default is inspect.Parameter.empty]\n"
        "                    assert told(each, *needed) == told(theirs, *needed), each\n"
        "                    assert told(each, *taken) == told(theirs, *taken), each\n"
        "                    written += isinstance(later, _Later)\n"
        "                found += len(attrs.fields(each)) >= 0\n"
        "print(found, written)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found, written = map(int, ended.stdout.split())
    assert found > 200
    assert written > 60
