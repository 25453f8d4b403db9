"""The parts of `test_time_optimization.py`, one idea a file."""
