"""Log-probabilities of the wanted tokens of rows, by one forward pass per batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fairsqueeze.engine.budget import Work
from fairsqueeze.engine.limits import text_config, uniform_length
from fairsqueeze.engine.passages import Passage, Row, alone, row_of, shared
from fairsqueeze.engine.projection import Projector, probe_ids
from fairsqueeze.engine.usage import Usage
from fairsqueeze.models.model import Model

AGREEMENT = 5e-5
"""Largest difference, in nats, that a shared row may make in float32."""
LOW_PRECISION_AGREEMENT = 0.1


class Scorer:
    """Scores rows with a causal or masked model.

    `sharing` says whether rows may be trees. It is found out by a probe, since an architecture may ignore a mask
    of its own making or number positions by itself.
    """

    def __init__(self, model: Model, padding: int, usage: Usage, *, sharing: bool = True) -> None:
        self._model = model
        self._padding = padding
        self._usage = Usage()  # what the probes cost is nobody's answer
        with torch.inference_mode():
            self._projector = Projector(model.network, self._usage)
        self._uniform = uniform_length(model.network)
        self._width = int(getattr(text_config(model.network), "hidden_size", 0) or 0)
        self.sharing = model.kind == "causal" and sharing and self._width > 0 and self._honours_trees()
        for note in self._usage.notes:
            usage.note(note)
        usage.only_needed_projected = self._projector.body is not None
        usage.prefix_sharing = self.sharing if model.kind == "causal" else None
        self._usage = self._projector.usage = usage

    @property
    def work(self) -> Work[Row, list[np.ndarray]]:
        """How rows are run in batches."""
        return Work(len, self.score, split=Row.halves, lone=self.lone, most=self._projector.most_tokens)

    def rows(self, passages: Sequence[Passage]) -> list[Row]:
        """Rows for these passages, longest first, always the same for the same set of passages."""
        short = [p for p in passages if not self.is_long(len(p.ids))] if self.sharing else []
        plain = [p for p in passages if self.is_long(len(p.ids))] if self.sharing else passages
        rows = shared(short, self._width) + alone(plain)
        return sorted(rows, key=lambda row: (self.is_long(_deepest(row)), len(row)), reverse=True)

    def lone(self, row: Row) -> bool:
        """Whether a row has to be run by itself (see `uniform_length`)."""
        return self.is_long(_deepest(row))

    def is_long(self, length: int) -> bool:
        return self._uniform is not None and length > self._uniform

    def score(self, rows: Sequence[Row]) -> list[list[np.ndarray]]:
        """For each row and passage of it, the log-probabilities of `wants` in nats, float64."""
        longest = max(len(row) for row in rows)
        self._usage.tokens_forwarded += sum(len(row) for row in rows)
        self._usage.tokens_padding += sum(longest - len(row) for row in rows)
        with torch.inference_mode():
            states = self._projector.states(**self._inputs(rows, longest))
            wanted = _wanted(rows)
            places = sorted({place for place, _ in wanted})
            index = torch.tensor(places, device=states.device).T
            found = self._gather(states[index[0], index[1]], places, wanted)
        return _by_passage(rows, found)

    def _gather(
        self, states: torch.Tensor, places: list[tuple[int, int]], wanted: list[tuple[tuple[int, int], int]]
    ) -> np.ndarray:
        """Log-probability of each wanted (place, token): its logit less the log of the sum of all exponentials."""
        line = {place: number for number, place in enumerate(places)}
        lines = np.array([line[place] for place, _ in wanted])
        tokens = np.array([token for _, token in wanted])
        found = np.empty(len(wanted), dtype=np.float64)
        for begin, logits in self._projector.logits(states):
            here = np.flatnonzero((lines >= begin) & (lines < begin + len(logits)))
            at = torch.from_numpy(lines[here] - begin).to(logits.device)
            which = torch.from_numpy(tokens[here]).to(logits.device)
            found[here] = (logits[at, which] - logits.logsumexp(-1)[at]).cpu().double().numpy()
        return found

    def _inputs(self, rows: Sequence[Row], longest: int) -> dict[str, torch.Tensor]:
        device = self._model.device
        ids = torch.full((len(rows), longest), self._padding)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row.ids)
        inputs = {"input_ids": ids.to(device)}
        if not all(row.is_chain for row in rows):
            return {**inputs, **self._tree_inputs(rows, longest)}
        # Padding stands at the end, where no token of a causal model looks; without a mask attention is faster.
        attention = torch.ones_like(ids)
        if self._model.kind != "causal":
            for number, row in enumerate(rows):
                attention[number, len(row) :] = 0
        return {**inputs, "attention_mask": attention.to(device)}

    def _tree_inputs(self, rows: Sequence[Row], longest: int) -> dict[str, torch.Tensor]:
        """Mask to add, 0 where a node may look, shape (rows, 1, length, length), and positions. Padding sees itself."""
        dtype = self._model.network.dtype
        positions = torch.zeros(len(rows), longest, dtype=torch.long)
        sees = np.broadcast_to(np.eye(longest, dtype=bool), (len(rows), longest, longest)).copy()
        for number, row in enumerate(rows):
            positions[number, : len(row)] = torch.tensor(row.depths)
            sees[number, : len(row), : len(row)] = row.ancestors()
        mask = torch.zeros(sees.shape, dtype=dtype).masked_fill_(torch.from_numpy(~sees), torch.finfo(dtype).min)
        device = self._model.device
        return {"attention_mask": mask[:, None].to(device), "position_ids": positions.to(device)}

    def _honours_trees(self) -> bool:
        if self._uniform is not None and self._uniform < 9:
            return False
        passages = _probe_passages(self._model)
        plain = [self.score([row_of([passage])])[0][0] for passage in passages]
        try:
            # Two rows of different length, so that padding is tried too.
            trees = self.score([row_of(passages), row_of(passages[:2])])[0]
        except Exception:  # an architecture may refuse such a mask in any way; then prefixes are not shared
            self._usage.note("Common beginnings are computed anew each time: this architecture takes no tree mask.")
            return False
        exact = self._model.network.dtype in (torch.float32, torch.float64)
        tolerance = AGREEMENT if exact else LOW_PRECISION_AGREEMENT
        worst = max(float(np.abs(a - b).max()) for a, b in zip(plain, trees, strict=True))
        if not worst <= tolerance:
            self._usage.note("Common beginnings are computed anew each time: sharing them changes the answers.")
            return False
        return True


def _probe_passages(model: Model) -> list[Passage]:
    """Four short passages, sorted, that part after none, two and five tokens."""
    first, second = probe_ids(model.network, 9).tolist(), probe_ids(model.network, 9, seed=1).tolist()
    sequences = [first, first[:5] + second[5:], first[:2] + second[2:8], second[:7]]
    wants = tuple(first[::-1])
    return sorted(
        (Passage(tuple(ids), tuple((at, wants[at]) for at in range(len(ids)))) for ids in sequences),
        key=lambda passage: passage.ids,
    )


def _deepest(row: Row) -> int:
    return max(len(passage.ids) for passage in row.passages)


def _wanted(rows: Sequence[Row]) -> list[tuple[tuple[int, int], int]]:
    """Every want of every passage of every row, in order: ((row, node), token)."""
    return [
        ((number, nodes[at]), token)
        for number, row in enumerate(rows)
        for passage, nodes in zip(row.passages, row.nodes, strict=True)
        for at, token in passage.wants
    ]


def _by_passage(rows: Sequence[Row], found: np.ndarray) -> list[list[np.ndarray]]:
    answers, begin = [], 0
    for row in rows:
        scores = []
        for passage in row.passages:
            scores.append(found[begin : begin + len(passage.wants)].copy())
            begin += len(passage.wants)
        answers.append(scores)
    return answers
