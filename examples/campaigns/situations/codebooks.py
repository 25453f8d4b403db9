"""Codebooks and quantisers as they come."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import latentsearch as ls

from .situation import Situation, collector, expect, made, refused, refused_or_right, seeded, untouched

SITUATIONS: list[Situation] = []
situation = collector(SITUATIONS)

VQ = "https://github.com/lucidrains/vector-quantize-pytorch/issues/"
CODES, WIDTH, SHAPE = 6, 4, (2, 2)
METHODS: dict[str, Any] = {
    "coordinate": ls.CoordinateSearch(),
    "relaxed": ls.RelaxedSearch(),
    "random": ls.RandomSearch(),
    "straight": ls.StraightThroughSearch(),
}
RUN = ls.Run(evaluations=100)


class Picture(nn.Module):
    """Embeddings (N, 4, 2, 2) to pictures (N, 1, 4, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.out = nn.ConvTranspose2d(WIDTH, 3, 2, stride=2), nn.Conv2d(3, 1, 1)

    def forward(self, e: Tensor) -> Tensor:
        return self.out(self.up(e).tanh())


_PICTURE = made(Picture)


def picture() -> nn.Module:
    return copy.deepcopy(_PICTURE)


def book(codes: int = CODES, width: int = WIDTH, seed: int = 3) -> Tensor:
    return torch.randn(codes, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float32, device="cpu")


def grids(rows: int = 2, codes: int = CODES) -> Tensor:
    return torch.randint(codes, (rows, *SHAPE), generator=torch.Generator().manual_seed(4), device="cpu")


def decoded(z: Tensor, codebook: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return _PICTURE((book() if codebook is None else codebook)[z].movedim(-1, 1))


def goal() -> ls.Matches:
    return ls.Matches(decoded(grids()))


@functools.cache
def reference(method: str) -> ls.SearchResult:
    generator = ls.CodebookGenerator(picture(), book(), SHAPE)
    return METHODS[method].search(generator, goal(), seed=0, run=RUN)


def same_codes(result: ls.SearchResult, method: str) -> None:
    wanted = reference(method)
    expect(torch.equal(result.latent, wanted.latent), f"{method}: other codes than undisturbed")
    gap = float((decoded(result.latent) - result.output).abs().max())
    expect(gap < 1e-4, f"{method}: result.output is not what result.latent decodes to, by up to {gap:.3g}")


def agrees(
    make: Callable[[], ls.CodebookGenerator], *modules: nn.Module, methods: tuple[str, ...] = tuple(METHODS)
) -> None:
    with untouched(*modules):
        generator = make()
        for method in methods:
            same_codes(METHODS[method].search(generator, goal(), seed=0, run=RUN), method)


def decodes_right(generator: ls.CodebookGenerator, wanted: Callable[[Tensor], Tensor], codes: int = CODES) -> None:
    """The generator decodes as the user's model does, and so does what a search reports."""
    z = generator.prior.sample(ls.Noise.from_seed(0, 3))
    with torch.no_grad():
        expect(torch.allclose(generator.decode(z), wanted(z), atol=1e-4), "decodes otherwise than the model itself")
        aim = ls.Matches(wanted(z))
    result = ls.CoordinateSearch().search(generator, aim, seed=0, run=RUN)
    expect(int(result.latent.max()) < codes, "codes that there are none of")
    with torch.no_grad():
        expect(torch.allclose(wanted(result.latent), result.output, atol=1e-4), "output is not that of the latent")


@situation("the codebook is an nn.Embedding", "https://github.com/CompVis/taming-transformers/issues/135")
def embedding() -> None:
    layer = seeded(nn.Embedding(CODES, WIDTH))
    refused_or_right(lambda: agrees(lambda: ls.CodebookGenerator(picture(), layer, SHAPE)), ".weight")


@situation("the codebook is a parameter that wants gradients", VQ + "210")
def parameter() -> None:
    net, weight = picture(), nn.Parameter(book())
    agrees(lambda: ls.CodebookGenerator(net, weight, SHAPE), net)
    expect(weight.grad is None and weight.requires_grad, "the user's codebook has other flags, or a gradient")
    expect(torch.equal(weight, book()), "the user's codebook was written over")


@situation("the codebook was made in inference mode", "https://github.com/dynamiqs/dynamiqs/pull/156")
def inference_codebook() -> None:
    with torch.inference_mode():
        codes = book().clone()
    refused_or_right(lambda: agrees(lambda: ls.CodebookGenerator(picture(), codes, SHAPE)), "inference")


@situation("the codebook is transposed, (D, K)", "https://github.com/rosinality/vq-vae-2-pytorch/pull/72")
def transposed() -> None:
    refused(lambda: ls.CodebookGenerator(picture(), book().T, SHAPE), "width", "(k, d)")


@situation("the codebook has an axis of heads, (1, K, D)", VQ + "83")
def with_heads() -> None:
    refused_or_right(lambda: agrees(lambda: ls.CodebookGenerator(picture(), book()[None], SHAPE)), "(k, d)", "shape")


@situation("the codebook is a numpy array")
def numpy_codebook() -> None:
    refused_or_right(
        lambda: agrees(lambda: ls.CodebookGenerator(picture(), book().numpy(), SHAPE)), "tensor", "from_numpy"
    )


@situation(
    "a codebook in float32 and a decoder in half precision", "https://github.com/huggingface/diffusers/pull/12847"
)
def mixed_precision() -> None:
    refused(lambda: ls.CodebookGenerator(picture().bfloat16(), book(), SHAPE), "codebook.to(")


@situation("codebook and decoder in half precision")
def half_precision() -> None:
    net = picture().bfloat16()
    with untouched(net):
        generator = ls.CodebookGenerator(net, book().bfloat16(), SHAPE)
        result = ls.CoordinateSearch().search(generator, goal(), seed=0, run=RUN)
        expect(result.output.dtype == torch.float32, f"outputs in {result.output.dtype}")
        expect(torch.allclose(decoded(result.latent), result.output, atol=0.1), "output is not that of the latent")


@situation("NaN in codes that training never used", "https://github.com/EdoardoBotta/RQ-VAE-Recommender/pull/27")
def nan_unused() -> None:
    codes = torch.cat([book(), torch.full((2, WIDTH), torch.nan)])
    used = torch.arange(CODES + 2) < CODES
    net = picture()
    with untouched(net):
        generator = ls.CodebookGenerator(net, codes, SHAPE, used=used)
        for method in METHODS.values():
            result = method.search(generator, goal(), seed=0, run=RUN)
            expect(used[result.latent].all(), "an unused code is reported")
            expect(result.output.isfinite().all(), "NaN in the output")
            expect(torch.allclose(decoded(result.latent), result.output, atol=1e-4), "output is not that of the latent")


@situation("NaN in some codes, and no word on which are used", "https://github.com/nadavbh12/VQ-VAE/issues/19")
def nan_unsaid() -> None:
    codes = torch.cat([book(), torch.full((2, WIDTH), torch.nan)])
    refused(lambda: ls.CodebookGenerator(picture(), codes, SHAPE), "used=", "codebook")


@situation("used codes given by their indices", "https://github.com/CompVis/taming-transformers/issues/135")
def used_indices() -> None:
    refused(lambda: ls.CodebookGenerator(picture(), book(), SHAPE, used=torch.tensor([0, 2, 5])), "bool")
    refused(lambda: ls.CodebookGenerator(picture(), book(), SHAPE, used=np.array([0, 2, 5])), "bool")


@situation("a codebook for each position", VQ + "83")
def per_position() -> None:
    books = torch.stack([book(seed=s) for s in range(4)]).view(*SHAPE, CODES, WIDTH)
    net, rows = picture(), torch.arange(4).view(SHAPE)

    def wanted(z: Tensor) -> Tensor:
        return net(books.flatten(0, 1)[rows, z].movedim(-1, 1))

    with untouched(net):
        decodes_right(ls.CodebookGenerator(net, books, SHAPE), wanted)


@situation("residual stages in one small space, one projection out", VQ + "65")
def residual_projected() -> None:
    net, out = picture(), seeded(nn.Linear(2, WIDTH))
    stages = [book(5, 2, seed) / 2**seed for seed in range(3)]

    def model(z: Tensor) -> Tensor:
        parts = [codes[part] for codes, part in zip(stages, z.view(-1, 3, *SHAPE).unbind(1), strict=True)]
        return net(out(sum(parts)).movedim(-1, 1))

    def decoder(*e: Tensor) -> Tensor:
        return net(out(sum(e).movedim(1, -1)).movedim(-1, 1))

    with untouched(net, out):
        decodes_right(ls.CodebookGenerator(decoder, stages, [SHAPE] * 3), model, 5)


@situation("residual stages that share a codebook", VQ + "162")
def residual_shared() -> None:
    net, shared = picture(), book()

    def model(z: Tensor) -> Tensor:
        return net(shared[z.view(-1, 2, *SHAPE)].sum(1).movedim(-1, 1))

    decodes_right(ls.CodebookGenerator(lambda *e: net(sum(e)), [shared] * 2, [SHAPE] * 2), model)


@situation(
    "codes that are looked up small and projected out", "https://github.com/descriptinc/descript-audio-codec/issues/106"
)
def projected() -> None:
    net, out, small = picture(), seeded(nn.Linear(2, WIDTH)), book(CODES, 2)
    generator = ls.CodebookGenerator(net, small, SHAPE, project=out)
    decodes_right(generator, lambda z: net(out(small[z]).movedim(-1, 1)))


@situation("finite scalar quantisation, whose codebook is all combinations of levels", VQ + "107")
def scalar_levels() -> None:
    levels = torch.tensor([3, 3, 2, 2])
    basis = torch.cat([torch.ones(1, dtype=torch.int64), levels[:-1].cumprod(0)])
    digits = torch.arange(int(levels.prod()))[:, None] // basis % levels
    codes = digits.float() - (levels.float() - 1) / 2
    net = picture()
    decodes_right(ls.CodebookGenerator(net, codes, SHAPE), lambda z: net(codes[z].movedim(-1, 1)), len(codes))


@situation("lookup-free quantisation, codes of signs", VQ + "152")
def signs() -> None:
    codes = (torch.arange(16)[:, None] >> torch.arange(4) & 1).float() * 2 - 1
    net = picture()
    decodes_right(ls.CodebookGenerator(net, codes, SHAPE), lambda z: net(codes[z].movedim(-1, 1)), 16)


class Quantiser(nn.Module):
    """Nearest codes, with moving averages that move in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("embed", book())
        self.register_buffer("size", torch.ones(CODES))

    def forward(self, e: Tensor) -> Tensor:
        rows = e.movedim(1, -1)
        index = torch.cdist(rows.flatten(0, -2), self.embed).argmin(-1)
        if self.training:
            with torch.no_grad():
                self.size.mul_(0.9).add_(torch.bincount(index, minlength=CODES), alpha=0.1)
                self.embed.index_add_(0, index, 0.1 * (rows.flatten(0, -2) - self.embed[index]) + 0.01)
        found = self.embed[index].view(rows.shape)
        return (rows + (found - rows).detach()).movedim(-1, 1)


class Quantising(Picture):
    """A decoder that quantises once more, as the first stages of latent diffusion do."""

    def __init__(self) -> None:
        super().__init__()
        self.quantise = Quantiser()

    def forward(self, e: Tensor) -> Tensor:
        return super().forward(self.quantise(e))


@situation("a quantiser in the decoder, in evaluation mode", "https://github.com/CompVis/latent-diffusion/issues/218")
def quantises_again() -> None:
    net = made(Quantising)
    agrees(lambda: ls.CodebookGenerator(net, net.quantise.embed, SHAPE), net, methods=("random",))
    with untouched(net):
        decodes_right(ls.CodebookGenerator(net, net.quantise.embed, SHAPE), lambda z: decoded(z))


@situation("a quantiser in the decoder whose moving averages move", VQ + "167")
def averages_move() -> None:
    net = made(Quantising).train()
    with untouched(net):
        refused(lambda: ls.CodebookGenerator(net, net.quantise.embed, SHAPE), "eval")


@situation("a quantiser in the encoder whose moving averages move", VQ + "42")
def averages_move_on_encoding() -> None:
    net = made(Quantising)
    net.quantise.train()

    def encode(x: Tensor) -> Tensor:
        return net.quantise(nn.functional.avg_pool2d(x, 2).expand(-1, WIDTH, -1, -1))

    with untouched(net):
        refused(lambda: ls.CodebookGenerator(picture(), book(), SHAPE, encode=encode), "eval", "frozen")


@situation(
    "a decoder of codes, given where one of embeddings is asked for",
    "https://github.com/lucidrains/DALLE-pytorch/pull/329",
)
def decoder_of_codes() -> None:
    layer = nn.Embedding.from_pretrained(book())

    def decode_code(z: Tensor) -> Tensor:
        return picture()(layer(z).movedim(-1, 1))

    refused(lambda: ls.CodebookGenerator(decode_code, book(), SHAPE), "embedding")


@situation("embeddings written over by the decoder, e.mul_(scale)")
def embeddings_in_place() -> None:
    net = picture()
    refused_or_right(
        lambda: agrees(lambda: ls.CodebookGenerator(lambda e: net(e.mul_(2.0) / 2), book(), SHAPE), net),
        "in place",
        "in-place",
        "inplace",
    )


@situation("a decoder that wants channels last", VQ + "82")
def channels_last() -> None:
    net = picture()

    def decoder(e: Tensor) -> Tensor:
        expect(e.shape[-1] == WIDTH, "channels")
        return net(e.movedim(-1, 1))

    def strict(e: Tensor) -> Tensor:
        return nn.functional.linear(e, torch.eye(WIDTH)).movedim(-1, 1)

    agrees(lambda: ls.CodebookGenerator(decoder, book(), SHAPE, layout="channels_last"), net)
    grid = (2, 3)
    refused(lambda: ls.CodebookGenerator(lambda e: strict(e)[..., None], book(CODES, 4), grid), "channels_last")


@situation("@torch.inference_mode() on a decoder of codes", "https://github.com/sgl-project/sglang-omni/pull/1720")
def inference_mode() -> None:
    net = picture()
    decoder = torch.inference_mode()(lambda e: net(e))
    agrees(lambda: ls.CodebookGenerator(decoder, book(), SHAPE), net, methods=("random",))

    def play() -> None:
        result = ls.search(ls.CodebookGenerator(decoder, book(), SHAPE), goal(), seed=0, run=RUN)
        expect(torch.allclose(decoded(result.latent), result.output, atol=1e-4), "output is not that of the latent")

    refused_or_right(play, "gradient", "inference_mode", "no_grad")


@situation(
    "a decoder that quantises with no way for gradients", "https://github.com/Stability-AI/stablediffusion/issues/144"
)
def no_straight_through() -> None:
    net = picture()

    def decoder(e: Tensor) -> Tensor:
        index = torch.cdist(e.movedim(1, -1).flatten(0, -2), book()).argmin(-1)
        return net(book()[index].view(-1, *SHAPE, WIDTH).movedim(-1, 1))

    def play() -> None:
        result = ls.CoordinateSearch().search(ls.CodebookGenerator(decoder, book(), SHAPE), goal(), seed=0, run=RUN)
        expect(torch.allclose(decoded(result.latent), result.output, atol=1e-4), "output is not that of the latent")

    refused_or_right(play, "gradient")


@situation("the user goes on training the codebook after wrapping", VQ + "40")
def codebook_changes_later() -> None:
    weight, net = nn.Parameter(book()), picture()
    generator = ls.CodebookGenerator(net, weight, SHAPE)
    first = generator.decode(grids())
    with torch.no_grad():
        weight.mul_(2.0)
        wanted = {"as it was": decoded(grids()), "as it is": decoded(grids(), weight.detach())}
    result = ls.CoordinateSearch().search(generator, goal(), seed=0, run=RUN)
    with torch.no_grad():
        codes = {"as it was": book(), "as it is": weight.detach()}
        now = generator.decode(grids())
        fits = [name for name, value in wanted.items() if torch.allclose(now, value, atol=1e-4)]
        expect(len(fits) == 1, "decodes neither by the codebook as it was nor as it is")
        again = decoded(result.latent, codes[fits[0]])
    expect(torch.allclose(again, result.output, atol=1e-4), "the search and decode use two codebooks")
    expect(first.isfinite().all(), "NaN")
