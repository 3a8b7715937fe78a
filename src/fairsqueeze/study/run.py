"""run: make and score every variant of a study; each finished one is kept, and a second run goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairsqueeze.errors import BadSetting, StepFailed, StoreError, unknown_name
from fairsqueeze.study.evaluation import Evaluation
from fairsqueeze.study.executors.queue import Queue
from fairsqueeze.study.finished import finished_outlines, read_steps
from fairsqueeze.study.plan import Plan
from fairsqueeze.study.progress import Silent, StudyProgress
from fairsqueeze.study.provenance import command
from fairsqueeze.study.rates import Rates
from fairsqueeze.study.store import Store
from fairsqueeze.study.variant import Bench, Done, Failure, Job, kept_side, options_of, prepare_for, variant_keys
from fairsqueeze.study.variant import variant_key as variant_key  # one may ask here for a variant's place in the store

EXECUTORS = ("local", "ray")


@dataclass
class Outcome:
    """What a run did: variants computed now, found finished, and failed with their message; of a model that failed
    itself, the variants that were not begun."""

    computed: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class How:
    """Who does the work: `local`, with one worker in this process and with more in processes of their own, or `ray`, on
    the cluster at `address` (None: the one that RAY_ADDRESS names, else a new one on this machine)."""

    executor: str = "local"
    workers: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise unknown_name("executor", self.executor, EXECUTORS)
        if isinstance(self.workers, bool) or not isinstance(self.workers, int) or self.workers < 1:
            raise BadSetting(f"workers is {self.workers!r}.", "It must be a whole number of at least 1.")
        if self.address is not None and self.executor != "ray":
            raise BadSetting(f"address is {self.address!r}, but the executor is {self.executor}.", "Use executor ray.")
        if self.workers != 1 and self.executor == "ray":
            remedy = "Leave workers out: Ray begins as many tasks as its machines have room for (see docs/clusters.md)."
            raise BadSetting(f"workers is {self.workers}, but the executor is ray.", remedy)


@dataclass(frozen=True)
class _Run:
    plan: Plan
    store: Store
    prepared: dict[str, list[Evaluation]]
    progress: StudyProgress
    how: How


def run(
    plan: Plan,
    out: Path | str,
    *,
    executor: str = "local",
    workers: int = 1,
    address: str | None = None,
    mlflow: str | None = None,
    progress: StudyProgress | None = None,
) -> Outcome:
    """Make and score all variants of `plan` into the folder `out`.

    Records are the same bit for bit whoever computes them, on equal machines with equal numbers of threads. A failed
    variant is recorded with its cause, and the rest go on.

    Args:
        out: folder, or URL of a file system that all workers reach.
        executor, workers, address: who does the work (`How`); `workers` is of the local executor.
        mlflow: tracking URI (a folder, say) that also gets parameters and estimates of every variant.

    Raises FairsqueezeError before anything is spent if names, data, executor or the folder are not in order, and
    StepFailed where no variant at all could be scored.
    """
    how = How(executor, workers, address)
    progress = progress or Silent()
    if how.executor == "ray":
        from fairsqueeze.study.executors.ray import require_ray

        require_ray()
    experiment = None
    if mlflow is not None:
        from fairsqueeze.study.mlflow_log import Experiment

        experiment = Experiment.open(mlflow, plan.study.name)
    store = Store(out, warn=progress.say)
    store.check()
    _refuse_another_study(store, plan)
    this = _Run(plan, store, {model: prepare_for(plan.study, model) for model in plan.study.models}, progress, how)
    store.prepare()
    jobs = _jobs(this)
    store.write_document("study", _document(plan, jobs))
    pending = _pending(this, jobs)
    rates = Rates.of_store(store, plan.study.device)
    outcome = _work(this, jobs, pending, rates)
    if pending:
        rates.keep(store)
    if experiment is not None:
        experiment.log(store)
    if outcome.failed and not (outcome.computed or outcome.found):
        raise StepFailed("\n".join(["Nothing of the study could be scored:", *_list_of(outcome)]))
    return outcome


def _list_of(outcome: Outcome) -> list[str]:
    """Everything that failed, with its cause, and what was not begun therefore, a line each."""
    failed = [f"  {label}: {why}" for label, why in outcome.failed.items()]
    return failed + [f"  {label}: not begun, since its dense model failed." for label in outcome.skipped]


def _document(plan: Plan, jobs: list[Job]) -> dict[str, Any]:
    """What the folder tells of the study: itself, and of every variant its key, model and label, in order."""
    return {
        "schema": "fairsqueeze.study/1",
        "study": plan.study.model_dump(mode="json"),
        "variants": [job.key for job in jobs],
        "labels": [[job.variant.model, job.variant.label] for job in jobs],
        "command": command(),
    }


def _refuse_another_study(store: Store, plan: Plan) -> None:
    before = store.read_document("study")
    if before is not None and before.get("study", {}).get("name") != plan.study.name:
        raise StoreError(
            f"{store.root} holds another study, {before.get('study', {}).get('name')!r}.",
            "Give each study its own --out.",
        )


def _jobs(this: _Run) -> list[Job]:
    """Every variant of the plan as a job, in the plan's order."""
    plan = this.plan
    found = []
    for model in dict.fromkeys(plan.study.models):
        evaluations, options = this.prepared[model], options_of(plan.study, model)
        variants = plan.of(model)
        items = {e.declared.name: e.items_id for e in evaluations}
        keys = variant_keys(variants, evaluations, options)
        for number, (variant, key) in enumerate(zip(variants, keys, strict=True), start=1):
            name = variant.label if len(plan.study.models) == 1 else f"{model}: {variant.label}"
            found.append(Job(variant, key, keys[0], name, number, len(variants), items))
    return found


