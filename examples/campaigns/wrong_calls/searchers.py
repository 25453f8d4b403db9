"""Wrong settings of searchers, and searches of what they cannot search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import latentsearch as ls
from examples.campaigns.wrong_calls.kit import (
    CODES,
    FEW,
    LINE,
    NEAR_CODES,
    NEAR_LINE,
    RUN,
    Case,
    Codes,
    choices,
    encoded,
    integers,
    numbers,
    pairs,
    settings_of,
    small_grid_decoder,
    switches,
    without_gradient,
)
from latentsearch import bounds, critics
from latentsearch.searchers import Plan

ON_LINE: tuple[type, ...] = (
    ls.HalvingSearch,
    ls.GradientSearch,
    ls.SphericalSearch,
    ls.CMAESSearch,
    ls.EllipticalSliceSearch,
    ls.MALASearch,
)
ON_CODES: tuple[type, ...] = (
    ls.GibbsSearch,
    ls.SplitGibbsSearch,
    ls.SMCSearch,
    ls.RelaxedSearch,
    ls.CoordinateSearch,
    ls.BanditSearch,
    ls.ColouredSearch,
    ls.PursuitSearch,
    ls.JacobiSearch,
    ls.StraightThroughSearch,
    ls.SinglePositionSearch,
    ls.EvolutionSearch,
    ls.ExhaustiveSearch,
    ls.BranchAndBoundSearch,
)
BOUNDED = ls.CodebookGenerator(small_grid_decoder(), torch.rand(5, 3), (2, 2), check=False)
ON_BOTH: tuple[type, ...] = (ls.ImportanceResampling, ls.LangevinSearch, ls.RandomSearch)

# Settings of which 0 means something: no exploration, no refill, no sweep, a chain kept from its first state on.
FROM_ZERO = {"explore", "refills", "burn_in", "patience", "probes", "sweeps"}
# Settings that must be numbers, and what of them is out of range.
RANGES: dict[tuple[type, str], tuple[float, ...]] = {
    (ls.CMAESSearch, "sigma"): (0.0, -1.0),
    (ls.BanditSearch, "exploration"): (-1.0,),
    (ls.SphericalSearch, "lr"): (-1.0,),
    (ls.SphericalSearch, "noise"): (-1.0,),
    (ls.LangevinSearch, "acceptance"): (-0.1, 1.5),
    (ls.RelaxedSearch, "curvature"): (-1.0,),
    (ls.StraightThroughSearch, "lr"): (-1.0,),
    (ls.GradientSearch, "tolerance"): (-1.0,),
}


def build(kind: type, **settings: Any) -> Any:
    """A searcher's answer to a small problem of a space that it searches."""
    generator, goal = _problem(kind)
    return kind(**settings).search(generator, goal, seed=0, run=RUN)


def _problem(kind: type) -> tuple[Any, Any]:
    if kind in (ls.EllipticalSliceSearch, ls.ImportanceResampling, ls.MALASearch):
        return LINE, ls.Matches(torch.zeros(2, 4), noise=0.5) + ls.LogPrior(LINE.prior)
    if kind in (ls.GibbsSearch, ls.SplitGibbsSearch, ls.SMCSearch):
        return CODES, ls.Matches(torch.zeros(2, 2, 2), noise=0.5) + ls.LogPrior(CODES.prior)
    if kind is ls.ColouredSearch:
        return Codes((6, 6)), ls.Matches(torch.zeros(2, 6, 6))
    if kind is ls.BranchAndBoundSearch:
        return BOUNDED, ls.Matches(torch.zeros(2, 1, 8, 8))
    return (LINE, NEAR_LINE) if kind in ON_LINE else (CODES, NEAR_CODES)


def _setting(kind: type, name: str) -> Callable[[Any], Any]:
    return lambda value: build(kind, **{name: value})


def _of_fields(kind: type) -> list[Case]:
    cases: list[Case] = []
    for name, written in settings_of(kind).items():
        call, what, optional = _setting(kind, name), kind.__name__, "None" in written
        if written.startswith("int"):
            least = (
                0 if name in FROM_ZERO or (kind in (ls.GibbsSearch, ls.SplitGibbsSearch) and name == "reveals") else 1
            )
            cases += integers(what, name, call, least=least, optional=optional)
        elif written.startswith("float"):
            cases += numbers(what, name, call, below=RANGES.get((kind, name), ()), optional=optional)
        elif written == "bool":
            cases += switches(what, name, call)
        elif written.startswith("tuple[float, float]"):
            cases += pairs(what, name, call)
    return cases


