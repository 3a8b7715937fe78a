"""Write the generated parts of docs/studies.md: the studies in `studies/`, and the presets of the package.

python recipes/studies_page.py
"""

from __future__ import annotations

from pathlib import Path

from generated_part import put

from fairsqueeze.study.plan import plan
from fairsqueeze.study.presets import package_presets
from fairsqueeze.study.study import Study, span

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "studies.md"


def studies() -> list[str]:
    """One row for every file in `studies/`; a study and its offline form share one."""
    rows = [
        "| study | models | variants | measures and tasks | offline: variants | not there yet |",
        "|---|---|---|---|---|---|",
    ]
    for path in sorted((ROOT / "studies").glob("*.yaml")):
        if not path.stem.endswith("-offline"):
            rows.append(_row(path))
    return rows


def _row(path: Path) -> str:
    study = Study.from_file(path)
    form = path.with_stem(f"{path.stem}-offline")
    offline = str(len(plan(Study.from_file(form)).variants)) if form.exists() else "–"
    asked = list(dict.fromkeys(spec.name for model in study.models for spec in study.evaluations(model)))
    wanted = ", ".join(one.name for one in study.wanted) or "–"
    cells = [
        f"`{path.stem}`",
        str(len(study.models)),
        str(len(plan(study).variants)),
        ", ".join(asked),
        offline,
        wanted,
    ]
    return f"| {' | '.join(cells)} |"


def presets() -> list[str]:
    """One row for every preset of the package."""
    rows = ["| preset | what | variants | source |", "|---|---|---|---|"]
    for preset in package_presets().values():
        n = sum(len(span(pipeline)) for pipeline in preset.pipelines)
        rows.append(f"| `{preset.name}` | {preset.what} | {n} | {preset.source} |")
    return rows


PARTS = {"studies": studies, "presets": presets}


def main(page: Path = PAGE) -> None:
    for part, make in PARTS.items():
        put(page, part, make())


if __name__ == "__main__":
    main()
