"""One file of a data set on the hub, named by a user: `hub:org/name@REVISION/path`, kept in the cache."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath

from fairsqueeze.assets import cache, hub
from fairsqueeze.assets.catalogue import HubSource
from fairsqueeze.errors import AssetError

PREFIX = "hub:"
_FORM = re.compile(r"hub:(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})/(?P<path>[^\\]+)")


def hub_file(reference: str) -> Path:
    """Where the file that `reference` names lies on this machine; it is fetched once, and then never again.

    `hub:nyu-mll/glue@REVISION/mnli/validation_matched-00000-of-00001.parquet`: the revision is a whole commit of 40 hex
    digits, so that the same reference always means the same bytes.

    Raises AssetError: no such form, no network, no such repository, revision or file.
    """
    found = _FORM.fullmatch(reference)
    if found is None or ".." in PurePosixPath(found["path"]).parts:
        raise AssetError(
            f"{reference!r} names no file on the hub.",
            "Write hub:org/name@REVISION/path, where REVISION is the commit, 40 hex digits.",
        )
    source = HubSource(found["repo"], found["revision"], "dataset")
    target = cache.path_of(f"hub/{source.repo.replace('/', '--')}/{source.revision}/{found['path']}")
    if target.is_file():
        return target
    with cache.lock(f"hub--{source.repo}--{source.revision}"):
        fetched = hub.file(source, found["path"])
        with cache.placing(target) as temporary:
            shutil.copyfile(fetched, temporary)
        hub.clear(source)
    return target
