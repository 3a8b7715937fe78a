"""What long work tells on stderr, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress as RichProgress

from fairsqueeze.study.progress import Bar, Lines


def test_what_nobody_said_is_told_once_after_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of a cluster say nothing; processes of this machine say what they begin."""
    now = [0.0]
    monkeypatch.setattr("fairsqueeze.study.progress.time.monotonic", lambda: now[0])
    lines = Lines()
    for second in range(30):
        now[0] = float(second)
        lines.running(["dense", "rtn 8 bits"] if second < 20 else ["rtn 8 bits"])
        if second == 1:
            lines.say("[1/2] dense")
    assert capsys.readouterr().err.splitlines() == ["[1/2] dense", "  now: rtn 8 bits"]


def test_the_bar_shows_how_far_the_study_is_and_what_runs_now() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with RichProgress(console=console) as rich:
        bar = Bar(rich, console)
        bar.plan(3)
        bar.running(["dense", "a [bold] name"])
        bar.step("dense: made", 1.0)
        (whole,) = rich.tasks
        assert (whole.completed, whole.total) == (1, 3)
        assert whole.description.startswith("step 1 of 3, ")
        assert whole.description.endswith("· now: dense, a \\[bold] name")
        bar.plan(2)
        assert (whole.completed, whole.total) == (1, 2)
        for task, done in (("scoring", 4), ("scoring", 10), ("training", 1)):
            bar.advance(task, done, 10)
        assert [(one.description, one.visible) for one in rich.tasks[1:]] == [("scoring", False), ("training", True)]
        bar.say("a [bold] line")
    assert "a [bold] line" in console.file.getvalue()
