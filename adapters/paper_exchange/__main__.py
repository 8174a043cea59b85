"""`python -m adapters.paper_exchange ...`: the paper exchange without the rest."""

import sys

from adapters.paper_exchange.server import main

sys.exit(main(sys.argv[1:]))
