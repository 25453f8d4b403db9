"""Decoders as they come: what they return, what they change, and what they need to run."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import pickle
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import latentsearch as ls

from .situation import (
    LATENT,
    OUTPUT,
    RUN,
    SEARCHERS,
    Plain,
    Situation,
    agrees,
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

PYTORCH = "https://github.com/pytorch/pytorch/issues/"
GRADIENT_WORDS = ("gradient", "no_grad", "inference_mode", "detach")


def wrap(decoder: Any, **settings: Any) -> ls.ContinuousGenerator:
    return ls.ContinuousGenerator(decoder, shape=(LATENT,), **settings)


def search(decoder: Any, method: str = "gradient", **settings: Any) -> ls.SearchResult:
    return SEARCHERS[method].search(wrap(decoder, **settings), ls.Matches(target()), seed=0, run=RUN)


# -- layers that drop, mix or move -------------------------------------------------------------------


class AlwaysDrops(Plain):
    def forward(self, z: Tensor) -> Tensor:
        return F.dropout(self.body(z))


class Drops(Plain):
    def forward(self, z: Tensor) -> Tensor:
        return F.dropout(self.body(z), training=self.training)


class Normed(Plain):
    def __init__(self, track: bool = True) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8, track_running_stats=track)

    def forward(self, z: Tensor) -> Tensor:
        return self.outer(self.norm(self.inner(z)))


@situation("functional dropout that evaluation mode does not reach", PYTORCH + "26338")
def functional_dropout() -> None:
    net = made(AlwaysDrops)
    with untouched(net):
        refused(lambda: wrap(net), "dropout")


@situation("functional dropout that follows the mode", "https://github.com/BogiHsu/Tacotron2-PyTorch/issues/8")
def followed_dropout() -> None:
    net = made(Drops)
    agrees(net, net)


@situation("functional dropout in train mode, behind a partial of a lambda", PYTORCH + "11999")
def dropout_behind_partial() -> None:
    net = made(Drops).train()
    with untouched(net):
        refused(lambda: wrap(functools.partial(lambda z, scale: net(z) * scale, scale=1.0)), "eval", "dropout")


@situation("batch norm in train mode behind a lambda", "https://github.com/soumith/dcgan.torch/issues/19")
def norm_behind_lambda() -> None:
    net = made(Normed).train()
    with untouched(net):
        refused(lambda: wrap(lambda z: net(z)), "eval")


@situation("batch norm in train mode as the default of an argument", "https://github.com/NVIDIA/pix2pixHD/issues/175")
def norm_as_default() -> None:
    net = made(Normed).train()
    with untouched(net):
        refused(lambda: wrap(functools.partial(lambda z, model=net: model(z))), "eval")


@situation("batch norm in train mode in a list of a class that is no module")
def norm_in_object() -> None:
    net = made(Normed).train()

    class Pipeline:
        def __init__(self) -> None:
            self.parts = [net]

        def __call__(self, z: Tensor) -> Tensor:
            return self.parts[0].forward(z)

    with untouched(net):
        refused(lambda: wrap(Pipeline()), "eval")


@situation("batch norm without running statistics, in evaluation mode", PYTORCH + "156051")
def norm_without_statistics() -> None:
    net = made(Normed, False)
    with untouched(net):
        refused(lambda: wrap(net), "rows", "track_running_stats")


@situation("spectral norm in evaluation mode", PYTORCH + "8208")
def spectral_norm() -> None:
    net = plain()
    with torch.random.fork_rng([]), torch.no_grad():
        nn.utils.parametrizations.spectral_norm(net.inner)
        gain = float(plain().inner.weight.norm() / net.eval().inner.weight.norm())
    agrees(lambda z: net.outer((net.inner(z) - net.inner.bias).mul(gain).add(net.inner.bias).tanh()), net)


@situation("spectral norm in train mode moves its vectors", "https://github.com/pytorch/pytorch/pull/8590")
def spectral_norm_in_train_mode() -> None:
    net = plain()
    with torch.random.fork_rng([]):
        nn.utils.parametrizations.spectral_norm(net.inner)
    net.train()
    with untouched(net):
        refused(lambda: wrap(net), "eval", "frozen", "deterministic")


@situation("weight norm by hooks", PYTORCH + "102981")
def weight_norm() -> None:
    net = plain()
    with contextlib.suppress(AttributeError):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nn.utils.weight_norm(net.inner)
    agrees(net, net)


@situation("weight norm as a parametrization", "https://github.com/descriptinc/descript-audio-codec/issues/81")
def weight_norm_parametrized() -> None:
    net = plain()
    nn.utils.parametrizations.weight_norm(net.inner)
    agrees(net, net)


# -- in place ----------------------------------------------------------------------------------------


class InPlace(Plain):
    def __init__(self, change: Callable[[Tensor], Tensor], undo: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change, self.undo = change, undo

    def forward(self, z: Tensor) -> Tensor:
        return self.body(self.undo(self.change(z)))


def plays_in_place(change: Callable[[Tensor], Tensor], undo: Callable[[Tensor], Tensor], method: str) -> None:
    net = made(InPlace, change, undo)

    def play() -> None:
        generator = wrap(net)
        z = torch.full((2, LATENT), 0.5)
        generator.decode(z)
        expect((z == 0.5).all(), "decode wrote over the latents that the user gave it")
        same_answer(SEARCHERS[method].search(generator, ls.Matches(target()), seed=0, run=RUN), reference(method))

    with untouched(net):
        refused_or_right(play, "in place", "in-place", "inplace")


@situation("z.div_(scale) at a decoder's door, searched by gradient", "https://github.com/pytorch/vision/issues/807")
def divides_in_place() -> None:
    plays_in_place(lambda z: z.div_(0.5), lambda z: z * 0.5, "gradient")


@situation("z.div_(scale) at a decoder's door, searched by draws", "https://github.com/pytorch/vision/issues/680")
def divides_in_place_random() -> None:
    plays_in_place(lambda z: z.div_(0.5), lambda z: z * 0.5, "random")


def clamping() -> nn.Module:
    return made(InPlace, lambda z: z.clamp_(-0.1, 0.1), lambda z: z)


def plays_clamping(method: str) -> None:
    def play() -> None:
        net = clamping()
        result = search(net, method)
        with torch.no_grad():
            again = net(result.latent.clone())
        expect(torch.allclose(again, result.output, atol=1e-4), "result.output is not what result.latent decodes to")

    refused_or_right(play, "in place", "in-place", "inplace")


@situation("z.clamp_() at a decoder's door, searched by gradient", "https://github.com/pytorch/vision/issues/517")
def clamps_by_gradient() -> None:
    plays_clamping("gradient")


@situation("z.clamp_() at a decoder's door, searched by draws", "https://github.com/pytorch/vision/issues/517")
def clamps_by_draws() -> None:
    plays_clamping("random")


@situation("latents of the user, decoded by a decoder that begins with z.clamp_()", PYTORCH + "95617")
def clamps_what_is_given() -> None:
    def play() -> None:
        generator, z = wrap(clamping()), torch.full((2, LATENT), 0.5)
        generator.decode(z)
        expect((z == 0.5).all(), "decode wrote over the latents that the user gave it")

    refused_or_right(play, "in place", "in-place", "inplace")


@situation("a first layer that is ReLU(inplace=True), searched by draws from init", PYTORCH + "95617")
def relu_in_place() -> None:
    with torch.random.fork_rng([]):
        net = seeded(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(LATENT, OUTPUT))).eval()

    def play() -> None:
        start = torch.full((2, LATENT), -0.5)
        ls.RandomSearch().search(wrap(net), ls.Matches(target()), init=start, seed=0, run=RUN)
        expect((start == -0.5).all(), "the search wrote over init")

    with untouched(net):
        refused_or_right(play, "in place", "in-place", "inplace")


@situation("a first layer that is ReLU(inplace=True), searched by gradient", PYTORCH + "95617")
def relu_in_place_by_gradient() -> None:
    with torch.random.fork_rng([]):
        net = seeded(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(LATENT, OUTPUT))).eval()
    with untouched(net):
        refused_or_right(lambda: search(net), "in place", "in-place", "inplace")


@situation("an output that is written over by the next call", PYTORCH + "104435")
def reused_buffer() -> None:
    class Reuses(Plain):
        def forward(self, z: Tensor) -> Tensor:
            output = self.body(z)
            if not hasattr(self, "kept") or self.kept.shape != output.shape:
                self.kept = torch.empty_like(output, requires_grad=False)
            with torch.no_grad():
                self.kept.copy_(output)
            return self.kept

    net = made(Reuses)

    def play() -> None:
        same_answer(search(net, "random"), reference("random"))

    refused_or_right(play, "clone", "copy", "overwritten", "written over", "same memory")


# -- state -------------------------------------------------------------------------------------------


class Recurrent(Plain):
    def __init__(self, keep: bool = False) -> None:
        super().__init__()
        self.cell, self.keep, self.state = nn.GRU(8, 8, batch_first=True), keep, None

    def forward(self, z: Tensor) -> Tensor:
        steps = self.inner(z)[:, None].expand(-1, 4, -1)
        out, state = self.cell(steps, self.state)
        self.state = state.detach() if self.keep else None
        return self.outer(out[:, -1])


@situation("a recurrent decoder", "https://github.com/meta-pytorch/captum/issues/564")
def recurrent() -> None:
    net = made(Recurrent)
    with untouched(net):
        result = search(net)
        start = wrap(net).decode(reference("gradient").candidates.latent[:, 0] * 0)
        expect(torch.allclose(net(result.latent), result.output, atol=1e-4), "output is not that of the latent")
        expect((result.score.loss <= (start - target()).square().mean(1)).all(), "worse than the zero latent")


@situation("a recurrent decoder that goes on from its last state", "https://github.com/awslabs/keys_values/issues/45")
def recurrent_with_memory() -> None:
    net = made(Recurrent, True)
    refused(lambda: wrap(net), "deterministic", "fails on latents", "rows")


class Caching(Plain):
    def __init__(self, reset: bool) -> None:
        super().__init__()
        self.reset, self.keys = reset, None

    def forward(self, z: Tensor) -> Tensor:
        keys = self.inner(z)[:, None]
        if self.reset or self.keys is None:
            self.keys = keys
        else:
            self.keys = torch.cat([self.keys, keys], 1)
        return self.outer(self.keys.mean(1).tanh())


@situation("a cache of keys that nobody empties", "https://github.com/awslabs/keys_values/issues/45")
def cache_grows() -> None:
    refused(lambda: wrap(made(Caching, False)), "deterministic", "fails on latents", "cache", "rows", "batch")


@situation("a cache of keys that each call empties", "https://github.com/awslabs/keys_values/issues/45")
def cache_reset() -> None:
    net = made(Caching, True)
    agrees(net, net)


@situation("a cache with room for so many rows", "https://github.com/ml-explore/mlx-lm/pull/1129")
def cache_of_fixed_size() -> None:
    class Fixed(Plain):
        def forward(self, z: Tensor) -> Tensor:
            room = z.new_zeros(4, 8)
            room[: len(z)] = self.inner(z)
            return self.outer(room[: len(z)].tanh())

    net = made(Fixed)
    generator = wrap(net)
    goal = ls.Matches(target(6))

    def play() -> None:
        ls.RandomSearch().search(generator, goal, seed=0, run=RUN)

    refused_or_right(play, "chunk_rows", "expanded size")
    run = ls.Run(evaluations=60, chunk_rows=4)
    result = ls.RandomSearch().search(generator, goal, seed=0, run=run)
    wanted = ls.RandomSearch().search(wrap(plain()), goal, seed=0, run=ls.Run(evaluations=60))
    same_answer(result, wanted)


@situation("a buffer that counts calls", "https://github.com/pytorch/pytorch/issues/8208")
def counting_buffer() -> None:
    class Counts(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

        def forward(self, z: Tensor) -> Tensor:
            self.calls += 1
            return self.body(z)

    net = made(Counts)
    with untouched(net):
        refused_or_right(lambda: same_answer(search(net), reference("gradient")), "buffer")


@situation("an attribute that counts calls")
def counting_attribute() -> None:
    class Counts(Plain):
        calls = 0

        def forward(self, z: Tensor) -> Tensor:
            Counts.calls += 1
            return self.body(z)

    net = made(Counts)
    agrees(net, net)


@situation("noise at every call", "https://github.com/rosinality/stylegan2-pytorch/issues/78")
def noise_random() -> None:
    class Noisy(Plain):
        def forward(self, z: Tensor, noise_mode: str = "random") -> Tensor:
            output = self.body(z)
            return output if noise_mode == "const" else output + 0.05 * torch.randn_like(output)

    net = made(Noisy)
    with untouched(net):
        refused(lambda: wrap(net), "noise")
        refused(lambda: wrap(functools.partial(net, noise_mode="random")), "noise")
    agrees(functools.partial(net, noise_mode="const"), net)


@situation("noise from numpy at every call", "https://github.com/NVlabs/stylegan2-ada-pytorch/issues/285")
def noise_of_numpy() -> None:
    def noisy(z: Tensor) -> Tensor:
        return plain()(z) + 0.05 * torch.from_numpy(np.random.default_rng().normal(size=OUTPUT)).float()

    refused(lambda: wrap(noisy), "noise")


@situation("a decoder that seeds torch's random state", "https://github.com/huggingface/diffusers/issues/175")
def reseeds() -> None:
    class Seeds(Plain):
        def forward(self, z: Tensor) -> Tensor:
            torch.manual_seed(0)
            torch.randn(4)
            return self.body(z)

    net = made(Seeds)
    agrees(net, net)


@functools.lru_cache(maxsize=4)
def positions(size: int) -> Tensor:
    return torch.linspace(0.0, 0.0, size)


class Positioned(Plain):
    def forward(self, z: Tensor) -> Tensor:
        grid = positions(z.shape[1])
        return self.body(z * (1 + grid) + grid)


@situation(
    "an encoding of positions, cached by shape at the first call",
    "https://github.com/huggingface/transformers/pull/40007",
)
def cached_by_shape() -> None:
    positions.cache_clear()
    net = made(Positioned)
    agrees(net, net)
    net(torch.randn(2, LATENT, generator=torch.Generator(), requires_grad=True)).sum().backward()


@situation("a cache that was filled in inference mode", "https://github.com/Dao-AILab/flash-attention/pull/299")
def cached_in_inference_mode() -> None:
    positions.cache_clear()
    net = made(Positioned)
    with torch.inference_mode():
        net(torch.zeros(2, LATENT))
    try:
        refused_or_right(lambda: agrees(net, net), "inference")
    finally:
        positions.cache_clear()


@situation("a decoder that prints")
def prints() -> None:
    class Prints(Plain):
        def forward(self, z: Tensor) -> Tensor:
            print("decoding", tuple(z.shape))
            return self.body(z)

    net = made(Prints)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        agrees(net, net)
    expect("decoding" in said.getvalue(), "what the decoder prints is lost")


# -- what is returned --------------------------------------------------------------------------------

Named = namedtuple("Named", ["sample"])


@dataclass
class Sampled:
    sample: Tensor


class Ordered(OrderedDict):  # type: ignore[type-arg]
    """As the outputs of transformers: a dict with attributes."""

    @property
    def sample(self) -> Tensor:
        return self["sample"]


RETURNS: dict[str, Callable[[Tensor], Any]] = {
    "tuple": lambda x: (x,),
    "list": lambda x: [x],
    "dict": lambda x: {"sample": x},
    "named tuple": Named,
    "dataclass": Sampled,
    "ordered dict": lambda x: Ordered(sample=x),
}


def plays_return(kind: str) -> None:
    net = plain()
    with untouched(net):
        refused(lambda: wrap(lambda z: RETURNS[kind](net(z))), "lambda", ".sample", "tensor")
        book = torch.eye(LATENT)
        codes = functools.partial(ls.CodebookGenerator, codebook=book, shape=(1,), layout="channels_last")
        refused(lambda: codes(lambda e: RETURNS[kind](net(e[:, 0]))), "lambda", ".sample", "tensor")


for _kind in RETURNS:
    situation(
        f"a decoder returns a {_kind}",
        "https://github.com/selftok-team/SelftokTokenizer/pull/5" if _kind == "dataclass" else "",
    )(functools.partial(plays_return, _kind))


@situation("a dataclass is picked apart in output_transform")
def transform_picks() -> None:
    net = plain()
    agrees(lambda z: Sampled(net(z)), net, output_transform=lambda out: out.sample)


@situation("a dataclass meets an output_transform of tensors", "https://github.com/huggingface/diffusers/issues/435")
def transform_of_dataclass() -> None:
    net = plain()
    refused(lambda: wrap(lambda z: Sampled(net(z)), output_transform=lambda x: (x + 1) / 2), ".sample", "a Sampled")


@situation("a decoder returns a numpy array")
def returns_numpy() -> None:
    refused(lambda: wrap(lambda z: plain()(z).detach().numpy()), "tensor")


@situation("a decoder returns bytes", "https://github.com/cleverhans-lab/cleverhans/issues/265")
def returns_bytes() -> None:
    refused(lambda: wrap(lambda z: (plain()(z).sigmoid() * 255).to(torch.uint8)), "floating")


@situation("a decoder that drops the axis of a batch of one", "https://github.com/clovaai/rexnet/pull/20")
def squeezes() -> None:
    refused(
        lambda: wrap(lambda z: plain()(z).squeeze()), "squeeze", "shape (5,)", "one row", "one latent", "batch of one"
    )


@situation("a decoder of one latent at a time")
def one_at_a_time() -> None:
    refused(lambda: wrap(lambda z: plain()(z[0])[None]), "for 8 latents", "for 4 latents", "for 2 latents")


def plays_same_memory(decoder: Callable[[Tensor], Tensor]) -> None:
    wanted = torch.randn(2, LATENT, generator=torch.Generator().manual_seed(2))
    for method in (ls.GradientSearch(), ls.RandomSearch(), ls.HalvingSearch(), ls.LangevinSearch()):
        result = method.search(wrap(decoder), ls.Matches(decoder(wanted)), seed=0, run=RUN)
        name = type(method).__name__
        expect(torch.equal(decoder(result.latent), result.output), f"{name}: output is not that of the latent")
        result.output.zero_()
        expect((result.latent != 0).any(), f"{name}: output and latent share their memory")
        best = result.trace.loss[-1]
        expect(torch.allclose(best, result.score.loss, atol=1e-4), f"{name}: trace {best}, score {result.score.loss}")


@situation("a decoder that returns its latents")
def identity() -> None:
    plays_same_memory(lambda z: z)


@situation("a decoder that returns a view of its latents")
def view() -> None:
    plays_same_memory(lambda z: z[:, None])


@situation("outputs that are expanded, or in channels_last, saved and loaded")
def strided_outputs() -> None:
    import tempfile
    from pathlib import Path

    net = plain()
    for stretch in (
        lambda x: x[:, :, None, None].expand(-1, -1, 3, 2),
        lambda x: x[:, :, None, None].repeat(1, 1, 3, 2).contiguous(memory_format=torch.channels_last),
        lambda x: x.flip(1).t().contiguous().t(),
    ):
        generator = wrap(lambda z, stretch=stretch: stretch(net(z)))
        result = ls.GradientSearch().search(generator, ls.Matches(stretch(target())), seed=0, run=RUN)
        gap = float((result.latent - reference("gradient").latent).abs().max())
        expect(gap < 1e-2, f"other latents than undisturbed, by up to {gap:.3g}")
        with tempfile.TemporaryDirectory() as folder:
            result.save(Path(folder) / "r.safetensors")
            again = ls.SearchResult.load(Path(folder) / "r.safetensors")
        expect(torch.equal(again.output, result.output), "another output after loading")


class Once(torch.autograd.Function):
    """tanh whose gradient has no gradient, as of many hand-written kernels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.tanh()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return gradient * (1 - y * y)


