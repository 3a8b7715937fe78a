"""`fairsqueeze analyse`: all that Python's analyse takes can be given; what is wrong gets one message and code 2."""

from __future__ import annotations

import json

import pytest

from fairsqueeze.cli import main

ROWS = [
    "label,kind,of,family,result,oddness",
    *(
        f"m{i}.{j},{'full' if j == 0 else 'cut'},m{i}.0,{i},{90 - 13 * j - i},{50 - 15 * j - i}"
        for i in range(5)
        for j in range(4)
    ),
]


@pytest.fixture
def run(capsys, tmp_path):
    """Run `analyse` on the table: (exit code, stdout, stderr)."""
    (tmp_path / "t.csv").write_text("\n".join(ROWS))

    def call(*words):
        with pytest.raises(SystemExit) as end:
            main(["analyse", str(tmp_path / "t.csv"), *words])
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


BASE = ("--performance", "result", "--measure", "oddness", "--replicates", "200")


@pytest.mark.parametrize("parent", ["of", "kind=full"])
def test_rewards_collapse_and_direction_can_be_reached_from_a_csv_file(run, parent):
    words = ("--ideal", "oddness=0", "--chance", "50", "--parent", parent, "--cluster", "family", "--seed", "3")
    code, out, _ = run(*BASE, *words, "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["cluster"], document["n_clusters"], document["n_with_parent"]) == ("family", 5, 15)
    assert document["measures"][0]["ideal"] == 0.0
    assert document["settings"]["seed"] == 3
    assert document["performance"]["chance"] == 50
    assert document["collapsed"]["checkpoints"]
    assert document["sets"][0]["randomness_reward"][0]["low"] > 0


def test_without_them_the_output_names_the_options(run):
    code, out, _ = run(*BASE)
    assert code == 0
    for option in ("--ideal MEASURE=VALUE", "--chance VALUE"):
        assert option in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--measure", "result"), "--performance and --measure both name result"),
        (("--ideal", "oddness"), "--ideal oddness is not MEASURE=VALUE"),
        (("--ideal", "oddness=low"), "--ideal oddness=low is not MEASURE=VALUE"),
        (("--ideal", "oddnes=0"), "Did you mean 'oddness'"),
        (("--ideal", "oddness=0", "--ideal", "oddness=1"), "gives oddness twice"),
        (("--chance", "nan"), "chance is nan"),
        (("--cluster", "famly"), "Did you mean 'family'"),
        (("--parent", "kin=full"), "Did you mean 'kind'"),
        (("--parent", "kind=dense"), "no row has kind = dense"),
        (("--seed", "-1"), "--seed"),
    ],
)
def test_what_is_wrong_gets_one_message_and_code_2(run, words, message):
    code, out, err = run(*BASE, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
