"""Plans, optimisers in turns, averages, the best weights, streams of batches, and what tells fits apart."""

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import latentsearch as ls
from latentsearch._identity import describe_structure
from latentsearch.result import Status
from latentsearch.training import Entry, Fit, Group, cosine, evaluate, fit, initialised

SGD = functools.partial(torch.optim.SGD, lr=0.1)
DATA = ls.Noise.from_seed(0).normal(40, 3)[0]
PLAN = Fit(steps=12, batch_size=8, log_every=4)


class Regression(nn.Module):
    """To predict zero, without a ``settings`` attribute; it draws, to see that noise is the same after a resume."""

    def __init__(self, beta: object = 1.0) -> None:
        super().__init__()
        self.beta, self.layer, self.batch_norm = beta, nn.Linear(3, 2), nn.BatchNorm1d(2)

    def training_terms(self, rows, noise):
        out = self.batch_norm(self.layer(rows["rows"] if isinstance(rows, dict) else rows))
        draw = noise.normal(*out.shape)[0]
        return {"fit": (out + 0.1 * draw).square().mean(), "size": self.layer.weight.square().sum()}


class Pair(nn.Module):
    """A critic and an actor, each with a loss of its own in which the other's weights appear."""

    def __init__(self) -> None:
        super().__init__()
        self.critic, self.actor, self.asked = nn.Linear(3, 1), nn.Linear(3, 3), []

    def training_terms(self, rows, noise):
        def critic():
            self.asked.append("critic")
            return {"loss": (self.critic(self.actor(rows)) - 1).square().mean()}

        def actor():
            self.asked.append("actor")
            return {"loss": self.critic(self.actor(rows)).mean(), "size": self.actor.weight.square().sum()}

        return {"critic": critic, "actor": actor}


def made(kind=Regression, *arguments):
    with initialised(0):
        return kind(*arguments)


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


class Killed(Exception):
    pass


def kill_at(step):
    def kill(entry: Entry) -> None:
        if entry.step == step:
            raise Killed

    return kill


TURNS = {
    "critic": Group(lambda model: model.critic.parameters(), SGD, steps=3),
    "actor": Group(lambda model: model.actor.parameters(), functools.partial(torch.optim.RMSprop, lr=0.01)),
}


# -- resuming ------------------------------------------------------------------------------------------


@dataclass
class Loud(torch.utils.data.Dataset):
    """A data set that draws, as augmentation does."""

    rows: torch.Tensor

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return (self.rows[index] + torch.randn(3),)


