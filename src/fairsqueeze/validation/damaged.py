"""Records of one measure on damaged versions of one model: computed once, kept in a folder where one is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fairsqueeze.engine.requests import Request
from fairsqueeze.records import frame_of
from fairsqueeze.registry import Frame
from fairsqueeze.spec import content_id
from fairsqueeze.study.audit import AuditOptions, scoring_context
from fairsqueeze.study.evaluation import Evaluation
from fairsqueeze.study.progress import Progress
from fairsqueeze.study.store import Store
from fairsqueeze.validation.asked import Asked, ask
from fairsqueeze.validation.degradation import checked, degrade

if TYPE_CHECKING:
    from fairsqueeze.models.model import Model


@dataclass(frozen=True, eq=False)
class Bench:
    """One model, one measure, and a folder to keep records in (None: nothing is kept).

    `id` is the content id of the model, worked out once.
    """

    model: Model
    evaluation: Evaluation
    id: str
    store: Store | None
    progress: Progress

    @classmethod
    def of(cls, model: Model, evaluation: Evaluation, store: Store | None, progress: Progress) -> Bench:
        return cls(model, evaluation, model.id, store, progress)

    @cached_property
    def asked(self) -> Asked:
        """The answers of the undamaged model; kept in memory only, so another run asks anew where it needs them."""
        return ask(self.model, self.evaluation, progress=self.progress)

    def undamaged(self) -> Frame:
        """The records of the model as it is."""
        return self._kept({"degradation": "none"}, lambda: self.asked)

    def respelled(self, name: str, rewrite: Callable[[Request], Request]) -> Frame:
        """The records when every text is written in another way."""
        return self._kept(
            {"spelling": name}, lambda: ask(self.model, self.evaluation, rewrite=rewrite, progress=self.progress)
        )

    def damaged(self, kind: str, level: float, seed: int) -> Frame:
        """The records of the model with its weights, or its answers, damaged (`degradation`)."""
        declared = checked(kind, level)
        seed = seed if declared.seeded else 0

        def make() -> Asked:
            if declared.to == "answers":
                return degrade(self.asked, kind, level, seed)
            return ask(degrade(self.model, kind, level, seed), self.evaluation, progress=self.progress)

        return self._kept({"degradation": kind, "level": level, "seed": seed}, make, declared.version)

    def _kept(self, what: dict[str, Any], make: Callable[[], Asked], version: int = 1) -> Frame:
        context = scoring_context(self.model, AuditOptions(device=str(self.model.device), dtype=self._dtype))
        step = content_id({"evaluation": self.evaluation.step(self.id, context), "version": version, **what}, length=24)
        found = self.store.read(step) if self.store is not None else None
        if found is None:
            self.progress.say(f"{self.evaluation.declared.name}: {', '.join(f'{k} {v}' for k, v in what.items())}")
            found = make().table(step, self.id, **what)
            if self.store is not None:
                self.store.write(step, found)
        return frame_of(found)

    @property
    def _dtype(self) -> str:
        return str(next(self.model.network.parameters()).dtype).removeprefix("torch.")
