"""Arguments and options that several commands share, and the exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DONE, FAILED, WRONG_USE, UNMEASURABLE, INTERRUPTED = 0, 1, 2, 3, 130

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Hub id (org/name@revision), folder, .gguf file, builtin:NAME, reference:random|constant|destroyed:MODEL.",
    ),
]
Measures = Annotated[
    list[str] | None,
    typer.Option("-m", "--measure", help="Bias measure, repeatable; NAME or NAME:setting=value. See: list measures."),
]
Tasks = Annotated[list[str] | None, typer.Option("-t", "--task", help="Performance task, repeatable. See: list tasks.")]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="Seeded sample of items per measure, stratified by axis.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of samples, bootstrap and random methods.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
OutFolder = Annotated[
    Path | None, typer.Option("--out", help="Folder for records and result; the same command goes on there.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
