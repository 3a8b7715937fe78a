"""The architecture, held: imports point one way, and importing the package costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fairsqueeze

SOURCE = Path(fairsqueeze.__file__).parent
ALLOWED = {
    "errors": set(),
    "callable_package": set(),
    "spec": set(),
    "items": set(),
    "registry": {"errors", "items", "compress", "measures", "tasks"},
    "records": {"errors", "items", "registry"},
    "stimuli": {"errors", "items", "registry", "engine.requests", "spec"},
    "assets": {"errors", "spec"},
    "models": {"assets", "errors", "registry", "spec"},
    "testing": {"models", "errors", "registry", "items", "engine", "compress"},
    "engine": {"models", "errors", "registry", "spec"},
    "compress": {"models", "assets", "errors", "registry", "spec", "engine", "stimuli", "training", "callable_package"},
    "measures": {"errors", "items", "registry", "engine.requests", "stimuli", "spec"},
    "tasks": {"errors", "items", "registry", "engine.requests", "stimuli", "spec", "stats.ranks"},
    "training": {"models", "errors", "registry", "spec", "stimuli"},
    "stats": {"errors", "registry", "records", "items"},
    "study": {
        "assets",
        "models",
        "engine",
        "compress",
        "stats",
        "measures",
        "registry",
        "records",
        "errors",
        "items",
        "spec",
        "report",
    },
    "validation": {
        "compress",
        "engine",
        "errors",
        "items",
        "measures",
        "models",
        "records",
        "registry",
        "spec",
        "stats",
        "stimuli",
        "study",
    },
    "analysis": {"stats", "study.store", "report.load", "records", "registry", "errors"},
    "report": {"callable_package", "study", "stats", "registry", "records", "errors", "spec", "measures", "items"},
}
FILES = sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    relative = path.relative_to(SOURCE)
    part = relative.parts[0].removesuffix(".py")
    if part in ("cli", "__init__"):
        return
    for name in imported(path):
        if not name.startswith("fairsqueeze."):
            continue
        target = name.removeprefix("fairsqueeze.")
        head = target.split(".")[0]
        allowed = ALLOWED[part]
        assert head == part or head in allowed or any(target.startswith(a) for a in allowed if "." in a), (
            f"{relative} imports {name}"
        )


@pytest.mark.parametrize("part", ["measures", "tasks"])
def test_measures_never_import_each_other(part: str) -> None:
    for path in (SOURCE / part).glob("*.py"):
        for name in imported(path):
            assert not name.startswith((f"fairsqueeze.{part}.", "torch", "transformers")), f"{path.name} imports {name}"


def test_only_the_ray_executor_may_import_ray() -> None:
    users = [p for p in FILES if any(n.split(".")[0] == "ray" for n in imported(p))]
    assert all(p.name == "ray.py" for p in users)


def test_no_file_is_called_utils_or_the_like() -> None:
    for path in FILES:
        assert not {"utils", "util", "helpers", "common", "misc", "manager"} & set(path.stem.split("_")), path


@pytest.mark.parametrize(
    "statement",
    [
        "import fairsqueeze",
        "import fairsqueeze.cli",
        "from fairsqueeze.registry import measures, tasks; measures.names(); tasks.names()",
        "import fairsqueeze.stats, fairsqueeze.study.plan, fairsqueeze.study.store",
    ],
)
def test_importing_pulls_in_no_torch(statement: str) -> None:
    code = f"{statement}; import sys; sys.exit(int('torch' in sys.modules or 'transformers' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_is_quick_and_needs_no_torch() -> None:
    code = (
        "import sys; from fairsqueeze.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as e: sys.exit(int('torch' in sys.modules) or e.code)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "audit" in done.stdout


def test_public_names_exist() -> None:
    for name in fairsqueeze.__all__:
        assert getattr(fairsqueeze, name) is not None
    with pytest.raises(AttributeError):
        _ = fairsqueeze.no_such_name


def test_public_functions_can_be_called_after_their_packages_were_imported() -> None:
    import fairsqueeze.compress
    import fairsqueeze.report

    for name in ("compress", "report"):
        assert callable(getattr(fairsqueeze, name))
    with pytest.raises(fairsqueeze.FairsqueezeError, match=r"magnitude\.linear"):
        fairsqueeze.compress(None, "magnitude.liner")
