"""Every Eval Ever: one aggregate document per model, in the coalition's JSON schema.

Written for version 0.2.2 of `eval.schema.json` (github.com/evaleval/every_eval_ever). A result there must have a
number, so what is unmeasurable has no result; its name is listed under `source_metadata.additional_details`. The schema
knows "lower is better" or not: for a statistic whose ideal lies in between, the ideal and a note stand beside the flag.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fairsqueeze
from fairsqueeze.registry import Measure, Statistic, measures, tasks
from fairsqueeze.report.labels import statistic_title, statistic_unit, undefined_word
from fairsqueeze.report.results import Results, Variant
from fairsqueeze.spec import canonical_json, content_id

SCHEMA_VERSION = "0.2.2"

_HIGHER_IS_BETTER = frozenset({"accuracy", "lm_score", "icat", "competence", "competence.prior"})


def eee_document(results: Results, variant: Variant) -> dict[str, Any]:
    """The aggregate document of one model."""
    model, source = variant.audit.get("model", {}), variant.audit.get("provenance", {})
    stamp = _timestamp(results.created)
    identity = _model_id(variant)
    known = [e for e in variant.estimates if undefined_word(e) is None]
    lost = [_name(e) for e in variant.estimates if undefined_word(e) is not None]
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"fairsqueeze/{identity}/{stamp}",
        "evaluation_timestamp": results.created or "unknown",
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": results.name or "fairsqueeze",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": _strings(
                {"variant": variant.label, "kind": variant.kind, "unmeasurable": ", ".join(lost) or "none"}
            ),
        },
        "eval_library": {
            "name": "fairsqueeze",
            "version": str((source.get("libraries") or {}).get("fairsqueeze") or fairsqueeze.__version__),
            "additional_details": _strings(source.get("libraries") or {}),
        },
        "model_info": _model_info(variant, model, source),
        "evaluation_results": [_result(e, source) for e in known],
    }


def save_eee(results: Results, folder: Path) -> list[Path]:
    """Write one document per model as `folder/DEVELOPER/MODEL/UUID.json`; returns the paths.

    The UUID is made from the content (version 5), so that the same results give the same files.
    """
    paths = []
    for variant in results.variants:
        document = eee_document(results, variant)
        name = uuid.uuid5(uuid.NAMESPACE_URL, canonical_json(document))
        developer, model = (_file(part) for part in _model_id(variant).split("/", 1))
        path = folder / developer / model / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _model_info(variant: Variant, model: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    libraries = source.get("libraries") or {}
    facts = {k: v for k, v in variant.footprint.items() if k not in ("latency", "note")}
    details = {
        "reference": model.get("reference"),
        "checkpoint": model.get("id"),
        "architecture": model.get("architecture"),
        "kind": model.get("kind"),
        "compression_steps": model.get("steps") or None,
        **facts,
    }
    info: dict[str, Any] = {"name": variant.label, "id": _model_id(variant), "additional_details": _strings(details)}
    if "transformers" in libraries:
        info["inference_engine"] = {"name": "transformers", "version": str(libraries["transformers"])}
    return info


def _result(estimate: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    measure, statistic = estimate["measure"], estimate["statistic"]
    declared = _declared(measure)
    details = {"axis": estimate.get("axis") or "all", "status": estimate.get("status")}
    details |= {key: estimate.get(key) for key in ("n", "n_undefined", "chance", "constant")}
    score: dict[str, Any] = {"score": estimate["value"], "details": _strings(details)}
    uncertainty: dict[str, Any] = {}
    if estimate.get("low") is not None and estimate.get("high") is not None:
        uncertainty["confidence_interval"] = {
            "lower": estimate["low"],
            "upper": estimate["high"],
            "confidence_level": 0.95,
            "method": "seeded cluster bootstrap",
        }
    if isinstance(estimate.get("n"), int):
        uncertainty["num_samples"] = estimate["n"]
    if uncertainty:
        score["uncertainty"] = uncertainty
    return {
        "evaluation_result_id": content_id([measure, statistic, estimate.get("axis")]),
        "evaluation_name": _name(estimate),
        "source_data": _source_data(measure, declared, source),
        "metric_config": _metric(estimate, declared),
        "score_details": score,
        "generation_config": {
            "generation_args": {"execution_command": str(source.get("command") or "unknown")},
            "additional_details": _strings({"seed": source.get("seed"), "limit": source.get("limit")}),
        },
    }


def _metric(estimate: Mapping[str, Any], declared: Measure | None) -> dict[str, Any]:
    statistic, ideal = estimate["statistic"], estimate.get("ideal")
    found = _statistic(declared, statistic)
    direction = "higher" if statistic in _HIGHER_IS_BETTER else "lower"
    if found is not None and found.better is not None:
        direction = found.better
    metric: dict[str, Any] = {
        "evaluation_description": declared.summary if declared else statistic_title(statistic),
        "metric_id": f"fairsqueeze.{estimate['measure']}.{statistic}",
        "metric_name": statistic_title(statistic),
        "metric_unit": statistic_unit(statistic),
        "lower_is_better": direction == "lower",
        "additional_details": _strings({"ideal": ideal, "note": _direction_note(estimate, direction)}),
    }
    if found is not None and all(abs(bound) < float("inf") for bound in found.range):
        metric |= {"score_type": "continuous", "min_score": found.range[0], "max_score": found.range[1]}
    return metric


def _direction_note(estimate: Mapping[str, Any], direction: str) -> str | None:
    if estimate.get("ideal") is None or direction == "higher":
        return None
    return "the nearer to the ideal the better; lower_is_better holds for the distance from it"


def _source_data(measure: str, declared: Measure | None, source: Mapping[str, Any]) -> dict[str, Any]:
    data = source.get("data") or {}
    family = measure.partition(".")[0]
    wanted = declared.data if declared else ()
    names = [n for n in data if n in wanted or n.partition("/")[0] == family]
    document: dict[str, Any] = {"dataset_name": ", ".join(names) or family, "source_type": "other"}
    if names:
        document["source_id"] = ", ".join(f"sha256:{data[n].get('sha256')}" for n in names)
        facts = {f"{n}.{key}": data[n].get(key) for n in names for key in ("licence", "source")}
        document["additional_details"] = _strings(facts)
    return document


def _declared(measure: str) -> Measure | None:
    return next((registry.get(measure) for registry in (measures, tasks) if measure in registry), None)


def _statistic(declared: Measure | None, name: str) -> Statistic | None:
    return next((s for s in declared.statistics if s.name == name), None) if declared else None


def _name(estimate: Mapping[str, Any]) -> str:
    axis = estimate.get("axis")
    return f"{estimate['measure']}/{estimate['statistic']}" + (f"/{axis}" if axis else "")


def _model_id(variant: Variant) -> str:
    """`developer/model`: a hub id as it is, else `local/REFERENCE`; models other than the dense one by checkpoint."""
    model = variant.audit.get("model", {})
    reference = str(model.get("reference") or variant.label).partition("@")[0]
    is_hub_id = reference.count("/") == 1 and not reference.startswith((".", "/", "~")) and ":" not in reference
    name = reference if is_hub_id else f"local/{_file(reference)}"
    return name if variant.kind == "dense" else f"{name}-{model.get('id') or _file(variant.label)}"


def _timestamp(created: str) -> str:
    """Unix time of `YYYY-MM-DD HH:MM UTC` or an ISO date, as text; the text itself if it is neither."""
    for parse in (datetime.fromisoformat, lambda text: datetime.strptime(text, "%Y-%m-%d %H:%M UTC")):
        try:
            moment = parse(created)
        except ValueError:
            continue
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return str(int(moment.timestamp()))
    return created or "unknown"


def _strings(values: Mapping[str, Any]) -> dict[str, str]:
    """What the schema calls additional details: every value as text, nulls left out."""
    return {
        str(k): v if isinstance(v, str) else json.dumps(v, sort_keys=True, ensure_ascii=False)
        for k, v in values.items()
        if v is not None
    }


def _file(text: str) -> str:
    """A name of plain letters, digits, dots, dashes and underscores, never `.` or `..`."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in text)
    return name if name.strip(".") else f"_{name}"