@situation("a hand-written kernel that can be differentiated once", "https://github.com/pytorch/pytorch/issues/122198")
def once_differentiable() -> None:
    net = plain()
    agrees(lambda z: net.outer(Once.apply(net.inner(z))), net)
    generator = wrap(lambda z: net.outer(Once.apply(net.inner(z))))
    for method in (ls.HalvingSearch(), ls.LangevinSearch(), ls.MALASearch(), ls.AutoSearch()):
        aim = ls.Matches(target(), noise=0.1) + ls.LogPrior(generator.prior)
        found = method.search(generator, aim, seed=0, run=RUN)
        wanted = method.search(wrap(net), aim, seed=0, run=RUN)
        gap = float((found.latent - wanted.latent).abs().max())
        expect(gap < 1e-2, f"{type(method).__name__}: other latents than undisturbed, by up to {gap:.3g}")


@situation("a decoder given positional and keyword arguments that it does not know")
def wants_more() -> None:
    net = plain()
    refused(lambda: wrap(lambda z, timestep: net(z)), "timestep")


@situation("a decoder that keeps gradients off its input, z.detach()", "https://github.com/pytorch/pytorch/issues/6884")
def detaches() -> None:
    net = plain()
    refused(lambda: search(lambda z: net(z.detach())), *GRADIENT_WORDS)


