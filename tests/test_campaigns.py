"""A little of each campaign, and the page that says what the whole ones found."""

from __future__ import annotations

import json
import logging
import warnings

import pytest
import torch

import latentsearch as ls
from examples.benchmarks.codes_bench.pages import table
from examples.campaigns import __main__ as campaigns
from examples.campaigns import faults, files, kills, memory, precision, problems
from examples.campaigns.situations import cases as situations
from examples.campaigns.wrong_calls import cases as wrong_calls
from latentsearch.loop.course import Course
from latentsearch.searchers import __all__ as searcher_names

LOG = json.loads(campaigns.LOG.read_text())


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def test_wrong_calls_are_answered():
    found = wrong_calls.run()
    wrong = {name: said for name, (kind, said) in found["cases"].items() if kind != "ok"}
    assert found["total"] > 2500 and set(wrong) <= {"categorical of NaN"}, wrong


def test_killed_searches_end_as_others():
    found = kills.run(8, seed=3)
    assert found["kills"] >= 8 and found["faults"] == []


def test_damaged_files_are_refused():
    found = files.run(60, seed=3)
    assert found["faults"] == [] and found["counts"]["refused in words"] > 40


def test_faults_lose_nothing():
    found = faults.run(24, seed=3)
    assert found["wrong"] == [] and found["counts"]["kept by SearchFailed"] > 3


# Those of Ctrl-C are told by test_lost.py.
SITUATIONS = [case for case in situations.cases() if "Ctrl-C" not in case.name][::9]


@pytest.mark.parametrize("case", SITUATIONS, ids=lambda case: case.name)
def test_situations_hold(case):
    left = {
        "a decoder that seeds torch's random state",
        "another thread draws random numbers while a decoder is wrapped",
    }
    assert case.name in left or situations._outcome(case) is None


def test_every_searcher_is_in_the_campaigns():
    known = {type(searcher).__name__ for searcher in problems.searchers().values()}
    public = {name for name in searcher_names if name.endswith("Search")} | {"ImportanceResampling", "Then"}
    assert public <= known


def test_a_trace_is_bounded():
    course, steps = Course(2), 30_000
    for step in range(steps):
        course.add(
            torch.tensor([1.0 / (step + 1) if step % 2 else 7.0, 5.0]),
            torch.tensor([step, step], dtype=torch.float64),
            step / 10,
        )
    trace = course.trace(torch.zeros(2))
    assert 2000 < len(trace.loss) <= course.most and float(trace.evaluations[0, 0]) == 0
    assert float(trace.evaluations[-1, 0]) == steps - 1 and float(trace.loss[-1, 0]) == pytest.approx(
        1 / steps, rel=1e-3
    )
    assert (trace.loss.diff(dim=0) <= 0).all() and (trace.evaluations.diff(dim=0) > 0).all()
    again = Course(2)
    again.restore(course.tensors())
    for each in (course, again):
        each.add(torch.tensor([9.0, 4.0]), torch.tensor([steps, steps], dtype=torch.float64), 0.0)
    first, second = (vars(each.trace(torch.zeros(2))) for each in (course, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_memory_is_flat():
    found = memory.run(60)
    sizes = {name: (row["checkpoint kB"], row["checkpoint kB at the end"]) for name, row in found["methods"].items()}
    assert all(row["steps"] == 60 for row in found["methods"].values())
    assert all(last < 2.5 * first + 5 for first, last in sizes.values())


def test_the_page_says_what_the_log_has():
    text = table("thrown at it", campaigns.rows(LOG), campaigns.COLUMNS)
    assert f"<!-- campaigns -->\n\n{text}\n\n<!-- end -->" in campaigns.PAGE.read_text()
    assert set(LOG) == set(campaigns.CAMPAIGNS)


def test_what_was_asked_was_found():
    """The goals: a log that misses one is not published as if it did not."""
    wrong = {name: len(campaigns.CAMPAIGNS[name].faults(log["found"])) for name, log in LOG.items()}
    tried = {name: campaigns.CAMPAIGNS[name].tried(log["found"]) for name, log in LOG.items()}
    assert tried["kills"] >= 1000 and tried["files"] >= 1000 and tried["faults"] >= 300 and tried["calls"] >= 500
    assert wrong["kills"] == wrong["files"] == wrong["faults"] == wrong["precision"] == wrong["memory"] == 0
    assert wrong["calls"] <= 0.02 * tried["calls"]


def test_contexts_of_the_campaign_are_contexts():
    """Each of them changes what torch does outside of the package."""
    seen = set()
    for name, context in precision.CONTEXTS.items():
        with context():
            product = torch.ones(2, 2, device="cpu") @ torch.ones(2, 2, device="cpu")
            made = torch.ones(1)
            modes = product.is_inference(), torch.is_grad_enabled()
            seen.add((name, made.dtype, made.device.type, product.dtype, *modes))
    assert len({told[1:] for told in seen}) == len(precision.CONTEXTS)
    assert ls.Run().autocast is None
