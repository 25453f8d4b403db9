"""The parts of `latent_constraints.py`, one idea a file."""
