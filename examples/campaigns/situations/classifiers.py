"""Classifiers, constraints and targets as they come."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import latentsearch as ls

from .situation import (
    LATENT,
    OUTPUT,
    RUN,
    Situation,
    collector,
    expect,
    made,
    plain,
    reference,
    refused,
    refused_or_right,
    same_answer,
    seeded,
    target,
    untouched,
)

SITUATIONS: list[Situation] = []
situation = collector(SITUATIONS)

FOOLBOX = "https://github.com/bethgelab/foolbox/issues/"
CLASSES = 3


def generator(**settings: Any) -> ls.ContinuousGenerator:
    return ls.ContinuousGenerator(plain(), shape=(LATENT,), **settings)


def search(goal: Any, **settings: Any) -> ls.SearchResult:
    return ls.GradientSearch().search(generator(**settings), goal, seed=0, run=RUN)


class Net(nn.Module):
    """Outputs to logits, with layers that train mode changes."""

    def __init__(self, classes: int = CLASSES, dropout: float = 0.5) -> None:
        super().__init__()
        self.norm, self.drop, self.out = nn.BatchNorm1d(OUTPUT), nn.Dropout(dropout), nn.Linear(OUTPUT, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(self.norm(x)))


def classifier(classes: int = CLASSES) -> Net:
    return made(Net, classes)


@functools.cache
def labelled() -> ls.SearchResult:
    """What is found with the classifier in evaluation mode, undisturbed."""
    return search(ls.Classified(classifier(), torch.tensor([1, 2])))


def same_as_labelled(classify: Callable[[Tensor], Tensor], label: Any = None) -> None:
    label = torch.tensor([1, 2]) if label is None else label
    same_answer(search(ls.Classified(classify, label)), labelled())


# -- modes -------------------------------------------------------------------------------------------


def plays_train_mode(behind: Callable[[nn.Module], Callable[[Tensor], Tensor]]) -> None:
    net = classifier().train()
    with untouched(net):
        refused(lambda: search(ls.Classified(behind(net), 1)), "eval", "train mode")


@situation("a classifier in train mode", FOOLBOX + "74")
def train_mode() -> None:
    plays_train_mode(lambda net: net)


@situation("a classifier in train mode behind a lambda", "https://github.com/QData/TextAttack/issues/457")
def train_mode_lambda() -> None:
    plays_train_mode(lambda net: lambda x: net(x))


@situation("a classifier in train mode behind a partial", FOOLBOX + "74")
def train_mode_partial() -> None:
    plays_train_mode(lambda net: functools.partial(lambda x, model: model(x), model=net))


@situation("a classifier in train mode behind a bound method", FOOLBOX + "648")
def train_mode_method() -> None:
    plays_train_mode(lambda net: net.forward)


@situation("batch norm in train mode in a constraint of one's own")
def train_mode_constraint() -> None:
    net = classifier().train()

    @ls.constraint
    def unlike(x: Tensor) -> Tensor:
        return net(x)[:, 0]

    with untouched(net):
        refused(lambda: search(unlike), "eval", "train mode", "rows", "deterministic")


@situation("a classifier with functional dropout", "https://github.com/Coderx7/SimpleNet/issues/2")
def functional_dropout() -> None:
    net = classifier()
    refused(lambda: search(ls.Classified(lambda x: net(F.dropout(x)), 1)), "dropout", "eval")


@situation("a compiled classifier in train mode", "https://github.com/bethgelab/foolbox/pull/415")
def train_mode_compiled() -> None:
    plays_train_mode(lambda net: torch.compile(net, backend="eager"))


# -- what classifiers return -------------------------------------------------------------------------


def plays_one_logit(label: int) -> None:
    net = classifier(1)
    words = ("one logit", "two classes", "torch.cat", "stack", "binary", "-x")
    refused(lambda: search(ls.Classified(net, label)), *words)


@situation("a classifier with one logit, (N, 1), label 0", "https://github.com/ultralytics/yolov3/issues/191")
def one_logit_zero() -> None:
    plays_one_logit(0)


@situation("a classifier with one logit, (N, 1), label 1", "https://github.com/vllm-project/vllm/pull/18313")
def one_logit_one() -> None:
    plays_one_logit(1)


@situation("a classifier with one logit, (N,)", "https://github.com/ultralytics/yolov3/issues/191")
def one_logit_flat() -> None:
    net = classifier(1)
    refused(lambda: search(ls.Classified(lambda x: net(x)[:, 0], 0)), "(n, classes)")


@situation("a classifier that ends in a softmax", "https://github.com/tflearn/tflearn/pull/562")
def softmax_twice() -> None:
    net = classifier()
    refused(lambda: search(ls.Classified(lambda x: net(x).softmax(1), 1)), "softmax")


@situation("a classifier that ends in a sigmoid for each class")
def sigmoids() -> None:
    net = classifier()
    refused(lambda: search(ls.Classified(lambda x: net(x).sigmoid(), 1)), "sigmoid", "probabilit", "logits")


@situation(
    "a classifier that returns an object with .logits",
    "https://github.com/Harry24k/adversarial-attacks-pytorch/issues/201",
)
def logits_object() -> None:
    net = classifier()
    refused(lambda: search(ls.Classified(lambda x: SimpleNamespace(logits=net(x)), 1)), ".logits", "pick")
    refused(lambda: search(ls.Classified(lambda x: {"logits": net(x)}, 1)), 'logits"]', ".logits", "pick")


@situation("a classifier in half precision")
def half_classifier() -> None:
    net = classifier().bfloat16()
    refused_or_right(lambda: search(ls.Classified(net, 1)), ".float()", ".to(", "bfloat16")


@situation("a classifier in float64")
def double_classifier() -> None:
    net = classifier().double()
    with untouched(net):
        same_as_labelled(lambda x: net(x.double()))
        refused_or_right(lambda: search(ls.Classified(net, 1)), ".float()", ".to(", "float64")


@situation("a classifier under @torch.no_grad()", "https://github.com/pytorch/pytorch/issues/20528")
def no_grad() -> None:
    net = classifier()
    refused(lambda: search(ls.Classified(torch.no_grad()(lambda x: net(x)), 1)), "gradient", "no_grad")


@situation("a classifier that normalises its input in place", "https://github.com/pytorch/vision/issues/517")
def normalises_in_place() -> None:
    net, mean, deviation = classifier(), 0.25, 0.5
    once = ls.Matches(target()) + 0.1 * ls.Classified(lambda x: net((x - mean) / deviation), 1)
    wanted = search(once)

    def in_place(x: Tensor) -> Tensor:
        return net(x.sub_(mean).div_(deviation))

    def play() -> None:
        for goal in (
            ls.Matches(target()) + 0.1 * ls.Classified(in_place, 1),
            0.1 * ls.Classified(in_place, 1) + ls.Matches(target()),
        ):
            same_answer(search(goal), wanted)

    refused_or_right(play, "in place", "in-place", "inplace")


@situation("a constraint that clamps images in place", "https://github.com/pytorch/vision/issues/680")
def constraint_in_place() -> None:
    @ls.constraint
    def bright(x: Tensor) -> Tensor:
        return -x.clamp_(0, 1).mean(1)

    def play() -> None:
        result = ls.RandomSearch().search(generator(), bright + ls.Matches(target()), seed=0, run=RUN)
        same_answer(result, result)
        fine = ls.constraint(lambda x: -x.clamp(0, 1).mean(1))
        same_answer(result, ls.RandomSearch().search(generator(), fine + ls.Matches(target()), seed=0, run=RUN))

    refused_or_right(play, "in place", "in-place", "inplace")


@situation("a perceptual net whose weights want gradients")
def perceptual() -> None:
    net = classifier()
    net(torch.zeros(2, OUTPUT)).sum().backward()
    with untouched(net):
        search(ls.constraint(lambda x: (net(x) - net(target()[:1])).square().mean(1)))


@situation(
    "a discriminator with a minibatch standard deviation as a constraint",
    "https://github.com/facebookresearch/pytorch_GAN_zoo/issues/118",
)
def minibatch_deviation() -> None:
    net = classifier(1)

    @ls.constraint
    def real(x: Tensor) -> Tensor:
        return -net(x)[:, 0] - (x - x.mean(0)).square().mean()

    refused(lambda: search(real), "rows", "row", "batch")


@situation("a constraint that returns one loss for the whole batch")
def one_loss() -> None:
    refused(lambda: search(ls.constraint(lambda x: x.square().mean())), "row")


@situation("a target and outputs of torchvision's image type", "https://github.com/pytorch/vision/issues/9039")
def tensor_subclass() -> None:
    from torchvision import tv_tensors

    net = plain()
    decoder = ls.ContinuousGenerator(lambda z: tv_tensors.Image(net(z)[:, None, None]), shape=(LATENT,))
    given = tv_tensors.Image(target()[:, None, None])
    found = ls.GradientSearch().search(decoder, ls.Matches(given), seed=0, run=RUN)
    gap = float((found.latent - reference("gradient").latent).abs().max())
    expect(gap < 1e-3, f"other latents than undisturbed, by up to {gap:.3g}")


# -- labels ------------------------------------------------------------------------------------------


def plays_one_hot(dtype: torch.dtype) -> None:
    hot = F.one_hot(torch.tensor([1, 2]), CLASSES).to(dtype)
    refused(lambda: search(ls.Classified(classifier(), hot)), "index", "argmax")


@situation("one-hot labels, whole numbers", "https://github.com/facebookarchive/caffe2/issues/447")
def one_hot_whole() -> None:
    plays_one_hot(torch.int64)


@situation("one-hot labels, floating", "https://github.com/pytorch/pytorch/issues/1258")
def one_hot_floating() -> None:
    plays_one_hot(torch.float32)


@situation("one-hot labels, booleans")
def one_hot_bool() -> None:
    plays_one_hot(torch.bool)


@situation("one-hot label of one problem", "https://github.com/pytorch/pytorch/issues/3670")
def one_hot_single() -> None:
    refused(lambda: search(ls.Classified(classifier(), F.one_hot(torch.tensor([1]), CLASSES))), "index", "argmax")


@situation("labels as a column, (B, 1)")
def label_column() -> None:
    refused_or_right(lambda: same_as_labelled(classifier(), torch.tensor([[1], [2]])), "index")


@situation("labels from numpy, from a list, and as int32")
def label_kinds() -> None:
    for label in (np.array([1, 2]), [1, 2], torch.tensor([1, 2], dtype=torch.int32)):
        refused_or_right(lambda label=label: same_as_labelled(classifier(), label), "index", "tensor")


@situation("a label out of range", "https://github.com/milesial/Pytorch-UNet/issues/291")
def label_out_of_range() -> None:
    refused(lambda: search(ls.Classified(classifier(), 3)), "[0, 3)")
    refused(lambda: search(ls.Classified(classifier(), -1)), "index")


@situation("a label as a float")
def label_float() -> None:
    refused(lambda: search(ls.Classified(classifier(), 1.0)), "index")


# -- targets -----------------------------------------------------------------------------------------


def images(**settings: Any) -> ls.ContinuousGenerator:
    """Latents of 3 numbers to pictures (N, 1, 2, 4) in [0, 1]."""
    with torch.random.fork_rng([]):
        net = seeded(nn.Sequential(nn.Linear(LATENT, 8), nn.Sigmoid(), nn.Unflatten(1, (1, 2, 4)))).eval()
    return ls.ContinuousGenerator(net, shape=(LATENT,), output_range=(0, 1), **settings)


def picture(rows: int = 2) -> Tensor:
    with torch.no_grad():
        return images().decode(torch.randn(rows, LATENT, generator=torch.Generator().manual_seed(5)))


def aim(given: Any, **settings: Any) -> ls.SearchResult:
    return ls.GradientSearch().search(images(), ls.Matches(given, **settings), seed=0, run=RUN)


@situation("a target of bytes", "https://github.com/cleverhans-lab/cleverhans/issues/265")
def target_bytes() -> None:
    refused(lambda: aim((picture() * 255).to(torch.uint8)), "/ 255", "/255", "floating", "float")


@situation("a target in 0..255 for outputs in [0, 1]", FOOLBOX + "367")
def target_range() -> None:
    refused(lambda: aim((picture() * 255).round()), "range", "255", "[0, 1]", "(0, 1)")


@situation("a target in [-1, 1] for outputs in [0, 1]", FOOLBOX + "602")
def target_signed() -> None:
    refused(lambda: aim(picture() * 2 - 1), "range", "[-1, 1]", "[0, 1]", "(0, 1)")


@situation("a target that is a numpy array")
def target_numpy() -> None:
    refused_or_right(lambda: aim(picture().numpy()), "tensor", "from_numpy")


@situation("a target with channels last")
def target_channels_last() -> None:
    refused(lambda: aim(picture().movedim(1, -1)), "shape", "(2, 1, 2, 4)", "channels")


@situation("a target without the axis of problems", FOOLBOX + "82")
def target_without_rows() -> None:
    refused(lambda: aim(picture()[0]), "[none]", "row", "problem", "unsqueeze", "shape")


@situation("a target with NaN, and one that wants gradients")
def target_nan() -> None:
    bad = picture()
    bad[0, 0, 0, 0] = torch.nan
    refused(lambda: aim(bad), "nan")
    wanting = picture().requires_grad_()
    result = aim(wanting)
    expect(wanting.grad is None, "the user's target got a gradient")
    expect(torch.equal(result.latent, aim(picture()).latent), "other latents than with a plain target")
    expect(not result.score.loss.requires_grad, "a result that holds on to a graph")


@situation("a target in float64 or half precision")
def target_precision() -> None:
    wanted = aim(picture())
    for dtype in (torch.float64, torch.bfloat16):
        found = aim(picture().to(dtype))
        expect(found.latent.dtype == torch.float32, f"latents in {found.latent.dtype}")
        gap = float((found.latent - wanted.latent).abs().max())
        expect(gap < (1e-3 if dtype == torch.float64 else 0.5), f"other latents, by up to {gap:.3g}")


@situation(
    "a target that was made in inference mode", "https://github.com/lucidrains/denoising-diffusion-pytorch/issues/286"
)
def target_inference() -> None:
    with torch.inference_mode():
        given = target().clone()
    refused_or_right(lambda: same_answer(search(ls.Matches(given)), reference("gradient")), "inference")


@situation("a mask of booleans, and one of 0 and 255", FOOLBOX + "197")
def masks() -> None:
    mask = torch.zeros(1, 1, 2, 4)
    mask[..., :2] = 1
    wanted = aim(picture(), mask=mask)

    def play() -> None:
        expect(torch.allclose(aim(picture(), mask=mask.bool()).latent, wanted.latent), "a bool mask counts otherwise")

    refused_or_right(play, "float", "[0, 1]")
    refused(lambda: aim(picture(), mask=mask * 255), "[0, 1]")
    refused(lambda: aim(picture(), mask=(mask * 255).to(torch.uint8)), "[0, 1]", "float")


@situation("the user writes over the target after stating the goal", "https://github.com/pytorch/vision/issues/680")
def target_changes_later() -> None:
    given = target()
    goal = ls.Matches(given)
    wanted = reference("gradient")
    given.zero_()
    zeroed = search(ls.Matches(torch.zeros_like(given)))
    result = search(goal)
    as_it_was = torch.allclose(result.latent, wanted.latent, atol=1e-3)
    as_it_is = torch.allclose(result.latent, zeroed.latent, atol=1e-3)
    expect(as_it_was or as_it_is, "neither the target as it was nor as it is")
