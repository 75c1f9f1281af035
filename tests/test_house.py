"""The rules of the house: what imports what, and how long files and functions may be."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "keras_betavae"
# Each room imports only from those of the lines before its own.
FLOORS = [
    {"_utils"},
    {"objectives", "likelihoods", "networks", "datasets", "metrics"},
    {"visualization"},
    {"presets"},
    {"export"},
    {"models"},
    {"evaluation"},
    {"callbacks"},
    {"_library"},
    {"experiments"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MAX_LINES_OF_FILE, MAX_LINES_OF_FUNCTION, MAX_ROOMS = 320, 65, 12
# What is longer today, and how long it may be; take an entry out when its file is parted.
LONGER_FILES = {"models/beta_vae.py": 655}
LONGER_FUNCTIONS: dict[str, int] = {}

TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
FILES = {path.relative_to(PACKAGE).as_posix(): tree for path, tree in TREES.items()}


def module_of(file):
    parts = file.removesuffix(".py").split("/")
    return ".".join(["keras_betavae", *(part for part in parts if part != "__init__")])


MODULES = {module_of(file): file for file in FILES}


def imports_of(tree):
    """Returns the package's modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in names]
        else:
            continue
        found |= {name for name in names if name in MODULES}
    return found


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


IMPORTS = {module: imports_of(FILES[file]) - {module} for module, file in MODULES.items()}


def test_every_room_has_its_floor():
    assert {room_of(module) for module in MODULES} - {None} == set(FLOOR_OF)


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_nothing_imports_upward(module):
    room = room_of(module)
    for imported in IMPORTS[module] if room else ():
        other = room_of(imported)
        if other not in (room, None):
            assert FLOOR_OF[other] < FLOOR_OF[room], f"{module} imports {imported}"
        if other is None:
            assert room in ("cli", "experiments", "__main__"), f"{module} imports {imported}"


def test_there_is_no_circle():
    # A package's __init__ runs before its modules, and imports them: that is no circle.
    remaining = {
        module: {name for name in names if not module.startswith(f"{name}.")}
        for module, names in IMPORTS.items()
    }
    while free := [module for module, names in remaining.items() if not names & set(remaining)]:
        for module in free:
            del remaining[module]
    assert not remaining, f"a circle is among {sorted(remaining)}"


def test_the_top_level_has_few_rooms():
    rooms = {room_of(module) for module in MODULES} - {None, "__main__"}
    # The command line is not for import.
    public = {room for room in rooms if not room.startswith("_")} - {"cli"}
    assert len(public) <= MAX_ROOMS, sorted(public)


def test_files_are_short():
    lengths = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in TREES
    }
    long = {file: n for file, n in lengths.items() if n > LONGER_FILES.get(file, MAX_LINES_OF_FILE)}
    assert not long
    assert all(lengths[file] > MAX_LINES_OF_FILE for file in LONGER_FILES)


def test_functions_are_short():
    lengths = {}
    for file, tree in FILES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # What a function documents is no part of what it does.
                has_docstring = ast.get_docstring(node) is not None
                body = node.body[1:] if has_docstring and len(node.body) > 1 else node.body
                lengths[f"{file}:{node.name}"] = max(
                    lengths.get(f"{file}:{node.name}", 0), node.end_lineno - body[0].lineno + 1
                )
    long = {
        name: n
        for name, n in lengths.items()
        if n > LONGER_FUNCTIONS.get(name, MAX_LINES_OF_FUNCTION)
    }
    assert not long
    assert all(lengths[name] > MAX_LINES_OF_FUNCTION for name in LONGER_FUNCTIONS)


def untyped(function):
    """Returns what a function lacks: its parameters' and its result's types."""
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    given += [each for each in (arguments.vararg, arguments.kwarg) if each]
    lacking = [
        each.arg for each in given if not each.annotation and each.arg not in ("self", "cls")
    ]
    returns = function.returns or function.name == "__init__"
    return lacking + ([] if returns else ["its result"])


def public_functions(body, where):
    """Yields functions and methods that users call, by their names."""
    for node in body:
        special = node.__class__ is ast.FunctionDef and node.name in ("__call__", "__init__")
        if isinstance(node, ast.FunctionDef) and (special or not node.name.startswith("_")):
            yield f"{where}.{node.name}", node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{where}.{node.name}")


def test_public_functions_are_typed():
    lacking = {
        name: untyped(function)
        for module, file in MODULES.items()
        if "._" not in module
        for name, function in public_functions(FILES[file].body, module)
    }
    assert not {name: what for name, what in lacking.items() if what}