def _parameter() -> torch.Tensor:
    return torch.zeros(1, requires_grad=True)


def _optimizers(kind: type) -> list[Case]:
    name = kind.__name__

    def case(of: str, optimizer: Any, *tells: str) -> Case:
        return Case(f"{name}(optimizer={of})", lambda: build(kind, optimizer=optimizer), ("optimizer", *tells))

    remedy = r"partial\(torch\.optim|lambda|factory"
    return [
        case("an optimiser", torch.optim.Adam([_parameter()]), "Adam", remedy),
        case("its name", "Adam", "Adam", remedy),
        case("a number", 0.1, "0\\.1", remedy),
        case("a list", [torch.optim.Adam], remedy),
        case("no optimiser's factory", lambda parameters: parameters, "list", "torch.optim|optimi[sz]er"),
        case("a network", torch.nn.Linear(1, 1), "Linear", remedy),
    ]


def _plainly(kind: type, generator: Any, goal: Any) -> Callable[[], Any]:
    return lambda: kind().search(generator, goal, seed=0, run=RUN)


def _wrong_space() -> list[Case]:
    codes, vectors = r"codes|discrete", r"continuous|ls\.search"
    on_codes = [
        Case(f"{kind.__name__} on codes", _plainly(kind, CODES, NEAR_CODES), (kind.__name__, "continuous", codes))
        for kind in ON_LINE
    ]
    return on_codes + [
        Case(f"{kind.__name__} on vectors", _plainly(kind, LINE, NEAR_LINE), (kind.__name__, codes, vectors))
        for kind in ON_CODES
    ]


def _without_gradient() -> list[Case]:
    kinds: tuple[type, ...] = (ls.HalvingSearch, ls.GradientSearch, ls.SphericalSearch, ls.RelaxedSearch)
    kinds += (ls.StraightThroughSearch, ls.CoordinateSearch, ls.LangevinSearch)
    tells = ("gradient|differentiable", "steps", r"CMAES|RandomSearch|Evolution|ls\.search|without (a )?gradient")
    return [
        Case(f"{kind.__name__} without a gradient", _plainly(kind, LINE if kind in ON_LINE else CODES, goal), tells)
        for kind in kinds
        for goal in (without_gradient(),)
    ]


def _search(**changes: Any) -> Callable[[], Any]:
    settings: dict[str, Any] = {"generator": LINE, "constraint": NEAR_LINE, "seed": 0, "run": RUN} | changes
    return lambda: ls.search(**settings)


def _on_codes(**changes: Any) -> Callable[[], Any]:
    return _search(**({"generator": CODES, "constraint": NEAR_CODES} | changes))


