"""What surrounds a call changes nothing within it, and what is frozen stays as it is."""

from __future__ import annotations

import contextlib
import threading
from functools import partial

import pytest
import torch
from torch import nn

import latentsearch as ls
from examples.campaigns import precision, problems
from latentsearch import judge, training
from latentsearch.errors import InvalidArgument
from latentsearch.testing import toys

CONTEXTS = [name for name in precision.CONTEXTS if name != "plain"]
# One of each kind of method, and goals that ask for all that a goal can.
METHODS = ("auto", "langevin", "gibbs", "relaxed", "spherical", "then")
GOALS = ("noise of vectors", "prior of codes", "subject to of codes", "within of vectors", "classified of codes")


@pytest.fixture(scope="module")
def goals():
    return {name: (generator, goal) for name, generator, goal in problems.problems(torch.float32) if name in GOALS}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_context_changes_no_bit(method, context, goals):
    searcher = problems.searchers()[method]
    for name, (generator, goal) in goals.items():
        plain, other = (precision.searched(searcher, generator, goal, around) for around in ("plain", context))
        assert precision.same(plain, other), f"{name}: {other.error or other.refusal}"


@pytest.mark.filterwarnings("ignore::latentsearch.FitWarning")
@pytest.mark.parametrize("context", CONTEXTS)
def test_fits_and_measures_are_the_same_in_any_context(context):
    """Also of what was made within."""
    with training.initialised(0):
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 6)).eval()
    plain = problems.vectors()
    generator = ls.ContinuousGenerator(plain.decode, (6,), encode=net, check=False)
    codes = problems.codes()
    images = torch.rand(220, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    grids = codes.prior.sample(ls.Noise.from_seed(0, 220))

    def fitted():
        mixture = ls.fit_prior(generator, images, seed=0)
        masked = ls.fit_prior(codes, grids, steps=4, seed=0)
        critic = ls.fit_critic(generator, images, (images.mean((1, 2, 3)) > 0.5).long(), steps=4, width=8, seed=0)
        return mixture, masked, critic, judge.critic_auc(images[:40].flatten(1), images[40:].flatten(1), folds=2)

    def told(mixture, masked, critic, auc):
        z = torch.linspace(-1, 1, 12).view(2, 6)
        return mixture.log_prob(z), masked.log_prob(grids[:2]), critic(z), torch.tensor(auc)

    expected = told(*fitted())
    with precision.CONTEXTS[context]():
        parts = fitted()
    assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(expected, told(*parts), strict=True))


@pytest.mark.parametrize("context", ["inference mode", "no_grad", "autocast", "default device"])
def test_what_is_made_within_serves_without(context):
    with training.initialised(0):
        net, book = nn.Conv1d(3, 1, 3, padding=1).eval(), torch.randn(5, 3)
    with precision.CONTEXTS[context]():
        generator = ls.CodebookGenerator(net, book, (6,), used=book[:, 0] < 5)
        goal = ls.Matches(torch.zeros(1, 1, 6, device="cpu"))
        inside = ls.search(generator, goal, seed=0, run=ls.Run(evaluations=60))
    outside = ls.search(generator, goal, seed=0, run=ls.Run(evaluations=60))
    assert torch.equal(inside.latent, outside.latent)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_every_precision_is_searched(dtype):
    """A few of what the campaign tries."""
    exact = {name: (generator, goal) for name, generator, goal in problems.problems(torch.float64) if name in GOALS}
    for name, generator, goal in problems.problems(dtype):
        if name in GOALS:
            for method in METHODS:
                found = precision.searched(problems.searchers()[method], generator, goal, "plain")
                assert not found.error, f"{method} on {name}: {found.error}"
                assert found.result is None or precision.agrees(found.result, *exact[name], dtype)


# -- frozen is a behaviour ---------------------------------------------------------------------------


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(5), nn.BatchNorm1d(5))

    def forward(self, x):
        return self.layers(x)

    def logits(self, x):
        return self.layers(x)


def in_train_mode() -> Normed:
    net = Normed()
    net(torch.zeros(2, 1, 8, 8))
    return net.train()


