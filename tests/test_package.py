"""Laws of the package as a whole: what it imports, who imports whom, and what the manual covers."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import latentsearch

ROOT = Path(latentsearch.__file__).parent
REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs" / "api"

# Imports point downwards only. A unit is a top-level module or a subpackage.
LAYERS = {
    0: {"errors", "spaces", "noise", "goal", "protocols", "problem", "result", "run"}
    | {
        "_checkpoint",
        "_checks",
        "_context",
        "_lock",
        "_progress",
        "_maps",
        "_rows",
        "_codes",
        "_codebook",
        "_images",
        "_memory",
        "_identity",
        "_shapes",
        "_normal",
        "_rng",
        "_structural",
        "_rounding",
        "_warnings",
        "_watch",
        "_whitening",
        "_latent_network",
        "_paths",
    },
    1: {"objective"},
    2: {"adapters", "constraints", "priors", "relaxations", "models", "bounds", "critics", "melodies"},
    3: {"loop", "training"},
    4: {"searchers", "fitting"},
    5: {"testing", "judge", "zoo", "plots", "report", "examination", "_sources", "demo", "cli", "__main__"},
}
LAYER_OF = {unit: layer for layer, units in LAYERS.items() for unit in units}
GROUND, EDGES = 0, 5

LATE = ("torchvision", "matplotlib", "scipy", "tqdm", "PIL")


def modules() -> dict[str, Path]:
    """Every module of the package by dotted name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def loaded_by(statement: str) -> set[str]:
    """Top-level packages among LATE that a fresh interpreter has loaded after a statement."""
    script = f"import sys; {statement}; print(*(m for m in {LATE!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_parts_are_there_without_an_import_of_their_own() -> None:
    named = [f"assert ls.{name}.__name__ == 'latentsearch.{name}'" for name in latentsearch._MODULES]
    script = "; ".join(["import latentsearch as ls", *named, "assert callable(ls.examine)"])
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = latentsearch.nothing


def test_import_loads_no_heavy_package() -> None:
    # torch itself loads tqdm where it is installed: what counts is what comes on top of torch.
    assert loaded_by("import latentsearch") - loaded_by("import torch") == set()


# -- dependencies ------------------------------------------------------------------------------------

REQUIREMENT = re.compile(r'"([A-Za-z][\w.-]*)(?:\[.*?\])?[><=~!][^"]*"')
MODULE_OF = {
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "typing-extensions": "typing_extensions",
}  # where the names differ


def declared(table: str) -> set[str]:
    """Modules of the packages that a list of pyproject.toml names: Python 3.10 has no tomllib."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf"^{table} = \[(.*?)^\]|^{table} = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    assert found, table
    names = REQUIREMENT.findall(found.group(1) or found.group(2))
    return {MODULE_OF.get(name.lower(), name.replace("-", "_")) for name in names}


def third_party() -> set[str]:
    """Top-level modules that the package imports, and that come from elsewhere."""
    statements = (imports(ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES.values())
    tops = {module.split(".")[0] for found in statements for _, module, _ in found}
    return tops - set(sys.stdlib_module_names) - {"latentsearch", ""}


@pytest.mark.skipif(not (REPOSITORY / "pyproject.toml").exists(), reason="not a checkout")
def test_every_requirement_is_imported_and_every_import_is_declared() -> None:
    required = declared("dependencies")
    assert {"torch", "PIL", "typing_extensions"} <= required
    assert required - third_party() == set(), "required, and imported nowhere"
    extras = declared("progress") | declared("plot") | declared("midi")
    assert third_party() - required - extras == set(), "imported, and not declared"


# -- layers ------------------------------------------------------------------------------------------


def unit_of(module: str) -> str:
    """The unit a module belongs to; empty for the face, ``latentsearch`` itself."""
    return module.split(".")[1] if "." in module else ""


def imports(tree: ast.AST) -> Iterator[tuple[int, str, list[str]]]:
    """(line, module, names) of each import that runs: those under TYPE_CHECKING do not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imports(ast.Module([other], []))
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or ""), [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, []) for alias in node.names)
        else:
            yield from imports(node)


def imported_modules(source: str) -> Iterator[tuple[int, str]]:
    """(line, module of this package) of each import in a source; a name that is a module counts as one."""
    for line, module, names in imports(ast.parse(source)):
        if module.startswith("."):
            yield line, module
        elif module.split(".")[0] == "latentsearch":
            inner = [f"{module}.{name}" for name in names if f"{module}.{name}" in MODULES]
            yield from ((line, name) for name in inner or [module])


def complaint(importer: str, imported: str) -> str:
    """Why an arrow is not allowed; empty where it is."""
    if imported.startswith("."):
        return "is relative: write the whole path"
    here, there = unit_of(importer), unit_of(imported)
    if here == there and trespasses(importer, imported):
        return "reaches for another family's private module"
    if here == "" or here == there:
        return ""  # the face re-exports, and a unit's inside is its own affair
    if there == "":
        return "" if LAYER_OF.get(here, EDGES) == EDGES else "reaches for the face, which is above everything"
    mine, other = LAYER_OF.get(here, EDGES), LAYER_OF.get(there, EDGES)
    if other > mine:
        return f"points upwards, from layer {mine} to layer {other}"
    is_face = imported == f"latentsearch.{there}"
    if other == mine != GROUND and not is_face:
        return "reaches sideways into another package's inside; import from its face"
    return ""