def _inits() -> list[Case]:
    line, codes = torch.zeros(2, 4), torch.zeros(2, 2, 2, dtype=torch.long)
    beyond = ls.Within(torch.zeros(2, 4), radius=0.5)
    shape, grid = r"\(.*4.*\)", r"\(.*2, 2.*\)"
    return [
        Case("init of another width", _search(init=torch.zeros(2, 5)), ("init", r"2, 5", shape)),
        Case("init of another rank", _search(init=torch.zeros(4)), ("init", r"\(4,\)", r"2, 4|N, 4|B, \*S|1, ")),
        Case("init of another count", _search(init=torch.zeros(3, 4)), ("init", r"3, 4", "2")),
        Case("init with no rows", _search(init=torch.zeros(0, 4)), ("init", r"0, 4", "2")),
        Case("init of NaN", _search(init=line * float("nan")), ("init", "nan|finite")),
        Case("init of infinity", _search(init=line + float("inf")), ("init", "inf|finite")),
        Case("init of whole numbers", _search(init=line.long()), ("init", "int64", "float")),
        Case("init of bools", _search(init=line.bool()), ("init", "bool", "float")),
        Case("init complex", _search(init=line.to(torch.complex64)), ("init", "complex", "float")),
        Case("init a list", _search(init=[[0.0] * 4] * 2), ("init", "list", "tensor")),
        Case("init an array", _search(init=line.numpy()), ("init", "ndarray|numpy", "tensor|from_numpy")),
        Case("init a number", _search(init=0), ("init", "0|int", "tensor")),
        Case("init on another device", _search(init=line.to("meta")), ("init", "meta", "cpu")),
        Case("init the word prior", _search(init="prior"), ("init", "prior|str", "tensor|None")),
        Case("init the encoder", _search(init=encoded().encode), ("init", "method|function", "tensor|call")),
        Case(
            "init outside of the limit",
            _search(constraint=NEAR_LINE + beyond, init=line + 9),
            ("init", "project|within|limit"),
        ),
        Case(
            "init off the sphere",
            _search(constraint=NEAR_LINE + ls.Sphere(), init=line + 9),
            ("init", "sphere", "project"),
        ),
        Case("codes: init of floats", _on_codes(init=codes.float()), ("init", "float", "int64|long")),
        Case("codes: init of int32", _on_codes(init=codes.int()), ("init", "int32", "int64|long")),
        Case("codes: init one-hot", _on_codes(init=torch.eye(5)[codes]), ("init", "float", "int64|argmax|codes")),
        Case("codes: init beyond", _on_codes(init=codes + 5), ("init", "5", "0.*4|< ?5|below 5|\\[0, 5\\)")),
        Case("codes: init negative", _on_codes(init=codes - 1), ("init", "-1", "0.*4|>= ?0|0")),
        Case("codes: init of another grid", _on_codes(init=torch.zeros(2, 3, 3).long()), ("init", "3, 3", grid)),
        Case("codes: init flat", _on_codes(init=torch.zeros(2, 4).long()), ("init", "2, 4", grid)),
        Case("codes: init of another count", _on_codes(init=torch.zeros(3, 2, 2).long()), ("init", "3, 2, 2", "2")),
        Case(
            "codes: three restarts, two inits",
            lambda: ls.RandomSearch(restarts=3).search(CODES, NEAR_CODES, init=torch.zeros(2, 2, 2, 2).long(), run=RUN),
            ("init", "2, 2, 2, 2", "3|restarts"),
        ),
    ]


def _seeds() -> list[Case]:
    whole = r"integer|whole"
    wrong: list[tuple[Any, tuple[str, ...]]] = [
        (True, ("True", whole)),
        (1.5, (r"1\.5", whole)),
        ("a", ("'a'", whole)),
        (float("nan"), ("nan", whole)),
        ([0], ("1", "2")),
        ([0, 1, 2], ("3", "2")),
        ([], ("0|\\[\\]", "2")),
        ([0, 1.5], (r"1\.5", whole)),
        ([0, True], ("True", whole)),
        ([0, None], ("None", whole)),
        ([0, "b"], ("'b'", whole)),
        ({"a": 1}, (whole,)),
        (torch.Generator(), ("Generator", whole)),
        (ls.Noise.from_seed(0, 2), ("Noise", whole)),
    ]
    return [Case(f"seed={value!r}", _search(seed=value), ("seed", *tells)) for value, tells in wrong]