BEHIND = {
    "a lambda": lambda net: lambda x: net(x),
    "a partial": lambda net: partial(lambda x, model: model(x), model=net),
    "a method": lambda net: net.logits,
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
def test_a_classifier_in_train_mode_is_found_wherever_it_is(behind):
    net = in_train_mode()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    with pytest.raises(InvalidArgument, match=r"BatchNorm1d in train mode, .*call .eval\(\)"):
        ls.search(problems.vectors(), ls.Classified(behind(net), 1), seed=0, run=ls.Run(evaluations=20))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_train_mode_that_changes_nothing_is_taken():
    """A recurrent network needs it on some devices."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).train()
    ls.search(problems.vectors(), ls.Classified(net, 1), seed=0, run=ls.Run(evaluations=20))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_frozen_and_exported_modules_are_classifiers():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    frozen = torch.jit.freeze(torch.jit.script(net))
    exported = torch.export.export(
        net, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: torch.export.Dim("n")},)
    ).module()
    found = [
        ls.search(problems.vectors(), ls.Classified(each, 1), seed=0, run=ls.Run(evaluations=40)).score.loss
        for each in (net, frozen, exported)
    ]
    assert all(torch.allclose(loss, found[0], atol=1e-4) for loss in found)


@pytest.mark.parametrize(
    "change", [lambda x: x.clamp_(0, 2), lambda x: x.div_(2), lambda x: x.view(-1)[:1].zero_() is None or x]
)
def test_what_changes_outputs_in_place_is_told_so(change):
    rule = ls.Satisfies(lambda x: change(x).mean((1, 2, 3)), name="rule")
    with pytest.raises(InvalidArgument, match=r"rule: got a term that changes .* in place.*x.clone\(\)"):
        ls.search(problems.vectors(), rule, seed=0, run=ls.Run(evaluations=20))


def test_a_decoder_that_writes_to_its_argument_writes_to_a_copy():
    base, z = problems.vectors(), torch.full((2, 6), 3.0)
    generator = ls.ContinuousGenerator(lambda z: base.decode(z.div_(2).clamp_(-1, 1)), (6,))
    generator.decode(z)
    assert (z == 3).all()
    result = ls.GradientSearch().search(generator, ls.Matches(problems.image(torch.float32)), seed=0)
    assert torch.equal(result.output, generator.decode(result.latent))


def test_threads_that_wrap_at_once_leave_each_other_alone():
    """Neither weights of another thread's network nor the random state are undone or left seeded."""
    other, errors = nn.Linear(2, 2), []

    # In a list, so that it is nothing of the decoder's.
    jobs = [lambda: (other(torch.zeros(1, 2)), other.weight.data.add_(1))]

    def decoder(z):
        thread = threading.Thread(target=jobs[0])
        thread.start()
        thread.join()
        return z.sum(1, keepdim=True).expand(-1, 4) * 1.0

    def wrap(net: nn.Module) -> None:
        try:
            for _ in range(10):
                ls.ContinuousGenerator(net, (3,))
        except Exception as error:
            errors.append(error)

    weight = other.weight.detach().clone()
    ls.ContinuousGenerator(decoder, (3,))
    assert (other.weight > weight + 0.5).all()
    nets = [nn.Sequential(nn.Linear(3, 4)).eval() for _ in range(4)]
    threads, before = [threading.Thread(target=wrap, args=(net,)) for net in nets], torch.get_rng_state()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and torch.equal(torch.get_rng_state(), before)


# -- one door for what users' code gives -------------------------------------------------------------


@pytest.mark.parametrize("fault", ["a row less", "one row", "a sum", "another axis", "a number", "nothing", "a list"])
@pytest.mark.parametrize("where", ["decoder", "rule"])
def test_another_shape_in_mid_search_keeps_the_best(fault, where):
    from examples.campaigns import faults

    for method, kind in (("gradient", "vectors"), ("evolution", "codes"), ("pursuit", "codes"), ("then", "vectors")):
        outcome, said = faults._tried(problems.searchers()[method], fault, where, kind, at=5)
        assert outcome in ("", "kept by SearchFailed", "kept in a result"), f"{method}: {outcome}: {said}"


def test_a_loss_of_another_dtype_in_mid_search_changes_nothing():
    base, calls = problems.vectors(), [0]

    def rule(x):
        calls[0] += 1
        loss = (x - 0.5).square().mean((1, 2, 3))
        return loss.double() if calls[0] == 15 else loss

    result = ls.GradientSearch().search(base, ls.Satisfies(rule), seed=0, run=ls.Run(evaluations=60))
    assert result.score.loss.dtype == result.trace.loss.dtype == torch.float32
    assert float(result.evaluations) == 60


def test_minus_infinity_does_not_win():
    base, calls = problems.vectors(), [0]

    def rule(x):
        calls[0] += 1
        loss = (x - 0.5).square().mean((1, 2, 3))
        return torch.where(loss > -1, -torch.inf, loss) if calls[0] == 15 else loss

    result = ls.RandomSearch(batch=4).search(base, ls.Satisfies(rule), seed=0, run=ls.Run(evaluations=60))
    assert result.score.loss.isfinite().all() and result.candidates.score.loss.isfinite().all()


def test_global_settings_stay(tmp_path):
    toy = toys.bowl()
    before = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
    with contextlib.suppress(ls.SearchFailed):
        broken = ls.Satisfies(lambda x: x.sum(1), name="rule")
        ls.search(toy.generator, broken, seed=0, run=ls.Run(evaluations=20))
    assert (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()) == before
