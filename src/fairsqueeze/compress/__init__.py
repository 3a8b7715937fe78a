"""Compression: one file per method, and what a checkpoint costs."""

from fairsqueeze.callable_package import callable_as

callable_as(__name__, "fairsqueeze.compress.apply", "compress")
