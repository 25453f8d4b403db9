"""One search after another: what is handed on, what is left to spend, and what comes back."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import pytest
import torch

import latentsearch as ls
from latentsearch.testing import toys


def again(searcher, **rule):
    """Once more from elsewhere, with all that is left."""
    return ls.Stage(searcher, share=1, start="prior", keep="better", **rule)


def to_its_end(searcher):
    return ls.Stage(searcher, share=1)


def test_the_second_goes_on_from_the_best_of_the_first_within_one_budget():
    toy = toys.codes(problems=4, shape=(3, 3))
    first, second = ls.RandomSearch(batch=10), ls.CoordinateSearch(batch=4)
    alone = first.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=50))
    both = ls.Then(ls.Stage(first, share=0.1), second).search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=500)
    )
    assert torch.equal(both.trace.loss_at(50), alone.score.loss)
    assert (both.score.loss < alone.score.loss).all() and (both.score.loss == 0).all()
    assert (both.evaluations <= 500).all() and torch.equal(both.trace.evaluations[-1], both.evaluations)
    assert {status.name for status in both.status} == {"OPTIMAL"}


def test_solved_problems_are_not_searched_again():
    toy = toys.codes(problems=3)
    goal = toy.constraint.below(1e-9)
    start = toy.solution.clone()
    start[1] = (start[1] + 1) % 5
    both = ls.Then(ls.Stage(ls.RandomSearch(batch=2), share=0.02), ls.CoordinateSearch())
    result = both.search(toy.generator, goal, init=start, seed=0, run=ls.Run(evaluations=200))
    assert [status.name for status in result.status] == ["SATISFIED"] * 3
    assert result.evaluations.tolist()[::2] == [2, 2] and result.evaluations[1] > 4
    assert torch.equal(result.latent, toy.solution)
    assert result.candidates.latent.shape == (3, 1, 2, 2)


def test_restarts_are_handed_on_where_both_have_as_many():
    toy = toys.codes(problems=2, shape=(3, 3))
    seen: list[ls.Step] = []
    random = ls.RandomSearch(batch=3, restarts=3)
    both = ls.Then(ls.Stage(random, share=0.09), ls.CoordinateSearch(restarts=3, batch=4))
    first = random.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=27))
    result = both.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=300, callbacks=[seen.append]))
    assert result.candidates.latent.shape == (2, 3, 3, 3)
    assert (result.candidates.score.loss <= first.candidates.score.loss).all()
    assert [step.number for step in seen] == list(range(1, result.steps + 1))


def test_callbacks_see_the_problems_of_the_whole_run():
    toy = toys.codes(problems=3)
    start = toy.solution.clone()
    start[2] = (start[2] + 1) % 5
    seen: list[list[int]] = []
    both = ls.Then(ls.RandomSearch(batch=2), ls.RandomSearch(batch=2))
    both.search(
        toy.generator, toy.constraint.below(1e-9), init=start, seed=0,
        run=ls.Run(evaluations=8, callbacks=[lambda step: seen.append(step.problem.tolist())]),
    )  # fmt: skip
    assert seen[0] == [0, 1, 2] and seen[-1] == [2]


def test_a_stop_by_a_callback_stops_all():
    toy = toys.codes()
    result = ls.Then(ls.RandomSearch(), ls.CoordinateSearch()).search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(callbacks=[lambda step: True])
    )
    assert result.steps == 1 and {status.name for status in result.status} == {"INTERRUPTED"}


def test_a_failure_in_a_later_stage_loses_nothing():
    toy = toys.codes(problems=3, shape=(3, 3))

    def fails(step: ls.Step) -> None:
        if step.number == 8:
            raise RuntimeError("broken callback")

    both = ls.Then(ls.Stage(ls.RandomSearch(batch=10), share=0.25), ls.CoordinateSearch(batch=4))
    first = ls.RandomSearch(batch=10).search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=50))
    with pytest.raises(ls.SearchFailed, match="broken callback") as caught:
        both.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=200, callbacks=[fails]))
    assert (caught.value.loss < first.score.loss).all()
    decoded = toy.constraint(toy.generator.decode(caught.value.latent), caught.value.latent).loss
    assert torch.equal(decoded, caught.value.loss)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"share": 0.0}, "Stage.share: got 0.0, expected a number in"),
        ({"share": 1.5}, "Stage.share"),
        ({"share": "a"}, "Stage.share"),
        ({"start": "init"}, "Stage.start: got 'init', expected 'best' or 'prior'"),
        ({"only": "uncertified"}, "Stage.only: got 'uncertified', expected 'unsolved' or 'unproven'"),
        ({"keep": True}, "Stage.keep: got True, expected 'last' or 'better'"),
    ],
)
def test_rules_that_do_not_exist_are_refused(rule, message):
    with pytest.raises(ls.InvalidArgument, match=message):
        ls.Stage(ls.RandomSearch(), **rule)
    with pytest.raises(ls.InvalidArgument, match="two or more"):
        ls.Then(ls.RandomSearch())


def test_a_stage_of_a_stage_is_refused_and_told_how_to_say_both():
    """A rule around a rule once dropped the inner one in silence."""
    inner = ls.Stage(ls.RandomSearch(), only="unproven")
    with pytest.raises(ls.InvalidArgument, match=r"expected a searcher; .*replace\(stage, only='unproven'\)"):
        ls.Stage(inner, start="prior")  # type: ignore[arg-type]


def test_rules_go_together():
    """All are proven, so that nothing is spent on drawing anew: the outermost rule is not the only one."""
    toy = toys.codes(problems=3)
    proof, glance = ls.CoordinateSearch(patience=None), ls.RandomSearch()
    alone = proof.search(toy.generator, toy.constraint, seed=0)
    assert {status.name for status in alone.status} == {"OPTIMAL"}
    run, spent = ls.Run(evaluations=300), []
    for rule in ({}, {"only": "unproven"}):
        search = ls.Then(to_its_end(proof), again(glance, **rule))
        spent.append(search.search(toy.generator, toy.constraint, seed=0, run=run).evaluations)
    assert (spent[0] > alone.evaluations).all() and torch.equal(spent[1], alone.evaluations)


def test_who_claims_no_share_has_an_equal_part_of_what_others_leave():
    search = ls.RandomSearch()
    assert ls.Then(search, search).shares == (0.5, 0.5)
    assert ls.Then(ls.Stage(search, share=0.5), search, search).shares == (0.5, 0.25, 0.25)
    assert ls.Then(to_its_end(search), to_its_end(search), search).shares == (1, 1, 0)


def test_a_stage_that_pays_for_no_step_changes_nothing():
    toy = toys.codes(problems=3, shape=(4, 4), codebook_size=16)
    first = ls.RelaxedSearch(steps=20, restarts=4)
    alone = first.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=200))
    both = ls.Then(ls.Stage(first, share=200 / 220), ls.CoordinateSearch(restarts=4))
    result = both.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=220))
    assert torch.equal(result.score.loss, alone.score.loss) and torch.equal(result.latent, alone.latent)
    assert result.status == alone.status


def test_ctrl_c_between_stages_keeps_what_there_is():
    toy = toys.codes()

    class Interrupted:
        """Ctrl-C comes while this one is being set up."""

        def search(self, *arguments: object, **settings: object) -> ls.SearchResult:
            raise KeyboardInterrupt

    first = ls.RandomSearch(batch=5)
    alone = first.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=10))
    both = ls.Then(first, Interrupted(), first)
    result = both.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=30))
    assert {status.name for status in result.status} == {"INTERRUPTED"}
    assert torch.equal(result.latent, alone.latent) and torch.equal(result.evaluations, alone.evaluations)


def test_what_cannot_work_is_refused_before_the_first_stage():
    toy = toys.codes()
    calls: list[ls.Step] = []
    for second, message in ((ls.GradientSearch(), "a Continuous space"),):
        with pytest.raises(ls.Unsupported, match=message):
            ls.Then(ls.RandomSearch(), second).search(
                toy.generator, toy.constraint, seed=0, run=ls.Run(callbacks=[calls.append])
            )
    assert not calls
    with pytest.raises(ls.InvalidArgument, match=r"expected a searcher; write CoordinateSearch\(\)"):
        ls.Then(ls.RandomSearch(), ls.CoordinateSearch)  # type: ignore[arg-type]


def test_another_budget_is_refused_before_a_file_is_touched(tmp_path):
    toy = toys.codes(problems=2, shape=(3, 3))
    both = ls.Then(ls.RandomSearch(batch=5), ls.CoordinateSearch(batch=4, patience=None))

    def search(budget: int) -> ls.SearchResult:
        run = ls.Run(evaluations=budget, checkpoint=tmp_path / "search.safetensors")
        return both.search(toy.generator, toy.constraint, seed=0, run=run)

    whole = search(100)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ls.BrokenFile, match="begun with another budget: stage 0"):
        search(300)
    with pytest.raises(
        ls.BrokenFile, match=r"stage 0 had 50 evaluations a problem.*150.*delete \S*search\.\*\.safetensors"
    ):
        search(300)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    again = search(100)
    assert torch.equal(again.latent, whole.latent) and torch.equal(again.evaluations, whole.evaluations)


def test_a_stage_of_another_search_names_the_files_of_all(tmp_path):
    toy = toys.codes(problems=2, shape=(3, 3))
    random = ls.RandomSearch(batch=5)
    nested = ls.Then(ls.Then(random, random), random)
    run = ls.Run(evaluations=60, checkpoint=tmp_path / "search.safetensors")
    nested.search(toy.generator, toy.constraint, seed=0, run=run)
    with pytest.raises(ls.BrokenFile, match=r"its seeds differ\..*delete \S*/search\.\*\.safetensors$") as caught:
        nested.search(toy.generator, toy.constraint, seed=1, run=run)
    assert str(caught.value).count("a file a stage") == 1
    start = toy.solution
    with pytest.raises(ls.BrokenFile, match="its init differs"):
        nested.search(toy.generator, toy.constraint, init=start, seed=0, run=run)


def test_a_checkpoint_of_a_single_search_is_not_passed_over(tmp_path):
    toy = toys.codes()
    run = ls.Run(evaluations=50, checkpoint=tmp_path / "search.safetensors")
    ls.RandomSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    with pytest.raises(ls.BrokenFile, match="of one stage"):
        ls.Then(ls.RandomSearch(), ls.RandomSearch()).search(toy.generator, toy.constraint, seed=0, run=run)


def test_a_restart_is_taken_where_it_is_better_and_only_there():
    """Straight-through searches get stuck, one here and one there."""
    toy = toys.codes(problems=12)
    once = ls.StraightThroughSearch(lr=0.5)
    twice = ls.Then(to_its_end(once), again(once), again(once))
    start = (toy.solution + 2) % 5
    first = once.search(toy.generator, toy.constraint, init=start, seed=3, run=ls.Run(evaluations=300))
    all_of_it = twice.search(toy.generator, toy.constraint, init=start, seed=3, run=ls.Run(evaluations=300))
    assert bool((all_of_it.score.loss <= first.score.loss).all()) and bool(
        (all_of_it.score.loss < first.score.loss).any()
    )
    same = (all_of_it.latent == first.latent).flatten(1).all(1)
    for b in same.nonzero().flatten().tolist():
        assert all_of_it.status[b] == first.status[b], "who keeps the latent keeps the reason why it ended"
    assert bool((all_of_it.evaluations >= first.evaluations).all()) and bool((all_of_it.evaluations <= 300).all())
    assert torch.equal(all_of_it.trace.evaluations[-1], all_of_it.evaluations)
    assert torch.allclose(all_of_it.trace.loss[-1], all_of_it.score.loss)


def test_a_restart_stays_within_a_hard_limit_and_starts_elsewhere():
    toy = toys.codes(problems=3)
    source = (toy.solution + 2) % 5
    starts = []
    run = ls.Run(
        evaluations=400, callbacks=[lambda step: starts.append(step.latent) if step.latent is not None else None]
    )
    once = ls.CoordinateSearch(batch=4)
    goal = toy.constraint + ls.Within(source, 2)
    result = ls.Then(to_its_end(once), again(once)).search(toy.generator, goal, seed=0, run=run)
    assert bool(((result.latent != source).flatten(1).sum(1) <= 2).all())


def test_of_equals_the_restart_gives_way():
    toy = toys.codes(problems=3)
    proof, glance = ls.CoordinateSearch(patience=None), ls.RandomSearch(batch=2)
    both = ls.Then(to_its_end(proof), again(ls.Then(to_its_end(proof), glance)))
    first = proof.search(toy.generator, toy.constraint, seed=0)
    result = both.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=300))
    assert torch.equal(result.score.loss, first.score.loss) and bool((result.evaluations > first.evaluations).all())
    assert {status.name for status in result.status} == {"OPTIMAL"}


def test_certificates_are_paid_for_once_and_only_where_they_are_lacking():
    toy = toys.codes(problems=3, shape=(3, 3))
    start = (toy.solution + 1) % 5
    start[0] = toy.solution[0]
    proof = ls.CoordinateSearch(batch=8, patience=None)
    first = proof.search(toy.generator, toy.constraint, init=start, seed=0, run=ls.Run(evaluations=80))
    assert [status.name for status in first.status] == ["OPTIMAL", "BUDGET", "BUDGET"]
    both = ls.Then(ls.Stage(proof, share=80 / 300), ls.Stage(proof, only="unproven"))
    result = both.search(toy.generator, toy.constraint, init=start, seed=0, run=ls.Run(evaluations=300))
    assert {status.name for status in result.status} == {"OPTIMAL"}
    more = result.evaluations > first.evaluations
    assert more.tolist() == [False, True, True] and bool((result.evaluations <= 300).all())


def test_going_further_loses_no_certificate_and_keeps_what_is_better():
    toy = toys.codes(problems=8, shape=(4, 4), codebook_size=16)
    shallow, deep = ls.CoordinateSearch(batch=4, patience=8), ls.CoordinateSearch(batch=16, patience=None)
    alone = shallow.search(toy.generator, toy.constraint, seed=0)
    both = ls.Then(to_its_end(shallow), ls.Stage(deep, keep="better"))
    result = both.search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=alone.evaluations.tolist()[0] + 200)
    )
    better = result.score.loss < alone.score.loss
    assert bool(better.any()) and bool((result.score.loss <= alone.score.loss).all())
    for ended, before, moved in zip(result.status, alone.status, better.tolist(), strict=True):
        assert moved or ended is before


class _LastBit:
    """A search that finds its start again, with a loss that differs in the last bit."""

    def __init__(self, status: ls.Status, sign: float) -> None:
        self.status, self.sign = status, sign

    def search(self, generator, constraint, *, init=None, seed=None, run=None):
        found = ls.RandomSearch(batch=1).search(generator, constraint, init=init, seed=seed, run=ls.Run(steps=1))
        loss = found.score.loss * (1 + self.sign * 2**-22)
        score = ls.Score(loss, found.score.satisfied)
        return replace(found, latent=init.view_as(found.latent), score=score, status=(self.status,) * len(loss))


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_last_bit_of_a_loss_neither_gives_nor_takes_a_certificate(sign):
    toy = toys.codes(problems=3, shape=(4, 4), codebook_size=16)
    start = (toy.solution + 1) % 16
    first, proof = _LastBit(ls.Status.STALLED, 0.0), _LastBit(ls.Status.OPTIMAL, sign)
    both = ls.Then(to_its_end(first), proof).search(toy.generator, toy.constraint, init=start, seed=0)
    assert {status.name for status in both.status} == {"OPTIMAL"}
    more = ls.Stage(_LastBit(ls.Status.BUDGET, sign), keep="better")
    kept = ls.Then(to_its_end(first), more).search(toy.generator, toy.constraint, init=start, seed=0)
    assert {status.name for status in kept.status} == {"STALLED"}


def test_who_stalled_is_out_of_budget_where_the_next_would_go_on_and_cannot():
    toy = toys.codes(problems=3, shape=(4, 4), codebook_size=16)
    first, second = ls.CoordinateSearch(batch=4, patience=8), ls.CoordinateSearch(batch=64, patience=64)
    alone = first.search(toy.generator, toy.constraint, seed=0)
    assert {status.name for status in alone.status} == {"STALLED"}
    budget = int(alone.evaluations.max()) + 1
    both = ls.Then(to_its_end(first), second)
    result = both.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=budget))
    assert (result.score.loss <= alone.score.loss).all()
    unpaid = (budget - alone.evaluations < second.step_cost(toy.generator.space)).tolist()
    assert any(unpaid)
    assert all(status is ls.Status.BUDGET for status, poor in zip(result.status, unpaid, strict=True) if poor)


@pytest.mark.parametrize("interrupt", [False, True])
@pytest.mark.parametrize("at", [20, 21, 22])
def test_a_stop_at_any_step_ends_the_stages_that_are_to_come(at, interrupt):
    """Step 21 is the last of the first stage: all its problems have ended, and none is there to be interrupted."""
    toy = toys.codes(shape=(3, 3), codebook_size=7)

    def stop(step):
        if step.number == at and interrupt:
            raise KeyboardInterrupt
        return step.number == at

    both = ls.Then(ls.RelaxedSearch(steps=20), ls.RandomSearch())
    run = ls.Run(evaluations=400, callbacks=[stop])
    result = both.search(toy.generator, toy.constraint.below(-1.0), seed=0, run=run)
    assert result.steps == at and {status.name for status in result.status} == {"INTERRUPTED"}


def test_restarts_handed_on_are_those_of_the_problem_whatever_its_neighbours_do():
    """A neighbour that is satisfied at once, or finds nothing better, once took all but the best from all."""
    toy = toys.codes(problems=4, shape=(3, 3), codebook_size=7)
    goal = toy.constraint.below(1e-6)
    start = (toy.solution + 1) % 7
    start[0] = toy.solution[0]
    three = {"restarts": 3}
    search = ls.Then(
        ls.Stage(ls.JacobiSearch(**three), share=0.2),
        ls.Stage(ls.StraightThroughSearch(lr=0.05, **three), share=0.2),
        ls.CoordinateSearch(**three),
    )  # fmt: skip
    run, seeds = ls.Run(evaluations=400), [3, 4, 5, 6]
    together = search.search(toy.generator, goal, init=start, seed=seeds, run=run)
    assert together.candidates.latent.shape[1] == 3
    for b in range(4):
        index = torch.tensor([b])
        alone = search.search(toy.generator, goal.select(index), init=start[index], seed=seeds[b : b + 1], run=run)
        assert torch.equal(alone.latent[0], together.latent[b]) and alone.evaluations[0] == together.evaluations[b]
        assert alone.status[0] is together.status[b]


def test_stages_of_stages_have_noise_of_their_own():
    toy = toys.codes(problems=2, shape=(4, 4), codebook_size=16)

    @dataclass(frozen=True)
    class Noted:
        """A search that says which seeds it was given."""

        def search(self, generator, constraint, *, init=None, seed=None, run=None):
            seen.append(tuple(seed))
            return ls.RandomSearch(batch=2).search(generator, constraint, init=init, seed=seed, run=run)

    def nested(depth):
        return Noted() if depth == 0 else ls.Then(nested(depth - 1), nested(depth - 1))

    seen: list[tuple[int, ...]] = []
    nested(3).search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=200))
    assert len(seen) == 8 and len(set(seen)) == 8


TOY = toys.codes(problems=3, shape=(5, 5), codebook_size=32)


def names(result):
    return [status.name for status in result.status]


@pytest.mark.parametrize("first", [ls.CoordinateSearch(), ls.RandomSearch(restarts=2)], ids=repr)
def test_stages_of_a_stage_have_the_restarts_of_its_first(first):
    inner = ls.Then(ls.RelaxedSearch(restarts=2), ls.CoordinateSearch())
    result = ls.Then(first, inner).search(TOY.generator, TOY.constraint, seed=0, run=ls.Run(evaluations=600))
    assert result.candidates.latent.shape == (3, 1, 5, 5) and (result.evaluations <= 600).all()


def test_callbacks_see_the_rows_of_stages_of_stages():
    seen = []
    search = ls.RandomSearch(restarts=3)
    run = ls.Run(evaluations=120, callbacks=[lambda step: seen.append(step.row.tolist())])
    ls.Then(ls.Then(search, search), search).search(TOY.generator, TOY.constraint, seed=0, run=run)
    assert seen[0] == seen[-1] == list(range(9))


def test_a_stage_without_a_step_to_take_says_that_it_was_cut_short():
    first, one = ls.CoordinateSearch(batch=4, patience=4), TOY.constraint.select(torch.tensor([0]))
    steps = first.search(TOY.generator, one, seed=[5], run=ls.Run(evaluations=None)).steps
    both = ls.Then(to_its_end(first), ls.CoordinateSearch())
    assert names(both.search(TOY.generator, one, seed=[5], run=ls.Run(evaluations=None, steps=steps))) == ["BUDGET"]


def test_a_better_certificate_of_the_same_grid_is_taken():
    further = ls.Stage(ls.CoordinateSearch(batch=64, patience=None), keep="better")
    search = ls.Then(ls.Stage(ls.RandomSearch(), share=0.02), further)
    result = search.search(TOY.generator, TOY.constraint, init=TOY.solution, seed=0, run=ls.Run(evaluations=2000))
    assert names(result) == ["OPTIMAL"] * 3


@pytest.mark.parametrize(
    "wrong", [again(ls.GradientSearch()), ls.Then(ls.GradientSearch(), ls.RandomSearch())], ids=repr
)
def test_stages_that_cannot_work_are_refused_before_the_first_begins(wrong):
    with pytest.raises(ls.Unsupported):
        ls.Then(ls.RandomSearch(), wrong).search(TOY.generator, TOY.constraint, seed=0)


def test_a_stop_at_the_last_step_of_all_takes_no_certificate():
    search = ls.Then(to_its_end(ls.CoordinateSearch()), ls.Stage(ls.CoordinateSearch(), only="unproven"))
    whole = search.search(TOY.generator, TOY.constraint, seed=0, run=ls.Run(evaluations=None))
    run = ls.Run(evaluations=None, callbacks=[lambda step: step.number == whole.steps])
    assert names(search.search(TOY.generator, TOY.constraint, seed=0, run=run)) == names(whole)


def test_a_later_stage_is_asked_about_generator_and_goal_before_the_first_begins():
    """A searcher's own check sees both: this one's bound takes no hard limit."""
    goal, calls = TOY.constraint + ls.Within(TOY.solution, 2), []
    search = ls.Then(ls.RandomSearch(), ls.BranchAndBoundSearch())
    with pytest.raises(ls.Unsupported):
        search.search(TOY.generator, goal, seed=0, run=ls.Run(callbacks=[calls.append]))
    assert not calls


def test_what_a_stage_of_stages_answers_follows_from_its_parts():
    inner = ls.Then(ls.CoordinateSearch(restarts=3, batch=4), ls.RandomSearch(batch=5))
    outer = ls.Then(ls.Then(inner, ls.RandomSearch()), ls.RandomSearch())
    problem = ls.Problem(TOY.generator, TOY.constraint, None, (1, 2, 3))
    assert (outer.restarts, outer.leaves, outer.least_evaluations(problem)) == (3, 4, 5)
    assert ls.Then(ls.RandomSearch(), ls.AutoSearch()).least_evaluations(problem) == 0, "of AutoSearch it is not known"


def test_a_run_is_looked_at_before_anything_is_decoded(tmp_path):
    def decode(e):
        raise AssertionError("nothing is to be decoded")

    for search in (ls.RandomSearch(), ls.AutoSearch(), ls.Then(ls.RandomSearch(), ls.RandomSearch())):
        generator = copy.copy(TOY.generator)
        generator.decode_embedding = decode
        with pytest.raises(ls.InvalidArgument, match="one for each of 3 problems"):
            search.search(generator, TOY.constraint, seed=0, run=ls.Run(evaluations=[5, 5]))
        with pytest.raises(ls.InvalidArgument, match="seed: got None with a checkpoint"):
            search.search(generator, TOY.constraint, run=ls.Run(checkpoint=tmp_path / "search.safetensors"))
