"""`python main.py replay`: the protection rules over a recorded market, in virtual time."""
