"""Reports: from the store only; no model is needed."""

from fairsqueeze.callable_package import callable_as

callable_as(__name__, "fairsqueeze.report.page", "report")
