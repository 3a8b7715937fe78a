"""mlflow: parameters and estimates of every finished variant, as runs of an MLflow experiment. Off unless asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairsqueeze.errors import BadSetting
from fairsqueeze.study.finished import finished
from fairsqueeze.study.store import Store

VARIANT = "fairsqueeze.variant"
"""The tag by which a run is found again, so that a study that goes on logs nothing twice."""


def require_mlflow() -> None:
    """BadSetting where MLflow is not installed."""
    try:
        import mlflow  # noqa: F401
    except ImportError:
        message = "Logging to MLflow needs MLflow, which is not installed."
        raise BadSetting(message, "Install it: pip install 'fairsqueeze[mlflow]'") from None


def log_study(store: Store, uri: str) -> int:
    """Log every finished variant of the study in `store` that is not logged yet, as a run of the study's experiment.

    Args:
        uri: a tracking URI, or a folder on this machine.

    Returns:
        How many runs were made.
    """
    from mlflow.tracking import MlflowClient

    if "://" not in uri:
        uri = Path(uri).absolute().as_uri()
    if uri.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 wants to be told that a folder is meant
    client = MlflowClient(tracking_uri=uri)
    document = store.read_document("study") or {}
    name = document["study"]["name"]
    found = client.get_experiment_by_name(name)
    experiment = found.experiment_id if found is not None else client.create_experiment(name)
    made = 0
    for variant in finished(store):
        steps = sorted(variant["audit"]["provenance"]["steps"].values())
        identity = f"{variant['model']}: {variant['label']}: {' '.join(steps)}"[:5000]
        if client.search_runs([experiment], f"tags.`{VARIANT}` = '{_quoted(identity)}'", max_results=1):
            continue
        run = client.create_run(experiment, run_name=variant["label"], tags={VARIANT: _quoted(identity)})
        for key, value in _parameters(variant).items():
            client.log_param(run.info.run_id, key, value)
        for key, number in _estimates(variant).items():
            client.log_metric(run.info.run_id, key, number)
        client.set_terminated(run.info.run_id)
        made += 1
    return made


def _quoted(text: str) -> str:
    return text.replace("'", "’")


def _parameters(variant: Mapping[str, Any]) -> dict[str, Any]:
    model, provenance = variant["audit"]["model"], variant["audit"]["provenance"]
    found = {
        "model": variant["model"],
        "variant": variant["label"],
        "kind": variant["kind"],
        "checkpoint": model["id"],
        "parameters": model["parameters"],
        "seed": provenance["seed"],
        "limit": provenance["limit"],
        "dtype": provenance["dtype"],
    }
    for number, step in enumerate(model["steps"], start=1):
        found[f"step{number}"] = step["name"]
        found |= {f"step{number}.{key}": value for key, value in step["parameters"].items()}
    return {_allowed(key): value for key, value in found.items()}


def _estimates(variant: Mapping[str, Any]) -> dict[str, float]:
    """The overall estimates that are defined, by `measure/statistic`."""
    return {
        _allowed(f"{one['measure']}/{one['statistic']}"): one["value"]
        for one in variant["audit"]["estimates"]
        if one["axis"] is None and one["value"] is not None
    }


def _allowed(name: str) -> str:
    return re.sub(r"[^\w\-./ ]", "_", name)