@situation("a decoder that goes through numpy", "https://github.com/lucidrains/vector-quantize-pytorch/issues/102")
def through_numpy() -> None:
    net = plain()

    def decode(z: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.from_numpy(net(z).numpy() * 1.0)

    same_answer(search(decode, "random"), reference("random"))
    refused(lambda: search(lambda z: torch.from_numpy(net(z).numpy() * 1.0)), *GRADIENT_WORDS, "numpy")


# -- precision and place -----------------------------------------------------------------------------


@situation("weights in half precision", "https://github.com/huggingface/diffusers/pull/12847")
def half_weights() -> None:
    net = plain().bfloat16()
    agrees(net, net, tolerance=0.15, methods=("random",))
    result = search(net, "gradient")
    expect(result.output.dtype == torch.float32 == result.latent.dtype, f"a result in {result.output.dtype}")
    expect((result.score.loss <= reference("random").score.loss + 0.05).all(), "a gradient search worse than draws")


@situation(
    "a decoder that turns itself to float32 for good",
    "https://github.com/huggingface/diffusers/pull/7858",
)
def upcasts_for_good() -> None:
    class Upcasts(Plain):
        def forward(self, z: Tensor) -> Tensor:
            if next(self.parameters()).dtype == torch.bfloat16:
                self.float()
            return self.body(z.to(next(self.parameters()).dtype))

    net = made(Upcasts).bfloat16()
    before = [p.detach().float().clone() for p in net.parameters()]
    result = search(net)
    expect(all(torch.equal(a, b.float()) for a, b in zip(before, net.parameters(), strict=True)), "other weights")
    with torch.no_grad():
        expect(torch.allclose(net(result.latent), result.output, atol=2e-2), "output is not that of the latent")


@situation(
    "a decoder that casts itself up and down at each call", "https://github.com/huggingface/diffusers/pull/11228"
)
def upcasts_each_time() -> None:
    class Upcasts(Plain):
        def forward(self, z: Tensor) -> Tensor:
            self.float()
            output = self.body(z.float())
            self.bfloat16()
            return output.bfloat16()

    net = made(Upcasts).bfloat16()
    with untouched(net):
        result = search(net, "random")
        with torch.no_grad():
            expect(
                torch.allclose(net(result.latent).float(), result.output, atol=2e-2), "not what the latent decodes to"
            )


@situation("complex weights, real outputs")
def complex_weights() -> None:
    class Wave(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(LATENT, OUTPUT, dtype=torch.complex64))

        def forward(self, z: Tensor) -> Tensor:
            return (z.to(torch.complex64) @ self.weight).real

    net = made(Wave)
    with untouched(net):
        result = search(net)
        with torch.no_grad():
            expect(torch.allclose(net(result.latent), result.output, atol=1e-4), "output is not that of the latent")
        best = torch.linalg.lstsq(net.weight.real.detach().T, target().T).solution.T
        floor = (net(best) - target()).square().mean(1)
        expect((result.score.loss <= floor + 0.2).all(), f"losses {result.score.loss.tolist()}, best {floor.tolist()}")


@situation("complex outputs")
def complex_outputs() -> None:
    refused(lambda: wrap(lambda z: torch.fft.fft(plain()(z))), "complex", "floating", "real")


class Offloaded(Plain):
    """Weights on the meta device that a hook brings for the time of a call, as accelerate does."""

    def __init__(self) -> None:
        super().__init__()
        self.full: nn.Module | None = None

    def forward(self, z: Tensor) -> Tensor:
        expect(self.full is not None, "not set up")
        return torch.func.functional_call(self.full, dict(self.full.named_parameters()), (z,))


def offloaded() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    full = plain()
    net = copy.deepcopy(full).to("meta")
    hidden = [full]

    def forward(z: Tensor) -> Tensor:
        return hidden[0](z)

    net.forward = forward  # type: ignore[method-assign]
    return net, net


@situation("offloaded weights, with the device said", "https://github.com/huggingface/accelerate/issues/1711")
def offloaded_with_device() -> None:
    net, decoder = offloaded()
    agrees(decoder, net, device="cpu")


@situation("offloaded weights, without a device", "https://github.com/huggingface/accelerate/issues/1711")
def offloaded_without_device() -> None:
    net, decoder = offloaded()
    refused_or_right(lambda: agrees(decoder, net), "device=")


@situation("weights that were never loaded", "https://github.com/johahi/borzoi-pytorch/issues/21")
def never_loaded() -> None:
    net = plain().to("meta")
    refused(lambda: wrap(net), "meta")


@situation(
    "layers that find their width at the first call", "https://github.com/galilai-group/stable-pretraining/issues/189"
)
def lazy() -> None:
    with torch.random.fork_rng([]):
        net = nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(OUTPUT)).eval()

        def play() -> None:
            result = search(net)
            expect(torch.allclose(net(result.latent), result.output, atol=1e-4), "output is not that of the latent")

        refused_or_right(play, "uninitialized", "lazy", "initial")