def trespasses(importer: str, imported: str) -> bool:
    """Whether a module with an underscore is imported from outside the folder that owns it."""
    folder, _, name = imported.rpartition(".")
    return name.startswith("_") and not f"{importer}.".startswith(f"{folder}.")


def arrows() -> Iterator[tuple[str, int, str]]:
    for importer, path in MODULES.items():
        for line, imported in imported_modules(path.read_text(encoding="utf-8")):
            yield importer, line, imported


def test_every_module_has_a_layer() -> None:
    units = {unit_of(module) for module in MODULES} - {""}
    assert units - set(LAYER_OF) == set(), "give these a layer in tests/test_package.py"


def test_imports_point_downwards() -> None:
    wrong = [
        f"{importer}, line {line}: import of {imported} {why}"
        for importer, line, imported in arrows()
        if (why := complaint(importer, imported))
    ]
    assert wrong == []


def test_units_do_not_import_each_other_in_a_circle() -> None:
    below: dict[str, set[str]] = {}
    for importer, _, imported in arrows():
        here, there = unit_of(importer), unit_of(imported)
        if here and there and here != there:
            below.setdefault(here, set()).add(there)
    done: set[str] = set()

    def descend(unit: str, path: tuple[str, ...]) -> None:
        assert unit not in path, f"a circle: {' -> '.join((*path, unit))}"
        if unit not in done:
            for other in sorted(below.get(unit, ())):
                descend(other, (*path, unit))
            done.add(unit)

    for unit in sorted(below):
        descend(unit, ())


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("latentsearch.spaces", "latentsearch.errors", True),
        ("latentsearch.objective", "latentsearch._memory", True),
        ("latentsearch.priors.normal", "latentsearch.priors.uniform", True),
        ("latentsearch.adapters.codebook", "latentsearch.priors", True),
        ("latentsearch.searchers.relaxed", "latentsearch.relaxations.softmax", True),
        ("latentsearch.testing", "latentsearch", True),
        ("latentsearch", "latentsearch.searchers.gradient", True),
        ("latentsearch.adapters.codebook", "latentsearch.priors.uniform", False),
        ("latentsearch.run", "latentsearch.objective", False),
        ("latentsearch.priors.normal", "latentsearch.searchers", False),
        ("latentsearch.objective", "latentsearch", False),
        ("latentsearch.zoo", "latentsearch.plots._grid", False),
        ("latentsearch.noise", ".errors", False),
        ("latentsearch.searchers.relaxed", "latentsearch.loop.incumbents", True),
        ("latentsearch.loop.loop", "latentsearch.searchers.gradient", False),
        ("latentsearch.searchers.swaps.jacobi", "latentsearch.searchers.swaps._swaps", True),
        ("latentsearch.searchers.swaps.jacobi", "latentsearch.searchers._curvature", True),
        ("latentsearch.searchers.auto", "latentsearch.searchers.swaps._swaps", False),
        ("latentsearch.searchers.langevin.langevin", "latentsearch.searchers.swaps._swaps", False),
    ],
)
def test_the_layer_law_itself(importer: str, imported: str, allowed: bool) -> None:
    assert (complaint(importer, imported) == "") == allowed


def test_imports_under_type_checking_are_exempt_and_late_ones_are_not() -> None:
    source = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from latentsearch.run import Run\n"
        "def late():\n    from latentsearch import objective\n"
    )
    assert list(imported_modules(source)) == [(5, "latentsearch.objective")]


# -- the manual --------------------------------------------------------------------------------------


def public_modules() -> list[ModuleType]:
    inner = [m.name for m in pkgutil.iter_modules(latentsearch.__path__) if m.ispkg and not m.name.startswith("_")]
    found = [latentsearch, *(importlib.import_module(f"latentsearch.{name}") for name in inner)]
    return [module for module in found if hasattr(module, "__all__")]


def resolve(path: str) -> object:
    """The object of a dotted path. A module comes before what its package calls by the same name."""
    names = path.split(".")
    depth = max(depth for depth in range(1, len(names) + 1) if ".".join(names[:depth]) in MODULES)
    found: object = importlib.import_module(".".join(names[:depth]))
    for name in names[depth:]:
        found = getattr(found, name)
    return found


def documented() -> list[object]:
    """Objects that the API pages show; of a module shown whole, its public names."""
    shown: list[object] = []
    for page in sorted(DOCS.glob("*.md")):
        for path in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            found = resolve(path)
            shown.append(found)
            if isinstance(found, ModuleType):
                shown += [getattr(found, name) for name in getattr(found, "__all__", ())]
    return shown


@pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not part of this checkout")
def test_every_public_name_has_a_place_in_the_manual() -> None:
    shown = documented()
    missing = [
        f"{module.__name__}.{name}"
        for module in public_modules()
        for name in module.__all__
        if not any(getattr(module, name) is one for one in shown)
    ]
    assert missing == [], "add `::: name` to a page in docs/api"


@pytest.mark.parametrize("module", [m.__name__ for m in public_modules()])
def test_all_names_what_is_there_once(module: str) -> None:
    names = importlib.import_module(module).__all__
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(importlib.import_module(module), name)] == []