SOURCES = {
    "tensors": (DATA,),
    "data set": Loud(DATA),
    "loader": DataLoader(TensorDataset(DATA), batch_size=8, shuffle=True),
    "stream": lambda step, noise: noise.normal(8, 3)[0] + step,
    "list of batches": [(part,) for part in DATA.split(8)],
    "batches by name": [({"rows": part},) for part in DATA.split(8)],
}
PLANS = {
    "plain": PLAN,
    "average": replace(PLAN, average=0.5),
    "best": replace(PLAN, best="fit"),
    "average, best": replace(PLAN, average=0.5, best="sum"),
    "clip, momentum": replace(PLAN, clip=0.1, schedule=None, optimizer=functools.partial(SGD, momentum=0.9)),
    "between entries": replace(PLAN, checkpoint_every=3, log_every=5),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", PLANS)
def test_a_killed_fit_ends_where_one_that_was_not_ends(name, source, tmp_path):
    plan, data, whole = PLANS[name], SOURCES[source], made()
    history = fit(whole, data, plan, validation=(DATA,), seed=3)
    saved = replace(plan, checkpoint=tmp_path / "fit")
    with pytest.raises(Killed):
        fit(made(), data, replace(saved, callbacks=[kill_at(2 * plan.log_every)]), validation=(DATA,), seed=3)
    torch.rand(1)  # loaders draw from the global state, which is another by now
    resumed = made()
    assert fit(resumed, data, saved, validation=(DATA,), seed=3) == history
    assert_same(whole, resumed)
    again = made()
    assert fit(again, data, saved, validation=(DATA,), seed=3) == history
    assert_same(whole, again)


def test_groups_resume_too(tmp_path):
    plan = Fit(steps=14, batch_size=8, optimizer=TURNS, log_every=5, average=0.9)
    whole, resumed = made(Pair), made(Pair)
    history = fit(whole, (DATA,), plan)
    saved = replace(plan, checkpoint=tmp_path / "fit", callbacks=[lambda entry: entry.step == 10])
    assert fit(made(Pair), (DATA,), saved).status == Status.INTERRUPTED
    assert fit(resumed, (DATA,), replace(saved, callbacks=())) == history
    assert_same(whole, resumed)


# -- what a plan says ----------------------------------------------------------------------------------


def test_schedule_clip_and_average_are_what_they_say():
    model, plan = made(), Fit(steps=3, batch_size=40, optimizer=SGD, clip=0.01, average=0.75)
    with torch.no_grad():
        expected, average = made(), None
    for step in range(3):
        noise = ls.Noise.from_seed(0)
        order = noise.fold(2).fold(step).uniform(40)[0].argsort()
        terms = expected.train().training_terms(DATA[order], noise.fold(1).fold(step))
        expected.zero_grad()
        sum(terms.values()).backward()
        norm = torch.cat([p.grad.flatten() for p in expected.parameters()]).norm()
        with torch.no_grad():
            for p in expected.parameters():
                p -= 0.1 * cosine(step, 3) * p.grad * (0.01 / norm)
            now = [p.clone() for p in expected.parameters()]
            average = now if average is None else [0.75 * a + 0.25 * b for a, b in zip(average, now, strict=True)]
    fit(model, (DATA,), plan)
    for mine, averaged in zip(model.parameters(), average, strict=True):
        torch.testing.assert_close(mine, averaged)
    torch.testing.assert_close(model.batch_norm.running_mean, expected.batch_norm.running_mean)


def test_parameter_groups_have_settings_of_their_own():
    model, first = made(), made()
    slow = Group(lambda m: [{"params": m.layer.parameters(), "lr": 0.0}, {"params": m.batch_norm.parameters()}], SGD)
    fit(model, (DATA,), replace(PLAN, optimizer=slow))
    assert torch.equal(model.layer.weight, first.layer.weight)
    assert not torch.equal(model.batch_norm.weight, first.batch_norm.weight)


def test_groups_take_turns_and_move_their_own_weights_alone():
    model, seen = made(Pair), []

    def look(entry: Entry) -> None:
        seen.append([p.clone() for p in (model.critic.weight, model.actor.weight)])

    before = [p.clone() for p in (model.critic.weight, model.actor.weight)]
    history = fit(model, (DATA,), Fit(steps=8, batch_size=8, optimizer=TURNS, log_every=1, callbacks=[look]))
    assert model.asked == ["critic", "critic", "critic", "actor"] * 2
    moved = [
        [not torch.equal(a, b) for a, b in zip(*pair, strict=True)] for pair in zip([before, *seen], seen, strict=False)
    ]
    assert moved == ([[True, False]] * 3 + [[False, True]]) * 2
    assert {name: len(values) for name, values in history.train.items()} == {
        "critic.loss": 6, "actor.loss": 2, "actor.size": 2,
    }  # fmt: skip
    assert sorted(evaluate(model, (DATA,))) == ["actor.loss", "actor.size", "critic.loss"]


def test_the_best_weights_are_kept_and_patience_ends_the_fit():
    class Walk(nn.Module):
        """Goes down to 3 and up again."""

        def __init__(self):
            super().__init__()
            self.at = nn.Parameter(torch.tensor(10.0))

        def training_terms(self, rows, noise):
            return {"way": self.at} if self.training else {"distance": (self.at - 3).abs(), "other": self.at * 0 + 1}

    plan = Fit(steps=30, batch_size=4, optimizer=functools.partial(torch.optim.SGD, lr=1.0), schedule=None, log_every=1)
    last, best, short = Walk(), Walk(), Walk()
    fit(last, (DATA,), plan, validation=(DATA,))
    assert last.at == -20
    history = fit(best, (DATA,), replace(plan, best="distance"), validation=(DATA,))
    assert (best.at, history.best, history.step[-1], history.status) == (3, 7, 30, Status.FINISHED)
    history = fit(short, (DATA,), replace(plan, best="sum", patience=4), validation=(DATA,))
    assert (short.at, history.best, history.step[-1], history.status) == (3, 7, 11, Status.STALLED)
    with pytest.raises(ls.InvalidArgument, match=r"\['distance', 'other'\]"):
        fit(Walk(), (DATA,), replace(plan, best="distanse"), validation=(DATA,))
    with pytest.raises(ls.InvalidArgument, match="validation"):
        fit(Walk(), (DATA,), replace(plan, best="sum"))


def test_a_longer_fit_goes_on_where_no_schedule_depends_on_its_length(tmp_path):
    plan, whole, grown = replace(PLAN, schedule=None, checkpoint=tmp_path / "fit"), made(), made()
    fit(made(), (DATA,), replace(plan, steps=8))
    fit(grown, (DATA,), plan)
    fit(whole, (DATA,), replace(plan, checkpoint=None))
    assert_same(whole, grown)


# -- Ctrl-C --------------------------------------------------------------------------------------------


def test_ctrl_c_between_steps_saves_what_was_learnt(tmp_path):
    def interrupt(entry: Entry) -> None:
        if entry.step == 8:
            raise KeyboardInterrupt

    plan, whole, stopped, resumed = replace(PLAN, checkpoint=tmp_path / "fit"), made(), made(), made()
    history = fit(stopped, (DATA,), replace(plan, callbacks=[interrupt]))
    assert history.status == Status.INTERRUPTED and history.step == [4, 8] and not stopped.training
    fit(resumed, (DATA,), plan)
    fit(whole, (DATA,), PLAN)
    assert_same(whole, resumed)


def test_ctrl_c_in_a_step_leaves_the_checkpoint_before_it(tmp_path):
    class Interrupted(Regression):
        def training_terms(self, rows, noise):
            terms = super().training_terms(rows, noise)
            if int(self.batch_norm.num_batches_tracked) == 7 and self.training and stop:
                raise KeyboardInterrupt
            return terms

    plan, whole, resumed, stop = replace(PLAN, checkpoint=tmp_path / "fit"), made(Interrupted), made(Interrupted), True
    assert fit(made(Interrupted), (DATA,), plan).status == Status.INTERRUPTED
    stop = False
    fit(resumed, (DATA,), plan)
    fit(whole, (DATA,), PLAN)
    assert_same(whole, resumed)


# -- whose checkpoint it is ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    beta: float


class Slotted:
    __slots__ = ("beta",)

    def __init__(self, beta):
        self.beta = beta


def scaled(beta):
    return lambda x: beta * x


@pytest.mark.parametrize(
    "setting",
    [lambda b: b, str, Setting, Slotted, scaled, lambda b: functools.partial(torch.mul, b), lambda b: torch.tensor([b]),
     lambda b: [{"deep": (b,)}], lambda b: torch.tensor(b).numpy()[()], Regression],
    ids=["number", "text", "dataclass", "slots", "function", "partial", "tensor", "nested", "numpy", "module"],
)  # fmt: skip
def test_another_setting_of_any_kind_is_another_fit(setting, tmp_path):
    plan = replace(PLAN, steps=2, checkpoint=tmp_path / "fit")
    for _ in range(2):
        fit(made(Regression, setting(1.0)), (DATA,), plan)
    with pytest.raises(ls.BrokenFile, match="another fit: its model differs"):
        fit(made(Regression, setting(50.0)), (DATA,), plan)


def test_other_plans_data_and_seeds_are_other_fits(tmp_path):
    plan = replace(PLAN, checkpoint=tmp_path / "fit")
    fit(made(), (DATA,), plan)
    others = {
        "optimizer": replace(plan, optimizer=SGD),
        "schedule": replace(plan, schedule=None),
        "batch size": replace(plan, batch_size=9),
        "clip": replace(plan, clip=1.0),
        "average": replace(plan, average=0.9),
    }
    for name, other in others.items():
        with pytest.raises(ls.BrokenFile, match=f"its {name} differs"):
            fit(made(), (DATA,), other)
    with pytest.raises(ls.BrokenFile, match="its data and seed differ"):
        fit(made(), (DATA + 1,), plan, seed=1)
    # How often it is logged is no part of what it is.
    fit(made(), (DATA,), replace(plan, log_every=3))


def test_structure_does_not_depend_on_weights_or_mode():
    model, other = made(), Regression()
    before = describe_structure(model)
    fit(model, (DATA,), PLAN)
    assert describe_structure(model) == describe_structure(model.train()) == describe_structure(other) == before
    assert describe_structure(other.requires_grad_(False)) != before


def test_structure_of_parts_that_refer_to_the_whole():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    object.__setattr__(model[0], "whole", model)
    model.again = [model, model[0].forward]
    assert describe_structure(model) == describe_structure(model) and len(describe_structure(model)) < 2000


def test_structure_is_the_same_in_another_process():
    script = (
        "from latentsearch import models\nfrom latentsearch._identity import describe_structure\n"
        "from latentsearch.relaxations import DirectArgmax\n"
        "width = 3.0\n"
        "build = lambda w: (lambda epsilon: DirectArgmax(-epsilon * w))\n"
        "print(describe_structure(models.MixedVAE((1, 4, 4), widths=(8, 8, 8, 8), estimator=build(width))))\n"
        "print(describe_structure(models.VQVAE((1, 8, 8), channels=8)))\n"
    )
    run = [sys.executable, "-c", script]
    first, second = (subprocess.run(run, check=True, capture_output=True, text=True).stdout for _ in range(2))
    assert first == second and "categories=10" in first


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": lambda parameters: 3}, "factory of int"),
        ({"optimizer": functools.partial(torch.optim.SGD, lr=-1)}, "fails with ValueError"),
        ({"optimizer": torch.optim.LBFGS}, "closure"),
        ({"optimizer": Group(lambda model: [])}, "no parameters"),
        ({"optimizer": Group(lambda model: [torch.zeros(2, requires_grad=True)])}, "not the model's"),
        ({"optimizer": {"a": Group()}}, "'a'"),
    ],
)
def test_optimizers_that_cannot_serve_are_refused(change, message):
    with pytest.raises(ls.InvalidArgument, match=message):
        fit(made(), (DATA,), replace(PLAN, **change))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": {}}, "Group"),
        ({"optimizer": {"": Group()}}, "by name"),
        ({"optimizer": "adam"}, "Group"),
        ({"schedule": 0.5}, "schedule"),
        ({"callbacks": print}, "callbacks"),
        ({"patience": 3}, "best"),
        ({"checkpoint": "."}, "folder"),
    ],
)
def test_plans_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ls.InvalidArgument, match=message):
        Fit(steps=1, **settings)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (iter([(DATA,)]), "begins anew"),
        (Loud(DATA[:0]), "empty data set"),
        (3, "DataLoader"),
        ([], "rows"),
        (DataLoader(TensorDataset(DATA), batch_size=80, drop_last=True), "empty DataLoader"),
    ],
)
def test_data_that_make_no_batches_are_refused(data, message):
    with pytest.raises(ls.InvalidArgument, match=message):
        fit(made(), data, PLAN)


def test_terms_that_are_no_scalars_are_refused():
    class Rows(Regression):
        def training_terms(self, rows, noise):
            return {"fit": self.layer(rows).square().mean(1)}

    with pytest.raises(ls.InvalidArgument, match="scalar"):
        fit(made(Rows), (DATA,), PLAN)
    with pytest.raises(ls.InvalidArgument, match="scalar"):
        fit(made(Pair), (DATA,), PLAN)


@pytest.mark.parametrize("source", SOURCES)
def test_global_randomness_is_left_alone(source):
    before = torch.get_rng_state()
    fit(made(), SOURCES[source], PLAN, validation=Loud(DATA))
    assert torch.equal(torch.get_rng_state(), before)


def test_progress_is_shown(capsys):
    fit(made(), (DATA,), replace(PLAN, progress=True))
    assert "fit" in capsys.readouterr().err
