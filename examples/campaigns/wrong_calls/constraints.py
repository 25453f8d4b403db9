"""Wrong arguments of constraints, and constraints that do not fit the outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import latentsearch as ls
from examples.campaigns.wrong_calls.kit import (
    CODES,
    FEW,
    LINE,
    RUN,
    Case,
    choices,
    encoded,
    integers,
    numbers,
    switches,
)
from latentsearch.constraints import Geocross
from latentsearch.priors import StandardNormal, UniformCodes

TARGET = torch.zeros(2, 4)
PICTURE = torch.zeros(2, 1, 8, 8)
LOW = torch.zeros(2, 1, 2, 2)
Z = torch.zeros(2, 2, 2, dtype=torch.long)
PICTURES = encoded()


def on_line(make: Callable[[], Any]) -> Callable[[], Any]:
    """A search in vectors of 4, whose outputs are vectors of 4."""
    return lambda: ls.search(LINE, make(), seed=0, run=RUN)


def on_codes(make: Callable[[], Any]) -> Callable[[], Any]:
    """A search in grids of 2 x 2 of 5 codes, whose outputs are such grids."""
    return lambda: ls.search(CODES, make(), seed=0, run=RUN)


def on_pictures(make: Callable[[], Any]) -> Callable[[], Any]:
    """A search for pictures of 1 x 8 x 8."""
    return lambda: ls.search(PICTURES, make(), seed=0, run=RUN)


def _targets(what: str, name: str, make: Callable[[Any], Any], good: torch.Tensor) -> list[Case]:
    wrong: list[tuple[str, Any, tuple[str, ...]]] = [
        ("a list", good.tolist(), ("list", "tensor")),
        ("an array", good.numpy(), ("ndarray|numpy", "tensor")),
        ("None", None, ("None", "tensor")),
        ("a number", 0.5, (r"0\.5|float", "tensor")),
        ("whole numbers", good.long(), ("int64", "float")),
        ("bytes", good.byte(), ("uint8", "float")),
        ("bools", good.bool(), ("bool", "float")),
        ("NaN", good * float("nan"), ("nan|finite",)),
        ("infinity", good + float("inf"), ("inf|finite",)),
        ("no rows", good[:0], ("0", "row|problem|at least|empty")),
        ("a scalar", torch.tensor(0.5), (r"\(\)", "row|problem|B")),
        ("complex numbers", good.to(torch.complex64), ("complex", "float|real")),
    ]
    return [Case(f"{what} of {of}", lambda value=value: make(value), (name, *tells)) for of, value, tells in wrong]


def _noises(what: str, make: Callable[[Any], Any]) -> list[Case]:
    wrong: list[tuple[Any, tuple[str, ...]]] = [
        (0.0, ("positive|> 0|greater|more than",)),
        (-0.1, ("-0\\.1", "positive|> 0|greater|more than")),
        (float("nan"), ("nan", "positive|number|finite")),
        (float("inf"), ("inf", "finite|number|positive")),
        ("0.1", ("'0\\.1'", "number|float|deviation")),
        ("data", ("data", "decoder|number|deviation")),
        (True, ("True", "number|float|deviation")),
        ([0.1, 0.1], ("list|0\\.1", "number|tensor")),
        (torch.tensor([0.1, 0.1, 0.1]), ("3", "2|one a problem|B")),
        (torch.tensor([0.1, -0.1]), ("-0\\.1|negative", "positive|> 0")),
        (torch.ones(2, 4), ("2, 4", r"\(B,\)|one a problem|\(2,\)|for each")),
    ]
    return [
        Case(f"{what}(noise={value!r})", lambda value=value: make(value), ("noise", *tells)) for value, tells in wrong
    ]


def _masks() -> list[Case]:
    wrong: list[tuple[str, Any, tuple[str, ...]]] = [
        ("a list", [[1.0] * 4], ("list", "tensor")),
        ("a number", 1, ("1|int", "tensor")),
        ("beyond 1", torch.full((1, 4), 255.0), ("255", r"0.*1|\[0, 1\]")),
        ("negative", torch.full((1, 4), -1.0), ("-1", r"0.*1|\[0, 1\]")),
        ("NaN", torch.full((1, 4), float("nan")), ("nan|finite",)),
        ("all hidden", torch.zeros(1, 4), ("hid|all 0|zero|nothing|at least one",)),
        (
            "one row hidden",
            torch.tensor([[1.0] * 4, [0.0] * 4]),
            ("hid|all 0|zero|nothing|at least one", "1|row|problem"),
        ),
        ("another width", torch.ones(1, 5), ("5", "4")),
        ("another count", torch.ones(3, 4), ("3", "2")),
        ("more axes", torch.ones(2, 1, 1, 4), ("2, 1, 1, 4", "2, 4")),
        ("complex", torch.ones(1, 4).to(torch.complex64), ("complex", "float|real|bool|weights")),
    ]
    return [
        Case(f"Matches with a mask: {of}", lambda value=value: ls.Matches(TARGET, mask=value), ("mask", *tells))
        for of, value, tells in wrong
    ]


def _matches() -> list[Case]:
    fit = r"output"
    return [
        *_targets("Matches", "target", ls.Matches, TARGET),
        *_masks(),
        *_noises("Matches", lambda value: ls.Matches(TARGET, noise=value)),
        *choices("Matches", "distance", lambda value: ls.Matches(TARGET, distance=value), ("l2", "l1", "huber")),
        Case(
            "Matches: noise of l1", lambda: ls.Matches(TARGET, distance="l1", noise=0.1), ("noise", "l1", "l2|squared")
        ),
        Case(
            "Matches: a loss for a distance",
            lambda: ls.Matches(TARGET, distance=nn.MSELoss()),
            ("distance", "MSELoss", "l2|Satisfies"),
        ),
        Case(
            "Matches: a target of one row less",
            on_line(lambda: ls.Matches(torch.zeros(4))),
            ("target", r"\(4,\)|4", fit),
            FEW,
        ),
        Case(
            "Matches: a target of another width",
            on_line(lambda: ls.Matches(torch.zeros(2, 5))),
            ("target", "2?,? ?5", "4", fit),
            FEW,
        ),
        Case(
            "Matches: a target of the latents",
            on_pictures(lambda: ls.Matches(torch.zeros(1, 4))),
            ("target", "4", "1, 8, 8"),
            FEW,
        ),
        Case(
            "Matches: a picture without channels",
            on_pictures(lambda: ls.Matches(torch.zeros(1, 8, 8))),
            ("target", "8, 8", "1, 8, 8"),
            FEW,
        ),
        Case(
            "Matches: a picture, channels last",
            on_pictures(lambda: ls.Matches(torch.zeros(1, 8, 8, 1))),
            ("target", "8, 8, 1", "1, 8, 8", "permute|channels|movedim"),
            FEW,
        ),
        Case(
            "Matches: a picture in colour",
            on_pictures(lambda: ls.Matches(torch.zeros(1, 3, 8, 8))),
            ("target", "3, 8, 8", "1, 8, 8"),
            FEW,
        ),
        Case(
            "Matches: a target to 255",
            on_pictures(lambda: ls.Matches(torch.full((1, 1, 8, 8), 255.0))),
            ("target", "255", "range|0.*1"),
            FEW,
        ),
        Case(
            "Matches: a target on another device",
            on_line(lambda: ls.Matches(TARGET.to("meta"))),
            ("target", "meta", "load|holds"),
        ),
        Case(
            "Matches: the decoder's noise, unknown",
            on_line(lambda: ls.Matches(TARGET, noise="decoder")),
            ("noise", "decoder", "fit_prior|prior"),
        ),
        *_targets("Downscales", "small", lambda value: ls.Downscales(value, 4), LOW),
        *_noises("Downscales", lambda value: ls.Downscales(LOW, 4, noise=value)),
        *integers("Downscales", "factor", lambda value: ls.Downscales(LOW, value), least=2),
        *choices("Downscales", "mode", lambda value: ls.Downscales(LOW, 4, mode=value), ("bicubic", "area")),
        Case(
            "Downscales: bilinear",
            lambda: ls.Downscales(LOW, 4, mode="bilinear"),
            ("mode", "bilinear", "bicubic", "area"),
        ),
        Case(
            "Downscales: no channels",
            on_pictures(lambda: ls.Downscales(LOW[:1, 0], 4)),
            ("small", "1, 2, 2", "B, C|channels"),
            FEW,
        ),
        Case(
            "Downscales: another factor",
            on_pictures(lambda: ls.Downscales(LOW[:1], 3)),
            ("factor|small", "6|3", "8|4"),
            FEW,
        ),
        Case(
            "Downscales: the large picture",
            on_pictures(lambda: ls.Downscales(PICTURE, 4)),
            ("small|factor", "32|8", "2|avg_pool|shr|small|8"),
            FEW,
        ),
        Case("Downscales: vectors", on_line(lambda: ls.Downscales(LOW, 2)), ("output|Downscales", "4"), FEW),
        Case("Downscales: volumes, bicubic", lambda: ls.Downscales(torch.zeros(1, 1, 2, 2, 2), 2), ("mode", "area")),
        *_targets("Observed", "measurement", lambda value: ls.Observed(value, lambda x: x, noise=0.1), TARGET),
        *_noises("Observed", lambda value: ls.Observed(TARGET, lambda x: x, noise=value)),
        Case(
            "Observed without noise",
            lambda: ls.Observed(TARGET, lambda x: x, noise=None),
            ("noise", "None", "positive|number|Matches|deviation"),
        ),
        Case(
            "Observed by a matrix",
            lambda: ls.Observed(TARGET, torch.eye(4), noise=0.1),
            ("operator", "tensor", "function|callable|lambda"),
        ),
        Case(
            "Observed by a word",
            lambda: ls.Observed(TARGET, "blur|str", noise=0.1),
            ("operator", "blur|str", "function|callable"),
        ),
        Case(
            "Observed through another shape",
            on_line(lambda: ls.Observed(TARGET, lambda x: x[:, :2], noise=0.1)),
            ("operator|measurement", "2, 2|\\(2,\\)|2", "4"),
            FEW,
        ),
        Case(
            "Observed through a mix of rows",
            on_line(lambda: ls.Observed(TARGET, lambda x: x - x.mean(0), noise=0.1)),
            ("operator", "row"),
            FEW,
        ),
        Case(
            "Observed through chance",
            on_line(lambda: ls.Observed(TARGET, lambda x: x + torch.rand_like(x), noise=0.1)),
            ("operator", "random|determin|differ|same"),
            FEW,
        ),
        Case(
            "Observed through None",
            on_line(lambda: ls.Observed(TARGET, lambda x: None, noise=0.1)),
            ("operator", "None", "tensor|one measurement a row"),
            FEW,
        ),
        Case(
            "Observed through a fault",
            on_line(lambda: ls.Observed(TARGET, lambda x: x.bad, noise=0.1)),
            ("operator", "bad"),
            FEW,
        ),
    ]


def _tokens() -> list[Case]:
    tokens = torch.tensor([[0, 1, 1]])
    make = ls.MatchesTokens
    return [
        Case("tokens of floats", lambda: make(tokens.float()), ("tokens", "float", "int64|whole|long")),
        Case("tokens in a list", lambda: make([[0, 1]]), ("tokens", "list", "tensor")),
        Case("tokens of one row", lambda: make(tokens[0]), ("tokens", r"\(3,\)", "B, T|row|problem")),
        Case("tokens below 0", lambda: make(tokens - 1), ("tokens", "-1", "0")),
        Case("tokens of text", lambda: make("abc"), ("tokens", "abc|str", "tensor")),
        Case(
            "tokens, none shown",
            lambda: make(tokens, mask=torch.zeros(1, 3)),
            ("mask", "hid|nothing|zero|0|at least one"),
        ),
        Case("tokens, a mask of another length", lambda: make(tokens, mask=torch.ones(1, 4)), ("mask", "4", "3")),
        Case("tokens, a mask beyond 1", lambda: make(tokens, mask=torch.full((1, 3), 2.0)), ("mask", "2", r"0.*1")),
        Case("tokens of vectors", on_line(lambda: make(tokens)), ("output|tokens", "logits|N, T, V|vocabulary"), FEW),
    ]


class _Logits(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :3]


def _labels() -> list[Case]:
    judge = _Logits().eval()
    training = nn.Sequential(_Logits(), nn.Dropout()).train()
    make = ls.Classified
    wrong: list[tuple[Any, tuple[str, ...]]] = [
        (1.5, (r"1\.5", "whole|integer|int|index")),
        ("7", ("'7'", "whole|integer|int|index")),
        (True, ("True", "whole|integer|int|index")),
        (None, ("None", "whole|integer|int|class")),
        (-1, ("-1", "0|at least|negative|index")),
        (torch.tensor([0.0, 1.0]), ("float", "int64|long|whole")),
        (torch.tensor([[0], [1]]), ("2, 1", r"\(B,\)|one a problem|\(2,\)|each")),
        (torch.eye(3), ("float|3, 3", "int64|argmax|class")),
    ]
    attributes = ls.HasAttributes
    asked: list[tuple[Any, tuple[str, ...]]] = [
        ({}, (r"nothing|empty|at least one|\{\}",)),
        ({0: 2}, ("2", "True|bool")),
        ({"smile": True}, ("smile", "number|int")),
        ({-1: True}, ("-1", "number|0|at least")),
        ({9: True}, ("9", "4|3|attributes|logits")),
        ([True, False], ("list|\\[True", "tensor|mapping|dict|{")),
        ("smile", ("smile", "True|dict|mapping|tensor|{")),
        (None, ("None", "True|dict|mapping|tensor|{")),
        (torch.tensor([float("nan")] * 4), ("nothing|NaN", "asked|free|at least one|nothing")),
        (torch.tensor([2.0, 0.0, 0.0, 0.0]), ("2", "0|1|ones")),
    ]
    latents = on_line
    return [
        *(
            Case(f"Classified(label={value!r})", lambda value=value: make(judge, value), ("label", *tells))
            for value, tells in wrong
        ),
        *numbers(
            "Classified",
            "threshold",
            lambda value: make(judge, 0, threshold=value),
            below=(-0.1, 1.5, 90),
            optional=True,
        ),
        *choices("Classified", "loss", lambda value: make(judge, 0, loss=value), ("probability", "logit")),
        *choices("Classified", "of", lambda value: make(judge, 0, of=value), ("output", "latent")),
        Case(
            "Classified: cross entropy",
            lambda: make(judge, 0, loss=nn.CrossEntropyLoss()),
            ("loss", "CrossEntropy", "probability"),
        ),
        Case("Classified in train mode", lambda: make(training, 0), ("classifier", "train", "eval")),
        Case(
            "Classified by a word",
            lambda: make("resnet|str", 0),
            ("classifier", "resnet|str", "function|callable|module|network"),
        ),
        Case("Classified by None", lambda: make(None, 0), ("classifier", "None", "function|callable|module|network")),
        Case(
            "Classified by a class", on_line(lambda: make(nn.Linear, 0)), ("classifier", "class|instance|Linear"), FEW
        ),
        Case("Classified: label and classifier exchanged", lambda: make(7, judge), ("classifier", "7|int")),
        Case(
            "Classified as a class that is not",
            on_line(lambda: make(judge, 3)),
            ("label", "3", "classes|logits|0 to 2|< 3|\\[0, 3\\)|2"),
            FEW,
        ),
        Case(
            "Classified by one number",
            on_line(lambda: make(lambda x: x.sum(1), 0)),
            ("classifier", "N, classes|logits"),
            FEW,
        ),
        Case(
            "Classified by classes",
            on_line(lambda: make(lambda x: x.argmax(1), 0)),
            ("classifier", "int64|logits"),
            FEW,
        ),
        Case(
            "Classified by a tuple",
            on_line(lambda: make(lambda x: (x, x), 0)),
            ("classifier", "tuple", "logits|tensor"),
            FEW,
        ),
        Case("Classified by a mix of rows", on_line(lambda: make(lambda x: x - x.mean(0), 0)), ("classif", "row"), FEW),
        Case(
            "Classified by another width",
            on_line(lambda: make(nn.Linear(7, 2).eval(), 0)),
            ("classifier", "7|shapes"),
            FEW,
        ),
        *(
            Case(
                f"HasAttributes(wanted={value!r})",
                latents(lambda value=value: attributes(lambda z: z, value)),
                ("wanted|attribute", *tells),
            )
            for value, tells in asked
        ),
        *numbers(
            "HasAttributes",
            "threshold",
            lambda value: attributes(judge, {0: True}, threshold=value),
            below=(-0.1, 1.5),
            optional=True,
        ),
        *choices("HasAttributes", "of", lambda value: attributes(judge, {0: True}, of=value), ("output", "latent")),
        Case("HasAttributes in train mode", lambda: attributes(training, {0: True}), ("critic", "train", "eval")),
        Case(
            "HasAttributes by a word",
            lambda: attributes("critic", {0: True}),
            ("critic", "function|callable|fit_critic|network"),
        ),
        Case(
            "HasAttributes: True of four", on_line(lambda: attributes(lambda z: z)), ("wanted", "4", "one|\\{|number")
        ),
    ]


def _of_latents() -> list[Case]:
    line, near = torch.zeros(2, 4), ls.Near
    normal = StandardNormal((4,))
    sphere = ls.Sphere
    return [
        Case("Near to a list", lambda: near([0.0]), ("latent", "list", "tensor")),
        Case("Near to None", lambda: near(None), ("latent", "None", "tensor")),
        Case("Near to NaN", lambda: near(line * float("nan")), ("latent", "nan|finite")),
        Case("Near to a scalar", lambda: near(torch.tensor(1.0)), ("latent", r"\(\)", "row|B|problem")),
        Case("Near to bools", on_line(lambda: near(line.bool())), ("latent", "bool", "float|int64|codes")),
        Case("Near to int32", on_codes(lambda: near(Z.int())), ("latent", "int32", "int64|long")),
        Case("Near to another width", on_line(lambda: near(torch.zeros(2, 5))), ("latent", "5", "4")),
        Case("Near to a picture", on_pictures(lambda: near(PICTURE[:1])), ("latent", "1, 8, 8", "4|encode")),
        Case(
            "Near to codes, in vectors",
            on_line(lambda: near(Z)),
            ("latent|Near", "int64|codes|2, 2", "continuous|float|4"),
        ),
        Case(
            "Near to vectors, in codes",
            on_codes(lambda: near(torch.zeros(2, 2, 2))),
            ("latent|Near", "float", "int64|codes"),
        ),
        Case("Near to codes beyond", on_codes(lambda: near(Z + 7)), ("latent|Near", "7", "5|4")),
        Case("Near to negative codes", on_codes(lambda: near(Z - 1)), ("latent|Near", "-1", "0")),
        *choices(
            "Near",
            "metric",
            lambda value: near(line, metric=value),
            ("l2", "log", "hamming"),
            optional=True,
        ),
        Case("Near in l2, codes", lambda: near(Z, metric="l2"), ("metric", "l2", "hamming|continuous")),
        Case("Near in hamming, vectors", lambda: near(line, metric="hamming"), ("metric", "hamming", "l2|log|codes")),
        Case("Near: codes with a scale", lambda: near(Z, scale=2.0), ("scale", "codes|hamming")),
        *numbers("Near", "scale", lambda value: near(line, scale=value), below=(0.0, -1.0), lists=True),
        Case("Near: a scale of another width", lambda: near(line, scale=torch.ones(1, 5)), ("scale", "5", "4")),
        Case(
            "Near: a scale that is 0 somewhere",
            lambda: near(line, scale=torch.tensor([[1.0, 0.0, 1.0, 1.0]])),
            ("scale", "positive|> 0"),
        ),
        Case("LogPrior of None", lambda: ls.LogPrior(None), ("prior", "None", "fit_prior|Prior|sample")),
        Case("LogPrior of a generator", lambda: ls.LogPrior(LINE), ("prior", "\\.prior|log_prob")),
        Case(
            "LogPrior of a distribution",
            lambda: ls.LogPrior(torch.distributions.Normal(0, 1)),
            ("prior", "Normal", "DistributionPrior"),
        ),
        Case(
            "LogPrior of a class",
            on_line(lambda: ls.LogPrior(StandardNormal)),
            ("prior", "StandardNormal", "class|instance|\\("),
        ),
        Case(
            "LogPrior of a file",
            lambda: ls.LogPrior("prior.safetensors|str"),
            ("prior", "prior.safetensors|str", "load|Prior"),
        ),
        Case("LogPrior of another width", on_line(lambda: ls.LogPrior(StandardNormal((5,)))), ("prior", "5", "4")),
        Case(
            "LogPrior of codes, in vectors",
            on_line(lambda: ls.LogPrior(UniformCodes(CODES.space))),
            ("prior", "Discrete|codes", "Continuous|continuous"),
        ),
        Case(
            "LogPrior of vectors, in codes",
            on_codes(lambda: ls.LogPrior(normal)),
            ("prior", "Continuous|continuous", "Discrete|codes"),
        ),
        Case("Within of a list", lambda: ls.Within([0.0], 1.0), ("source", "list", "tensor")),
        Case("Within of NaN", lambda: ls.Within(line * float("nan"), 1.0), ("source", "nan|finite")),
        Case(
            "Within of another width",
            on_line(lambda: ls.Matches(TARGET) + ls.Within(torch.zeros(2, 5), 1.0)),
            ("source|Within", "5", "4"),
        ),
        Case(
            "Within of vectors, in codes",
            on_codes(lambda: ls.Matches(Z.float()) + ls.Within(torch.zeros(2, 2, 2), 1.0)),
            ("source|Within", "float", "int64|codes"),
        ),
        Case(
            "Within of codes beyond",
            on_codes(lambda: ls.Matches(Z.float()) + ls.Within(Z + 9, 1)),
            ("source|Within", "9", "5|4"),
        ),
        *numbers("Within", "radius", lambda value: ls.Within(line, value), below=(-1.0,), lists=True),
        Case("Within of half a code", lambda: ls.Within(Z, 1.5), ("radius", r"1\.5", "whole")),
        Case("Within of True", lambda: ls.Within(Z, True), ("radius", "True", "whole|number")),
        Case("Within of three radii", lambda: ls.Within(line, torch.ones(3)), ("radius", "3", "2")),
        Case("exchanged: Within", lambda: ls.Within(1.0, line), ("source", r"1\.0|float", "tensor")),
        *numbers("Sphere", "radius", lambda value: sphere(value), below=(0.0, -1.0), optional=True),
        *integers("Sphere", "dims", lambda value: sphere(dims=value), optional=True),
        *integers("Shell", "dims", lambda value: ls.Shell(dims=value), optional=True),
        Case(
            "a Sphere of codes",
            on_codes(lambda: ls.Matches(Z.float()) + sphere()),
            ("Sphere", "codes|int64", "continuous"),
        ),
        Case(
            "a Shell of codes",
            on_codes(lambda: ls.Matches(Z.float()) + ls.Shell()),
            ("Shell", "codes|int64", "continuous"),
        ),
        Case("a Sphere of more axes", on_line(lambda: ls.Matches(TARGET) + sphere(dims=3)), ("dims", "3", "1|axes|4")),
        Case("a Shell of more axes", on_line(lambda: ls.Matches(TARGET) + ls.Shell(dims=3)), ("dims", "3", "1|axes|4")),
        Case(
            "Geocross of one vector",
            on_line(lambda: ls.Matches(TARGET) + Geocross()),
            ("Geocross", "vectors|layers|L, d|4"),
            FEW,
        ),
        Case(
            "Geocross of codes",
            on_codes(lambda: ls.Matches(Z.float()) + Geocross()),
            ("Geocross", "codes|int64", "continuous"),
        ),
        Case("Typical of None", lambda: ls.Typical(None, (0.0, 1.0)), ("prior", "None")),
        Case("Typical of a band in reverse", lambda: ls.Typical(normal, (2.0, 1.0)), ("band", "order|least|low|<")),
        Case("Typical of one number", lambda: ls.Typical(normal, 3.0), ("band", r"3\.0", "two|pair|least")),
        Case("Typical of three numbers", lambda: ls.Typical(normal, (1.0, 2.0, 3.0)), ("band", "two|pair|least")),
        Case(
            "Typical of NaN",
            lambda: ls.Typical(normal, (float("nan"), 1.0)),
            ("band", "nan", "number|pair|finite|order"),
        ),
        Case("Typical of words", lambda: ls.Typical(normal, ("1", "2")), ("band", "number|pair")),
        Case(
            "Typical of another width",
            on_line(lambda: ls.Typical(StandardNormal((5,)), (0.0, 9.0))),
            ("prior", "5", "4"),
        ),
    ]


def _functions() -> list[Case]:
    make = ls.Satisfies
    a_row = r"\(N,\)|one value a row|one .*row|\(2,\)"
    given = on_line
    return [
        Case("Satisfies of a value", lambda: make(torch.ones(2)), ("function", "tensor", "function|callable|lambda")),
        Case("Satisfies of None", lambda: make(None), ("function", "None", "callable|function")),
        Case("Satisfies of a word", lambda: make("x.mean() < 1"), ("function", "callable|function")),
        Case(
            "Satisfies of a constraint",
            given(lambda: make(ls.Matches(TARGET))),
            ("Matches", "constraint|already|itself"),
            FEW,
        ),
        *choices("Satisfies", "of", lambda value: make(lambda x: x, of=value), ("output", "latent", "both")),
        *switches("Satisfies", "differentiable", lambda value: make(lambda x: x, differentiable=value)),
        *switches("Satisfies", "boolean", lambda value: make(lambda x: x, boolean=value)),
        Case("Satisfies by a name of no word", lambda: make(lambda x: x, name=3), ("name", "3", "str|word|text")),
        Case(
            "Satisfies with targets in a list",
            lambda: make(lambda x, t: x, targets=[1.0]),
            ("targets", "list", "tensor"),
        ),
        Case(
            "Satisfies with a scalar target",
            lambda: make(lambda x, t: x, targets=torch.tensor(1.0)),
            ("targets", r"\(\)", "row|problem|B"),
        ),
        Case("constraint of a value", lambda: ls.constraint(3), ("function|constraint", "3|int", "callable|function")),
        Case(
            "constraint of a word",
            lambda: ls.constraint("latent|str"),
            ("function|constraint", "latent|str", "of=|callable|function"),
        ),
        Case("one loss for all rows", given(lambda: make(lambda x: x.mean(), name="dark")), ("dark", a_row), FEW),
        Case("a loss an element", given(lambda: make(lambda x: x, name="dark")), ("dark", a_row), FEW),
        Case("a Python float", given(lambda: make(lambda x: 0.5, name="dark")), ("dark", r"float|0\.5", "tensor"), FEW),
        Case(
            "a list of floats",
            given(lambda: make(lambda x: [0.5] * len(x), name="dark")),
            ("dark", "list", "tensor"),
            FEW,
        ),
        Case(
            "an array",
            given(lambda: make(lambda x: x.detach().numpy().mean(1), name="dark", differentiable=False)),
            ("dark", "ndarray|numpy", "tensor"),
            FEW,
        ),
        Case("no return", given(lambda: make(lambda x: None, name="dark")), ("dark", "None", "return|tensor"), FEW),
        Case(
            "bools, not said",
            given(lambda: make(lambda x: x.mean(1) < 0.1, name="dark")),
            ("dark", "bool", "boolean=True"),
            FEW,
        ),
        Case(
            "floats, bools said",
            given(lambda: make(lambda x: x.mean(1), name="dark", boolean=True)),
            ("dark", "float|numbers", "bool"),
            FEW,
        ),
        Case(
            "whole numbers",
            given(lambda: make(lambda x: x.long().sum(1), name="dark")),
            ("dark", "int64", "float"),
            FEW,
        ),
        Case(
            "rows that mix in a function",
            given(lambda: make(lambda x: (x - x.mean(0)).square().mean(1), name="dark")),
            ("dark", "row"),
            FEW,
        ),
        Case(
            "chance in a function",
            given(lambda: make(lambda x: x.mean(1) + torch.rand(len(x)), name="dark")),
            ("dark", "random|determin|twice|differ|same"),
            FEW,
        ),
        Case("a fault in a function", given(lambda: make(lambda x: x.bad, name="dark")), ("dark", "bad"), FEW),
        Case(
            "two arguments, one given",
            given(lambda: make(lambda x, z: x.mean(1), name="dark")),
            ("dark", "of=.both|targets|argument"),
            FEW,
        ),
        Case(
            "one argument, two given",
            given(lambda: make(lambda x: x.mean(1), of="both", name="dark")),
            ("dark", "both|argument"),
            FEW,
        ),
        Case(
            "targets that are not taken",
            given(lambda: make(lambda x: x.mean(1), targets=torch.ones(2), name="dark")),
            ("dark", "targets|argument"),
            FEW,
        ),
        Case(
            "no gradient, not said",
            lambda: ls.GradientSearch().search(LINE, make(lambda x: x.detach().mean(1), name="dark"), seed=0, run=RUN),
            ("dark", "gradient", "differentiable=False|detach"),
            FEW,
        ),
        Case("a constraint that gives a tensor", given(lambda: _Bare()), ("_Bare", "Score"), FEW),
    ]


class _Bare(ls.Constraint):
    def __call__(self, output: torch.Tensor, latent: torch.Tensor) -> Any:
        return output.flatten(1).mean(1)


CASES: list[Case] = [*_matches(), *_tokens(), *_labels(), *_of_latents(), *_functions()]
