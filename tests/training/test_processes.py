"""One training shared by several processes: the same steps as by one, and one writer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fairsqueeze.models.load import load
from fairsqueeze.testing.tiny import save_tiny, tiny_model
from fairsqueeze.training.finetune import finetune
from fairsqueeze.training.pairs import Pair
from fairsqueeze.training.processes import Processes

SETTINGS = {"preset": "offline.nli", "batch": 7, "epochs": 2, "rate": 1e-3}
SCRIPT = """
import json, sys
from fairsqueeze.models.load import load
from fairsqueeze.training.finetune import finetune
from fairsqueeze.training.pairs import Pair
pairs = [Pair(*row) for row in json.loads(sys.argv[3])]
done = finetune(load(sys.argv[1]), pairs, out=sys.argv[2], **json.loads(sys.argv[4]))
step = done.provenance["steps"][-1]["measured"]
print("DONE", json.dumps([done.id, step["processes"], step["first_loss"]]), flush=True)
"""


@given(st.integers(1, 40), st.integers(1, 9))
def test_every_part_is_computed_by_exactly_one_process(parts: int, count: int) -> None:
    shares = [Processes(number, count).share(range(parts)) for number in range(count)]
    assert sorted(part for share in shares for part in share) == list(range(parts))


@pytest.mark.parametrize(("batch", "count", "size"), [(96, 3, 32), (7, 2, 4), (2, 3, 1), (0, 2, 1)])
def test_parts_are_small_enough_for_everyone_to_get_one(batch: int, count: int, size: int) -> None:
    assert Processes(0, count).part_size(batch) == size


def test_one_process_changes_nothing() -> None:
    parameter = nn.Parameter(torch.ones(2))
    Processes().add_up_([parameter])
    assert parameter.grad is None
    assert Processes().sum_of(1.5, torch.device("cpu")) == 1.5


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    model = tiny_model("bert", "pair_classifier")
    model.network.config.hidden_dropout_prob = model.network.config.attention_probs_dropout_prob = 0.0
    save_tiny(model, tmp_path / "start")
    rows = [(f"the man is {k}", f"the woman is {k % 5}", k % 3) for k in range(18)]
    alone = finetune(load(str(tmp_path / "start")), [Pair(*row) for row in rows], **SETTINGS)
    (tmp_path / "train.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    launch.append(str(tmp_path / "train.py"))
    given_ = [str(tmp_path / "start"), str(tmp_path / "made"), json.dumps(rows), json.dumps(SETTINGS)]
    done = subprocess.run([*launch, *given_], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line.split("DONE ")[1]) for line in done.stdout.splitlines() if "DONE" in line]
    assert len(told) == 2
    assert told[0] == told[1]
    assert told[0][1] == 2
    first = alone.provenance["steps"][-1]["measured"]["first_loss"]
    assert told[0][2] == pytest.approx(first, rel=1e-5)
    made = load(str(tmp_path / "made"))
    assert made.id == told[0][0]
    read = [alone.tokenizer(*row[:2], return_tensors="pt") for row in rows[:6]]
    with torch.no_grad():
        by_one, by_two = ([model.network(**pair).logits for pair in read] for model in (alone, made))
    torch.testing.assert_close(by_one, by_two, rtol=0, atol=1e-3)
