"""Usage: what answering has cost so far."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Usage:
    """Counts of one engine since it was made.

    `requests_asked` counts every request handed in; `requests_answered` only those that had to be computed, the others
    being equal to one of these. `tokens_asked` is what the answered requests would have cost one at a time, in tokens
    of whole sequences; `tokens_forwarded` went through the network, and `tokens_padding` on top of these.
    `positions_projected` counts the hidden states taken to the vocabulary. `prefix_sharing` and `only_needed_projected`
    are None until they have been tried on this model; `notes` says why where one of them is False.
    """

    requests_asked: int = 0
    requests_answered: int = 0
    tokens_asked: int = 0
    tokens_forwarded: int = 0
    tokens_padding: int = 0
    positions_projected: int = 0
    forward_passes: int = 0
    seconds: float = 0.0
    token_budget: int = 0
    budget_halvings: int = 0
    prefix_sharing: bool | None = None
    only_needed_projected: bool | None = None
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep `text` once."""
        if text not in self.notes:
            self.notes.append(text)