def _pending(this: _Run, jobs: list[Job]) -> list[Job]:
    """The jobs that are not finished: without a document, or with a step whose records are gone.

    A dense model whose records are needed but damaged is one of them, since its variants are compared with these.
    """
    store, there = this.store, this.store.ids("records")
    pending = []
    for job in jobs:
        steps = read_steps(store, job.key)
        if steps is None or not there.issuperset(steps):
            pending.append(job)
    open_keys = {job.key for job in pending}
    for dense in {job.dense for job in pending} - open_keys:
        if kept_side(store, dense) is None:
            open_keys.add(dense)
    return [job for job in jobs if job.key in open_keys]


def _work(this: _Run, jobs: list[Job], pending: list[Job], rates: Rates) -> Outcome:
    """Have all pending jobs done, and tell what became of each, in the plan's order."""
    open_keys = {job.key for job in pending}
    outcome = Outcome(found=[job.name for job in jobs if job.key not in open_keys])
    for name in outcome.found:
        this.progress.say(f"{name}: already there")
    queue = Queue(pending, {job.key for job in jobs} - open_keys)
    total = sum(job.steps for job in pending)
    this.progress.plan(total)
    results: dict[str, Done] = {}
    if pending:
        with closing(_executor(this, queue, rates)) as worked:
            for done in worked:
                results[done.job.key] = done
                rates.learn(done)
                if done.failure is not None:
                    _keep_failure(this, done.job, done.failure)
                total -= done.job.steps - len(done.steps)  # what failed, or was there
                this.progress.plan(total)
    for job in pending:
        if job.key not in results:
            outcome.skipped.append(job.name)
        elif (failure := results[job.key].failure) is not None:
            outcome.failed[job.name] = str(failure)
        else:
            outcome.computed.append(job.name)
    return outcome


def _executor(this: _Run, queue: Queue, rates: Rates) -> Generator[Done, None, None]:
    from fairsqueeze.study.executors.brief import Brief, threads_each

    study, how, out = this.plan.study, this.how, str(this.store.root)
    if how.executor == "ray":
        from fairsqueeze.study.executors.ray import in_cluster

        brief = Brief.of(study, out, threads_each())
        return in_cluster(queue, brief, how.address, this.prepared, rates.peak_of, this.progress)
    if how.workers == 1:
        from fairsqueeze.study.executors.local import in_process

        return in_process(queue, Bench(study, out, this.progress, this.prepared), this.progress)
    from fairsqueeze.study.executors.admission import Admission
    from fairsqueeze.study.executors.processes import in_processes

    brief = Brief.of(study, out, threads_each(how.workers))
    return in_processes(queue, brief, how.workers, Admission(rates.peak_of), this.progress)


def _keep_failure(this: _Run, job: Job, failure: Failure) -> None:
    """Record a failure with its cause. StoreError where nothing can be kept any more: the study ends."""
    this.progress.say(f"  {job.name} failed: {failure}")
    if failure.stops:
        raise StoreError(failure.message, failure.remedy)
    this.store.write_document(
        f"failed/{job.key}",
        {
            "schema": "fairsqueeze.failed/1",
            "model": job.variant.model,
            "label": job.variant.label,
            "message": failure.message,
            "remedy": failure.remedy,
            "cause": failure.cause,
            "trace": failure.trace,
            "command": command(),
        },
    )


def status(plan: Plan, out: Path | str, say: Callable[[str], None]) -> dict[str, Any]:
    """Which variants of `plan` are finished in `out`, which are open, and which of these failed; no model is loaded."""
    store = Store(out, warn=say)
    done = {(d["model"], d["label"]) for d in finished_outlines(store)}
    rows = [{"model": v.model, "variant": v.label, "finished": (v.model, v.label) in done} for v in plan.variants]
    left = {(row["model"], row["variant"]) for row in rows if not row["finished"]}
    failures = {(d["model"], d["label"]): f"{d['message']} {d['remedy']}".strip() for d in store.documents("failed")}
    return {
        "study": plan.study.name,
        "finished": sum(r["finished"] for r in rows),
        "total": len(rows),
        "variants": rows,
        "failed": {f"{model}: {label}": why for (model, label), why in failures.items() if (model, label) in left},
    }
