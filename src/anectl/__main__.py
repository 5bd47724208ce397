"""`python -m anectl` is the same as `anectl`."""

from anectl.cli import main

main()