def _arguments() -> list[Case]:
    net = torch.nn.Linear(4, 4).eval()
    wrap = r"ls\.wrap|ContinuousGenerator|CodebookGenerator"
    return [
        Case("a network for a generator", _search(generator=net), ("generator", "Linear", wrap)),
        Case("a function for a generator", _search(generator=torch.tanh), ("generator", wrap)),
        Case("None for a generator", _search(generator=None), ("generator", "None", wrap)),
        Case(
            "a class for a generator",
            _search(generator=ls.ContinuousGenerator),
            ("generator", "instance|class|call|object"),
        ),
        Case("goal and generator exchanged", _search(generator=NEAR_LINE, constraint=LINE), ("generator", "Matches")),
        Case("a budget for a run", _search(run=100), ("run", "100", r"Run\(evaluations")),
        Case("None for a run", _search(run=None), ("run", "None", r"Run\(")),
        Case("a dict for a run", _search(run={"evaluations": 9}), ("run", "dict|evaluations", r"Run\(")),
        Case("the class Run", _search(run=ls.Run), ("run", r"Run\(")),
        Case("a target for a goal", _search(constraint=torch.zeros(2, 4)), ("constraint|goal", "tensor", "Matches")),
        Case(
            "a function for a goal",
            _search(constraint=lambda x: x.mean(1)),
            ("constraint|goal", "function|lambda", "Satisfies|constraint\\("),
        ),
        Case("a list for a goal", _search(constraint=[NEAR_LINE]), ("constraint|goal", "list", r"\+|sum")),
        Case("None for a goal", _search(constraint=None), ("constraint|goal", "None", "Matches|constraint")),
        Case(
            "a word for a goal", _search(constraint="bright"), ("constraint|goal", "bright|str", "Matches|constraint")
        ),
        Case(
            "the class Matches",
            _search(constraint=ls.Matches),
            ("constraint|goal", "Matches", "class|instance|call|target|Matches\\("),
        ),
        Case("a prior for a goal", _search(constraint=LINE.prior), ("constraint|goal", "LogPrior")),
        Case(
            "a limit for a goal",
            _search(constraint=ls.Within(torch.zeros(2, 4), 1.0)),
            ("Within|limit", "term|constraint|goal"),
        ),
        Case(
            "a loss for a goal",
            _search(constraint=torch.nn.MSELoss()),
            ("constraint|goal", "MSELoss", "Satisfies|Matches"),
        ),
    ]


