"""mlflow: parameters and estimates of every finished variant, as runs of an MLflow experiment. Off unless asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Experiment:
    """The experiment of a study at a tracking server that answered, or in a folder."""

    client: Any
    id: str
    uri: str

    @classmethod
    def open(cls, uri: str, name: str) -> Experiment:
        """The experiment called `name`, made where there is none.

        Args:
            uri: a tracking URI, or a folder on this machine.

        Raises BadSetting where MLflow is not installed, or nothing can be logged there.
        """
        require_mlflow()
        from mlflow.tracking import MlflowClient

        if "://" not in uri:
            uri = Path(uri).absolute().as_uri()
        if uri.startswith("file:"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 wants to be told that a folder is meant
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # seven take minutes
        with _told(f"Nothing can be logged to MLflow at {uri}", "Give a folder, or a tracking server that answers."):
            client = MlflowClient(tracking_uri=uri)
            found = client.get_experiment_by_name(name)
            return cls(client, found.experiment_id if found is not None else client.create_experiment(name), uri)

    def log(self, store: Store) -> int:
        """Log every variant of the study in `store` that is not logged yet, as a run; returns how many were.

        A run that was begun and not ended (killed in between) is gone on with.
        """
        remedy = "Run the same command again: nothing is computed twice."
        with _told(f"The study is kept, but not all of it could be logged to MLflow at {self.uri}", remedy):
            return sum(self._log(variant) for variant in finished(store))

    def _log(self, variant: Mapping[str, Any]) -> bool:
        steps = sorted(variant["audit"]["provenance"]["steps"].values())
        identity = _quoted(f"{variant['model']}: {variant['label']}: {' '.join(steps)}"[:5000])
        begun = self.client.search_runs([self.id], f"tags.`{VARIANT}` = '{identity}'", max_results=1)
        if begun and begun[0].info.status == "FINISHED":
            return False
        run = (
            begun[0] if begun else self.client.create_run(self.id, run_name=variant["label"], tags={VARIANT: identity})
        )
        for key, value in _parameters(variant).items():
            self.client.log_param(run.info.run_id, key, value)
        for key, number in _estimates(variant).items():
            self.client.log_metric(run.info.run_id, key, number)
        self.client.set_terminated(run.info.run_id)
        return True


@contextmanager
def _told(what: str, remedy: str) -> Iterator[None]:
    """What MLflow, the network or a folder refuses, as a message."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise BadSetting(f"{what}: {' '.join(str(error).split())[:300]}.", remedy) from error


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
