"""What executors cost: a plain loop over variants and measures, against the same as a study, here and on Ray.

    python recipes/executor_overhead.py runs/overhead --seconds 5 --variants 6

Every step (one measure asked of one variant of a tiny model) sleeps for so many seconds. The loop loads, compresses,
asks, estimates and compares, and keeps nothing; the study does the same and places records and documents. Ray is a
cluster of one node with one processor that is there before, and so is its worker: a study of one variant starts it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PLUGIN = '''
import os, time
from fairsqueeze.engine.requests import TextLogProb
from fairsqueeze.items import Item
from fairsqueeze.registry import Card, Statistic, task

SECONDS = float(os.environ["OVERHEAD_SECONDS"])
MEAN = Statistic("mean", lambda f, w: (w @ f["a"]) / w.sum(axis=1), None, None, None, (-1e9, 0.0), better="higher")

def items(files):
    return [Item(str(n), "x", "g", str(n), {}) for n in range(10)]

def asks(item):
    return {"a": TextLogProb(f"the {item.id} ran")}

for name in ("sleep.one", "sleep.two"):
    @task(name, version=1, kinds={"causal"}, data=(), source="self", items=items, asks=asks, statistics=(MEAN,),
          card=Card("none"))
    def score(item, answers):
        """Sleeps."""
        time.sleep(SECONDS / 10)
        return [item.row(answer={"a": answers["a"].total}, n_tokens=3)]
'''


def install(folder: Path) -> None:
    info = folder / "sleeping-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "sleeping.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sleeping\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fairsqueeze.tasks]\nsleeping = sleeping\n")
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


def timed(what: str, work: Callable[[], object], base: float | None = None) -> float:
    begun, before = time.monotonic(), time.process_time()
    work()
    took, spent = time.monotonic() - begun, time.process_time() - before
    told = "" if base is None else f"   {100 * (took / base - 1):+.1f} % against the loop"
    print(f"{what:20s} {took:8.2f} s, of which this process computed {spent:.2f} s{told}", flush=True)
    return took


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("folder", type=Path)
    given.add_argument("--seconds", type=float, default=5.0)
    given.add_argument("--variants", type=int, default=6)
    options = given.parse_args()
    os.environ["OVERHEAD_SECONDS"] = str(options.seconds)
    os.environ.setdefault("RAY_worker_niceness", "0")  # on a busy machine all are to wait alike
    site = Path(tempfile.mkdtemp())
    install(site)
    from fairsqueeze.compress.latency import measure_latency
    from fairsqueeze.models.load import load
    from fairsqueeze.study.audit import audit_loaded
    from fairsqueeze.study.compare import compare_sides, side_of
    from fairsqueeze.study.plan import Plan, plan
    from fairsqueeze.study.run import run
    from fairsqueeze.study.study import Study
    from fairsqueeze.study.variant import make, options_of, prepare_for
    from fairsqueeze.testing.tiny import save_tiny, tiny_model

    shutil.rmtree(options.folder, ignore_errors=True)
    model = str(save_tiny(tiny_model("llama", "causal"), options.folder / "model"))

    def study(variants: int) -> Plan:
        sparsities = [round(0.9 * n / variants, 3) for n in range(1, variants)]  # not 0: that is the dense model
        steps = [[{"magnitude.linear": {"sparsity": sparsities}}]] if sparsities else []
        return plan(Study(name="overhead", models=[model], pipelines=steps, tasks=["sleep.one", "sleep.two"]))

    made = study(options.variants)

    def loop() -> None:
        dense, evaluations = load(model), prepare_for(made.study, model)
        base = None
        for variant in made.variants:
            this = make(variant, dense)
            side = side_of(audit_loaded(this, evaluations, options_of(made.study, model)))
            if base is not None:
                compare_sides(base, side, seed=0)
                measure_latency({"dense": dense, "this": this})
            base = base or side

    print(f"{2 * options.variants} steps of {options.seconds:g} s")
    base = timed("plain loop", loop)
    timed("local", lambda: run(made, options.folder / "local"), base)
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        timed("ray, worker's start", lambda: run(study(1), options.folder / "first", executor="ray"))
        timed("ray", lambda: run(made, options.folder / "ray", executor="ray"), base)
    finally:
        ray.shutdown()
        cluster.shutdown()
        shutil.rmtree(site)


if __name__ == "__main__":
    main()