def _methods() -> list[Case]:
    net = torch.nn.Linear(4, 4)
    actor = ls.ActorSearch
    vector = ls.AttributeVectorSearch
    inner = ls.RandomSearch()

    def on_line(make: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: make().search(LINE, NEAR_LINE, seed=0, run=RUN)

    def on_codes(make: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: make().search(CODES, NEAR_CODES, seed=0, run=RUN)

    is_none = ("searcher|stage",)
    return [
        Case("Then of nothing", on_line(lambda: ls.Then()), ("Then|stages", "at least|one|two")),
        Case(
            "Then of a class",
            on_line(lambda: ls.Then(inner, ls.RandomSearch)),
            (*is_none, r"RandomSearch", r"\(\)|instance|class"),
        ),
        Case("Then of a list", on_line(lambda: ls.Then(inner, [inner])), (*is_none, "list", r"\*|Then\(|one after")),
        Case("Then of None", on_line(lambda: ls.Then(inner, None)), (*is_none, "None")),
        Case("Then of a goal", on_line(lambda: ls.Then(inner, NEAR_LINE)), (*is_none, "Matches")),
        Case("Stage of a class", lambda: ls.Stage(ls.RandomSearch), (*is_none, r"\(\)|instance|class")),
        Case("Stage of a Stage", lambda: ls.Stage(ls.Stage(inner)), ("Stage", "searcher")),
        Case("Stage of None", lambda: ls.Stage(None), ("Stage", "None", "searcher")),
        *numbers(
            "Stage", "share", lambda value: ls.Stage(inner, share=value), below=(-0.5, 0.0, 1.5, 50), optional=True
        ),
        *choices("Stage", "start", lambda value: ls.Stage(inner, start=value), ("best", "prior")),
        *choices("Stage", "only", lambda value: ls.Stage(inner, only=value), ("unsolved", "unproven")),
        *choices("Stage", "keep", lambda value: ls.Stage(inner, keep=value), ("last", "better")),
        Case(
            "AugmentedLagrangian of a class",
            lambda: ls.AugmentedLagrangian(ls.GradientSearch),
            (*is_none, r"\(\)|instance|class"),
        ),
        Case("AugmentedLagrangian of None", lambda: ls.AugmentedLagrangian(None), (*is_none, "None")),
        *integers("AugmentedLagrangian", "rounds", lambda value: ls.AugmentedLagrangian(inner, rounds=value), least=2),
        *numbers(
            "AugmentedLagrangian",
            "growth",
            lambda value: ls.AugmentedLagrangian(inner, growth=value),
            below=(0.0, -4.0, 0.5),
        ),
        Case(
            "ActorSearch of a class",
            on_line(lambda: actor(critics.Actor)),
            ("actor", "class|instance|fit_actor|write Actor"),
        ),
        Case("ActorSearch of None", on_line(lambda: actor(None)), ("actor", "None", "fit_actor")),
        Case("ActorSearch of a word", on_line(lambda: actor("actor")), ("actor", "fit_actor")),
        Case("ActorSearch of a network", on_line(lambda: actor(net)), ("actor", "Linear", "fit_actor|Actor")),
        Case("AttributeVector of a list", on_line(lambda: vector([1.0] * 4)), ("vector", "list", "tensor")),
        Case("AttributeVector of a width", on_line(lambda: vector(torch.ones(1, 5))), ("vector", "5", r"4")),
        Case("AttributeVector of a count", on_line(lambda: vector(torch.ones(3, 4))), ("vector|problems", "3", "2")),
        Case(
            "AttributeVector of NaN", on_line(lambda: vector(torch.ones(1, 4) * float("nan"))), ("vector", "nan|finite")
        ),
        Case(
            "AttributeVector of whole numbers",
            on_line(lambda: vector(torch.ones(1, 4).long())),
            ("vector", "int64", "float"),
        ),
        Case("AttributeVector on codes", on_codes(lambda: vector(torch.ones(1, 2, 2))), ("codes", "continuous")),
        *integers("AttributeVectorSearch", "steps", lambda value: vector(torch.ones(1, 4), steps=value)),
        *numbers("AttributeVectorSearch", "most", lambda value: vector(torch.ones(1, 4), most=value)),
        *choices(
            "StraightThroughSearch",
            "on_repeat",
            _setting(ls.StraightThroughSearch, "on_repeat"),
            ("stop", "continue", "mask"),
        ),
        *choices(
            "SinglePositionSearch",
            "on_repeat",
            _setting(ls.SinglePositionSearch, "on_repeat"),
            ("stop", "continue", "mask"),
        ),
        Case(
            "SphericalSearch on a radius",
            on_line(lambda: ls.SphericalSearch(sphere=2.0)),
            ("sphere", r"2\.0", r"a Sphere"),
        ),
        Case(
            "SphericalSearch in a ball",
            on_line(lambda: ls.SphericalSearch(sphere=ls.Within(torch.zeros(2, 4), 1.0))),
            ("sphere", "Within", "Sphere"),
        ),
        Case(
            "SphericalSearch by a word",
            on_line(lambda: ls.SphericalSearch(schedule="cosine")),
            ("schedule", "cosine", "function|callable|warmup_cosine"),
        ),
        Case(
            "SphericalSearch by None",
            on_line(lambda: ls.SphericalSearch(schedule=None)),
            ("schedule", "None", "function|callable|warmup_cosine"),
        ),
        Case(
            "SphericalSearch by a number",
            on_line(lambda: ls.SphericalSearch(schedule=lambda done: 1.0)),
            ("schedule", "float|1\\.0", "tensor|\\(M,\\)"),
        ),
        Case(
            "RelaxedSearch by a word",
            on_codes(lambda: ls.RelaxedSearch(relaxation="gumbel")),
            ("relaxation", "gumbel", "Estimator|GumbelSoftmax"),
        ),
        Case(
            "RelaxedSearch by None",
            on_codes(lambda: ls.RelaxedSearch(relaxation=None)),
            ("relaxation", "None", "Estimator"),
        ),
        Case(
            "RelaxedSearch by a function",
            on_codes(lambda: ls.RelaxedSearch(relaxation=torch.softmax)),
            ("relaxation", "Estimator"),
        ),
        Case(
            "RelaxedSearch by a factory of floats",
            on_codes(lambda: ls.RelaxedSearch(relaxation=lambda t: 1.0)),
            ("relaxation", "float|1\\.0", "Estimator"),
        ),
        Case(
            "BranchAndBound by a word",
            on_codes(lambda: ls.BranchAndBoundSearch(bound="interval")),
            ("bound", "interval", "Bound"),
        ),
        Case(
            "BranchAndBound by a class",
            on_codes(lambda: ls.BranchAndBoundSearch(bound=bounds.LinearBound)),
            ("bound", "LinearBound", "instance|class|\\(\\)"),
        ),
        Case(
            "AutoSearch of one plan",
            on_line(lambda: ls.AutoSearch(plans=Plan("a", lambda p, b: True, lambda p, b: inner))),
            ("plans", "Plan", "list|sequence|tuple"),
        ),
        Case(
            "AutoSearch of a searcher",
            on_line(lambda: ls.AutoSearch(plans=(inner,))),
            ("plans", "RandomSearch", "Plan"),
        ),
        Case(
            "AutoSearch of nothing",
            on_line(lambda: ls.AutoSearch(plans=())),
            ("plan", "at least one|none|no plan|empty|plans of your own"),
        ),
        Case(
            "AutoSearch with no plan that applies",
            on_line(lambda: ls.AutoSearch(plans=(Plan("a", lambda p, b: False, lambda p, b: inner),))),
            ("plan", "appl|none|match"),
        ),
        Case(
            "a plan that builds nothing",
            on_line(lambda: ls.AutoSearch(plans=(Plan("a", lambda p, b: True, lambda p, b: None),))),
            ("plan", "None", "searcher"),
        ),
        Case(
            "GradientSearch by L-BFGS",
            on_line(lambda: ls.GradientSearch(torch.optim.LBFGS)),
            ("optimizer", "element|row|LBFGS|closure", "Adam|SGD|HalvingSearch"),
        ),
        Case(
            "GradientSearch by half a step",
            on_line(lambda: ls.GradientSearch(partial(torch.optim.Adam, rl=0.1))),
            ("optimizer", "rl"),
        ),
        Case(
            "GradientSearch at a negative rate",
            on_line(lambda: ls.GradientSearch(partial(torch.optim.Adam, lr=-1.0))),
            ("optimizer", r"-1"),
        ),
        Case(
            "ExhaustiveSearch of many grids",
            lambda: ls.ExhaustiveSearch().search(*_many(), seed=0, run=RUN),
            ("grids", "evaluations|budget|at most", "ls\\.search|another|Gibbs|Relaxed|CoordinateSearch"),
        ),
        Case(
            "GibbsSearch with no prior that proposes",
            lambda: ls.GibbsSearch().search(_plain(), NEAR_CODES, seed=0, run=RUN),
            ("prior", "fit_prior|MaskedDiffusion|conditional"),
        ),
        Case(
            "SMCSearch with no prior that proposes",
            lambda: ls.SMCSearch().search(_plain(), NEAR_CODES, seed=0, run=RUN),
            ("prior", "fit_prior|MaskedDiffusion|conditional"),
        ),
        Case(
            "MALA without a posterior",
            on_line(lambda: ls.MALASearch()),
            ("posterior|nats|LogPrior|likelihood", "noise|LogPrior"),
        ),
        Case(
            "PursuitSearch without squares",
            lambda: ls.PursuitSearch().search(CODES, _bright(), seed=0, run=RUN),
            ("squares|residuals", "bright", "CoordinateSearch|ls\\.search|another|Matches"),
            FEW,
        ),
        Case(
            "ColouredSearch without a map",
            lambda: ls.ColouredSearch().search(CODES, _bright(), seed=0, run=RUN),
            ("map|sum over|Separable|loss_map", "bright", "CoordinateSearch|ls\\.search|another|Matches"),
            FEW,
        ),
        Case(
            "BranchAndBound of a function",
            lambda: ls.BranchAndBoundSearch().search(BOUNDED, _bright(), seed=0, run=RUN),
            ("bound|interval", "bright|decoder", "Exhaustive|ls\\.search|another|loss_interval"),
            FEW,
        ),
    ]


class _PlainPrior:
    """Uniform codes that answer no question about single positions."""

    space = CODES.space

    def sample(self, noise: ls.Noise) -> torch.Tensor:
        return noise.integers(5, 2, 2)

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(z))


def _plain() -> Any:
    generator = type(CODES)()
    generator.prior = _PlainPrior()
    return generator


def _many() -> tuple[Any, Any]:
    generator = type(CODES)((4, 4))
    return generator, ls.Matches(torch.zeros(1, 4, 4))


def _bright() -> ls.Satisfies:
    return ls.Satisfies(lambda x: x.flatten(1).mean(1), name="bright")


CASES: list[Case] = [
    *(case for kind in (*ON_LINE, *ON_CODES, *ON_BOTH) for case in _of_fields(kind)),
    *(
        case
        for kind in (ls.HalvingSearch, ls.GradientSearch, ls.RelaxedSearch, ls.StraightThroughSearch)
        for case in _optimizers(kind)
    ),
    *_wrong_space(),
    *_without_gradient(),
    *_inits(),
    *_seeds(),
    *_arguments(),
    *_methods(),
]
