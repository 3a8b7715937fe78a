"""Draw the README's pictures from a run of studies/first-light.yaml.

python recipes/readme_picture.py runs/first-light
"""

from __future__ import annotations

import sys
from pathlib import Path

from fairsqueeze.report.charts import by_sparsity, estimate_rows, save_svg
from fairsqueeze.report.load import load_results

IMAGES = Path(__file__).parent.parent / "docs" / "images"
SHOWN = {"published": "ss", "corrected": "corrected_bias.prior"}


def main(folder: Path) -> None:
    results = load_results(folder)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, statistic in SHOWN.items():
        chart = by_sparsity(estimate_rows(results, "stereoset.causal", statistic)).configure(background="white")
        save_svg(chart, IMAGES / f"first-light-{name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
