"""`python -m fairsqueeze.cli` is `fairsqueeze`."""

from fairsqueeze.cli import main

main()