@situation("nn.DataParallel around the decoder", "https://github.com/epfml/attention-cnn/issues/11")
def data_parallel() -> None:
    net = plain()
    agrees(nn.DataParallel(net), net)


@situation("channels_last weights")
def channels_last() -> None:
    class Picture(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(OUTPUT, OUTPUT, 1, bias=False)

        def forward(self, z: Tensor) -> Tensor:
            picture = self.body(z)[:, :, None, None].expand(-1, -1, 2, 2).contiguous(memory_format=torch.channels_last)
            return self.up(picture).mean((2, 3))

    net = made(Picture)
    with torch.no_grad():
        net.up.weight.copy_(torch.eye(OUTPUT)[:, :, None, None])
    net = net.to(memory_format=torch.channels_last)
    agrees(net, net)


@situation("autocast as a decorator of decode", "https://github.com/Mikubill/sd-webui-controlnet/pull/1254")
def autocasts() -> None:
    class Casts(Plain):
        @torch.autocast("cpu", torch.bfloat16)
        def forward(self, z: Tensor) -> Tensor:
            return self.body(z)

    net = made(Casts)
    agrees(net, net, methods=("random",), tolerance=0.15)
    result = search(net)
    expect((result.score.loss <= reference("random").score.loss + 0.05).all(), "a gradient search worse than draws")


@situation("a decoder that leaves another default dtype behind", "https://github.com/rballester/tntorch/issues/4")
def changes_default_dtype() -> None:
    class Changes(Plain):
        def forward(self, z: Tensor) -> Tensor:
            torch.set_default_dtype(torch.float64)
            return self.body(z.to(self.inner.weight.dtype))

    net = made(Changes)
    before = torch.get_default_dtype()
    try:
        result = search(net)
    finally:
        torch.set_default_dtype(before)
    same_answer(result, reference("gradient"))
    expect(result.latent.dtype == torch.float32, f"latents in {result.latent.dtype}")


# -- no gradient to be had ---------------------------------------------------------------------------


def plays_without_gradient(decorator: Callable[[Any], Any]) -> None:
    net = plain()
    decode = decorator(lambda z: net(z))
    with untouched(net):
        same_answer(search(decode, "random"), reference("random"))
        refused(lambda: search(decode, "gradient"), *GRADIENT_WORDS)


@situation(
    "@torch.no_grad() on decode, searched by draws and by gradient",
    "https://github.com/lucidrains/vector-quantize-pytorch/issues/42",
)
def no_grad() -> None:
    plays_without_gradient(torch.no_grad())


@situation(
    "@torch.inference_mode() on decode, searched by draws and by gradient",
    "https://github.com/Comfy-Org/ComfyUI/issues/2194",
)
def inference_mode() -> None:
    plays_without_gradient(torch.inference_mode())


@situation("ls.search on a decoder under @torch.no_grad()")
def no_grad_auto() -> None:
    net = plain()
    decode = torch.no_grad()(lambda z: net(z))

    def play() -> None:
        result = ls.search(wrap(decode), ls.Matches(target()), seed=0, run=RUN)
        expect((result.score.loss < 0.5).all(), f"losses {result.score.loss.tolist()}")

    refused_or_right(play, *GRADIENT_WORDS)


@situation(
    "ls.search on a decoder under @torch.inference_mode()", "https://github.com/facebookresearch/dinov2/issues/472"
)
def inference_mode_auto() -> None:
    net = plain()
    decode = torch.inference_mode()(lambda z: net(z))

    def play() -> None:
        result = ls.search(wrap(decode), ls.Matches(target()), seed=0, run=RUN)
        expect((result.score.loss < 0.5).all(), f"losses {result.score.loss.tolist()}")

    refused_or_right(play, *GRADIENT_WORDS)


@situation("weights that were made in inference mode", "https://github.com/hiyouga/FastEdit/issues/26")
def inference_weights() -> None:
    with torch.inference_mode():
        net = plain()
    same_answer(search(net, "random"), reference("random"))
    refused_or_right(lambda: same_answer(search(net), reference("gradient")), "inference")


def plays_checkpointing(reentrant: bool) -> None:
    class Checkpointed(Plain):
        def forward(self, z: Tensor) -> Tensor:
            return self.outer(checkpoint(lambda x: self.inner(x).tanh(), z, use_reentrant=reentrant))

    net = made(Checkpointed)
    with untouched(net):
        refused_or_right(lambda: agrees(net), "use_reentrant", "checkpoint")


@situation("gradient checkpointing, reentrant", "https://github.com/kakaobrain/rq-vae-transformer/issues/26")
def checkpointing_reentrant() -> None:
    plays_checkpointing(True)


@situation("gradient checkpointing, not reentrant", "https://github.com/huggingface/diffusers/pull/3404")
def checkpointing() -> None:
    plays_checkpointing(False)
    net = plain()
    agrees(lambda z: net.outer(checkpoint(lambda x: net.inner(x).tanh(), z, use_reentrant=False)), net)


# -- traced, scripted, exported, compiled ------------------------------------------------------------


def quietly(make: Callable[[], Any]) -> Any:
    import warnings

    with warnings.catch_warnings(), torch.random.fork_rng([]):
        warnings.simplefilter("ignore")
        return make()


@situation("TorchScript: traced, scripted, frozen", PYTORCH + "21402")
def scripted() -> None:
    net = plain()
    z = torch.zeros(3, LATENT)
    for made_by in (
        lambda: torch.jit.trace(net, z),
        lambda: torch.jit.script(nn.Sequential(net.inner, nn.Tanh(), net.outer).eval()),
        lambda: torch.jit.freeze(torch.jit.script(nn.Sequential(net.inner, nn.Tanh(), net.outer).eval())),
    ):
        agrees(quietly(made_by), net, methods=("gradient",))


@situation("TorchScript of a net with dropout in train mode", PYTORCH + "11999")
def scripted_dropout() -> None:
    net = nn.Sequential(plain(), nn.Dropout()).train()
    refused(lambda: wrap(quietly(lambda: torch.jit.trace(net, torch.zeros(2, LATENT), check_trace=False))), "eval")


@situation("an exported program, for any number of rows", "https://github.com/pytorch/pytorch/pull/119466")
def exported() -> None:
    net = plain()
    rows = {0: torch.export.Dim("rows", min=1)}
    program = quietly(lambda: torch.export.export(net, (torch.zeros(3, LATENT),), dynamic_shapes=(rows,)))
    agrees(program.module(), net, methods=("gradient",))


@situation("an exported program, for two rows and no other number", PYTORCH + "117892")
def exported_fixed() -> None:
    program = quietly(lambda: torch.export.export(plain(), (torch.zeros(2, LATENT),)))
    refused(lambda: wrap(program.module()), "dynamic", "batch", "rows")


@situation("an exported program itself, which cannot be called", "https://github.com/pytorch/TensorRT/issues/2685")
def exported_program() -> None:
    program = quietly(lambda: torch.export.export(plain(), (torch.zeros(2, LATENT),)))
    refused(lambda: wrap(program), ".module()")


@situation("an exported program with dropout in train mode", PYTORCH + "151726")
def exported_dropout() -> None:
    net = nn.Sequential(plain(), nn.Dropout()).train()
    rows = {0: torch.export.Dim("rows", min=1)}
    program = quietly(lambda: torch.export.export(net, (torch.zeros(3, LATENT),), dynamic_shapes=(rows,)))
    refused(lambda: wrap(program.module()), "eval")


@situation("a compiled module", PYTORCH + "122414")
def compiled() -> None:
    net = plain()
    agrees(torch.compile(net, backend="eager"), net, methods=("gradient",))


@situation("a compiled module with batch norm in train mode", PYTORCH + "122414")
def compiled_in_train_mode() -> None:
    net = made(Normed).train()
    with untouched(net):
        refused(lambda: wrap(torch.compile(net, backend="eager")), "eval")


# -- copies and files of generators ------------------------------------------------------------------


@situation("copy.deepcopy of a generator", PYTORCH + "28594")
def deep_copy() -> None:
    generator = copy.deepcopy(wrap(plain()))
    same_answer(ls.GradientSearch().search(generator, ls.Matches(target()), seed=0, run=RUN), reference("gradient"))


@situation("a generator, a goal and a result through pickle", "https://github.com/pytorch/xla/issues/1554")
def pickles() -> None:
    generator, goal = pickle.loads(pickle.dumps((wrap(plain()), ls.Matches(target()))))
    result = ls.GradientSearch().search(generator, goal, seed=0, run=RUN)
    same_answer(pickle.loads(pickle.dumps(result)), reference("gradient"))


@situation("weights that want gradients, and have some already")
def gradients_kept() -> None:
    net = plain()
    net(torch.ones(2, LATENT)).sum().backward()
    agrees(net, net)


@situation("hooks of the user on the decoder, which count")
def hooks_kept() -> None:
    net, calls = plain(), []
    net.register_forward_hook(lambda *_: calls.append(1))
    net.inner.register_full_backward_hook(lambda *_: None)
    agrees(net, net)
    expect(len(calls) > 10, "the user's hook did not run")


@situation(
    "a scaled latent and .sample, as diffusers has it", "https://github.com/priyammaz/PyTorch-Adventures/issues/4"
)
def scaled() -> None:
    net = plain()
    agrees(lambda z: Sampled(net((z * 0.18215) / 0.18215)).sample, net)
