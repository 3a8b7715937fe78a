"""The kinds of a study's models, as far as they can be told without loading one."""

from __future__ import annotations

from functools import cached_property

from fairsqueeze.models.reference import Reference, parse_reference
from fairsqueeze.registry import Kind


class Kinds:
    """Kinds of models by reference. The hub is asked at most once whether it answers, and then only if it does."""

    def of(self, model: str) -> Kind | None:
        """The kind of `model`; None where only the hub could tell, and does not answer.

        Raises ModelError for a model that is not there or is of no known kind, UnknownName for a built-in one that does
        not exist, AssetError for one that the hub does not have.
        """
        from fairsqueeze.models.load import kind_of

        own = hub_of(model)
        if own is None:
            return kind_of(model)
        kept = self._kept(own)
        if kept is not None or not self.hub_answers:
            return kept
        return kind_of(model)

    @cached_property
    def hub_answers(self) -> bool:
        from fairsqueeze.assets.hub import reachable

        return reachable()

    def _kept(self, own: Reference) -> Kind | None:
        from fairsqueeze.assets.hub import config_here
        from fairsqueeze.models.configuration import kind_of_config, read_config

        folder = config_here(own.name, own.revision)
        return None if folder is None else kind_of_config(read_config(folder), own.text)


def hub_of(model: str) -> Reference | None:
    """The hub reference that `model` is, or is a reference model of; None for everything else."""
    parsed = parse_reference(model)
    parsed = parsed.of or parsed
    return parsed if parsed.source == "hub" else None
