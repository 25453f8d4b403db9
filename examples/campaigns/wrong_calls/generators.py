"""Decoders that are wrapped wrongly, and decoders that cannot be wrapped."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import latentsearch as ls
from examples.campaigns.wrong_calls.kit import (
    CODES,
    LINE,
    Case,
    encoded,
    encoded_codes,
    integers,
    numbers,
    small_decoder,
    small_grid_decoder,
)
from latentsearch import models
from latentsearch.adapters import GumbelMax, Quantiles, fiedler_order, principal_order
from latentsearch.adapters.patches import find_patches
from latentsearch.priors import StandardNormal, UniformCodes

BOOK = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def line(decoder: Any = None, shape: Any = (4,), **settings: Any) -> Any:
    """A decoder of vectors, wrapped."""
    return ls.ContinuousGenerator(small_decoder() if decoder is None else decoder, shape, **settings)


def grid(decoder: Any = None, codebook: Any = BOOK, shape: Any = (2, 2), **settings: Any) -> Any:
    """A decoder of codes, wrapped."""
    return ls.CodebookGenerator(small_grid_decoder() if decoder is None else decoder, codebook, shape, **settings)


class _TwoOutputs(nn.Module):
    def forward(self, z: Tensor) -> Any:
        return z, z


class _Structured(nn.Module):
    def forward(self, z: Tensor) -> Any:
        return {"sample": z}


class _Noisy(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z + torch.rand_like(z)


class _Mixing(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z - z.mean(0)


def _dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5)).train()


def _normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16)).train()


def _signed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh()).eval()


def _bytes() -> nn.Module:
    decoder = small_decoder()
    return nn.Sequential(decoder, _Times255()).eval()


class _Times255(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 255


class _Trained(nn.Module):
    """A model with dropout that makes a difference, which `wrap` takes."""

    latent_shape = (4,)

    def __init__(self) -> None:
        super().__init__()
        self.decode, self.encode = _dropping(), nn.Linear(16, 4)


class _NoEncoder(nn.Module):
    latent_shape = (4,)

    def decode(self, z: Tensor) -> Tensor:
        return z


def _shapes() -> list[Case]:
    sizes = r"positive|at least 1|whole|integers"
    return [
        Case("no shape at all", lambda: line(shape=()), ("shape")),
        Case("a shape of words", lambda: line(shape="4"), ("shape", "'4'", r"tuple|\(4,\)|whole")),
        Case("a shape of half numbers", lambda: line(shape=(4.0,)), ("shape", r"4\.0", sizes)),
        Case("a shape of nothing", lambda: line(shape=(0,)), ("shape", "0", sizes)),
        Case("a negative shape", lambda: line(shape=(-4,)), ("shape", "-4", sizes)),
        Case("a shape of True", lambda: line(shape=(True,)), ("shape", "True", sizes)),
        Case("a shape None", lambda: line(shape=None), ("shape", "None")),
        Case("a shape with rows", lambda: line(shape=(1, 4)), ("shape|latents", r"1, 4|decoder")),
        Case("a shape of a batch", lambda: line(shape=(-1, 4)), ("shape", "-1", "positive|at least|rows|without")),
        Case("another width", lambda: line(shape=(5,)), ("shape|latents", "5")),
        Case("another rank", lambda: line(shape=(4, 1, 1)), ("shape|latents", "4, 1, 1")),
        Case("a float for a shape", lambda: line(shape=4.5), ("shape", r"4\.5", r"tuple|whole|\(")),
        Case("Continuous of a word", lambda: ls.Continuous("ab"), ("shape", "ab")),
        Case("Continuous of 0", lambda: ls.Continuous((0,)), ("shape", "0", sizes)),
        Case("Discrete of one half", lambda: ls.Discrete((2.5,), 5), ("shape", r"2\.5", sizes)),
        *integers("Discrete", "codebook_size", lambda value: ls.Discrete((2, 2), value), least=1),
    ]


def _decoders() -> list[Case]:
    random = "random|determin|same latents|differ"
    evaluate = r"eval"
    return [
        Case("no decoder", lambda: ls.ContinuousGenerator(None, (4,)), ("decoder", "None", "callable|function|module")),
        Case(
            "a word for a decoder",
            lambda: line("decoder.pt|str"),
            ("decoder", "decoder.pt|str", "callable|function|module"),
        ),
        Case(
            "a state dict for a decoder",
            lambda: line(small_decoder().state_dict()),
            ("decoder", "dict", "callable|function|module"),
        ),
        Case("a class for a decoder", lambda: line(nn.Linear), ("decoder", "class|Linear")),
        Case(
            "a model with an encoder for a decoder",
            lambda: line(models.VAE((1, 8, 8), width=4, channels=4).eval()),
            ("decoder", "decode|wrap"),
        ),
        Case("dropout in train mode", lambda: line(_dropping()), ("train", evaluate)),
        Case("batch norm in train mode", lambda: line(_normalised()), ("train", evaluate)),
        Case("dropout in a function", lambda: line(lambda z: nn.functional.dropout(z, 0.5)), ("decoder", random)),
        Case("noise in the decoder", lambda: line(_Noisy().eval()), ("decoder", random)),
        Case("rows that mix", lambda: line(_Mixing().eval()), ("row", "mix|alone|by itself|other rows|batch")),
        Case(
            "a tuple from the decoder",
            lambda: line(_TwoOutputs().eval()),
            ("decoder", "tuple", r"tensor", r"\[0\]|lambda|function|output_transform"),
        ),
        Case(
            "a dict from the decoder",
            lambda: line(_Structured().eval()),
            ("decoder", "dict", "tensor", r"\[|lambda|function|output_transform"),
        ),
        Case("an array from the decoder", lambda: line(lambda z: z.numpy()), ("decoder", "ndarray|numpy", "tensor")),
        Case("None from the decoder", lambda: line(lambda z: None), ("decoder", "None", "tensor")),
        Case("one output for all rows", lambda: line(lambda z: z.sum()), ("row|shape|scalar|batch",)),
        Case("the rows summed", lambda: line(lambda z: z.sum(0)), ("row|batch|\\(4, \\*O\\)",)),
        Case("rows last", lambda: line(lambda z: z[:, :2].T), ("row|batch|\\(4, \\*O\\)",)),
        Case("NaN from the decoder", lambda: line(lambda z: z * float("nan")), ("nan|finite",)),
        Case("infinity from the decoder", lambda: line(lambda z: z / 0), ("inf|finite",)),
        Case("whole numbers from the decoder", lambda: line(lambda z: z.long()), ("int64", "float")),
        Case("bytes from the decoder", lambda: line(lambda z: (z * 255).byte()), ("uint8", "float")),
        Case("complex from the decoder", lambda: line(lambda z: torch.fft.fft(z)), ("complex", "real|float|abs")),
        Case("a decoder that raises", lambda: line(lambda z: z.bad), ("decoder", "bad")),
        Case(
            "a decoder that wants labels",
            lambda: line(lambda z, labels: z),
            ("decoder", "labels|argument", "lambda|function"),
        ),
        Case(
            "no gradient inside",
            lambda: ls.GradientSearch().search(
                line(torch.no_grad()(lambda z: z * 2)), ls.Matches(torch.zeros(1, 4)), seed=0
            ),
            ("gradient", "no_grad|detach|decoder"),
        ),
    ]


def _settings() -> list[Case]:
    order = "low|order|less|<|pair"
    rescale = r"/ 2|output_transform"
    return [
        Case("outputs in [-1, 1]", lambda: line(_signed(), output_range=(0, 1)), ("output", "range|0, 1", rescale)),
        Case("outputs to 255", lambda: line(_bytes(), output_range=(0, 1)), ("output", "range|0, 1", "255")),
        Case("a range of one", lambda: line(output_range=(0,)), ("output_range", "two|pair|low")),
        Case("a range of three", lambda: line(output_range=(0, 1, 2)), ("output_range", "two|pair|low")),
        Case("a range that is a number", lambda: line(output_range=1), ("output_range", "two|pair|low|tuple")),
        Case("a range in reverse", lambda: line(output_range=(1, 0)), ("output_range", order)),
        Case("a range of nothing", lambda: line(output_range=(0, 0)), ("output_range", order)),
        Case(
            "a range of NaN",
            lambda: line(output_range=(0, float("nan"))),
            ("output_range", "nan", "number|finite|pair|low"),
        ),
        Case("a range of words", lambda: line(output_range=("0", "1")), ("output_range", "number")),
        Case("the word of a range", lambda: line(output_range="01"), ("output_range", "number|pair|two")),
        Case(
            "no function for a transform",
            lambda: line(output_transform=255),
            ("output_transform", "255", "function|callable"),
        ),
        Case(
            "a word for a transform",
            lambda: line(output_transform="sigmoid"),
            ("output_transform", "sigmoid", "function|callable"),
        ),
        Case(
            "a transform to an array",
            lambda: line(output_transform=lambda x: x.numpy()),
            ("output_transform|decoder", "ndarray|numpy", "tensor"),
        ),
        Case(
            "a transform to None",
            lambda: line(output_transform=lambda x: None),
            ("output_transform|decoder", "None", "tensor"),
        ),
        Case(
            "a transform that mixes rows",
            lambda: line(output_transform=lambda x: x / x.max()),
            ("row", "mix|alone|batch|other"),
        ),
        Case("no function for encode", lambda: line(encode=3), ("encode", "3", "function|callable")),
        Case("encode a tensor", lambda: line(encode=torch.zeros(4)), ("encode", "tensor", "function|callable")),
        Case(
            "encode in train mode",
            lambda: line(encode=nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Dropout()).train()),
            ("encode", "train", "eval"),
        ),
        Case(
            "encode to another width",
            lambda: line(encode=nn.Sequential(nn.Flatten(), nn.Linear(64, 5)).eval()),
            ("encode", "5", "4"),
        ),
        Case(
            "encode to a pair",
            lambda: line(encode=lambda x: (x.flatten(1)[:, :4],) * 2),
            ("encode", "tuple", r"tensor|mean|\[0\]|posterior"),
        ),
        Case("no function for posterior", lambda: line(posterior=3), ("posterior", "3|int", "function|callable")),
        Case(
            "posterior of one tensor",
            lambda: line(posterior=lambda x: x.flatten(1)[:, :4]).posterior(torch.rand(1, 1, 8, 8)),
            ("posterior", "mean", "deviation|pair|two"),
        ),
        Case(
            "posterior of negative spread",
            lambda: line(posterior=lambda x: (x.flatten(1)[:, :4], -x.flatten(1)[:, :4] - 1)).posterior(
                torch.rand(1, 1, 8, 8)
            ),
            ("posterior", "deviation", "positive|log|negative"),
        ),
        Case("a device that is none", lambda: line(device="gpu"), ("device", "gpu", "cuda|cpu")),
        Case("a device that is a number of none", lambda: line(device="cuda:99"), ("device", "cuda:99|cuda")),
        Case("a device of a wrong type", lambda: line(device=1.5), ("device", r"1\.5")),
        Case(
            "a dtype by its name",
            lambda: line(dtype="float32"),
            ("dtype", "'float32'", r"torch\.float32|torch dtype|torch\."),
        ),
        Case("a dtype of whole numbers", lambda: line(dtype=torch.long), ("dtype", "int64", "float")),
        Case("a dtype of Python", lambda: line(dtype=float), ("dtype", "float", r"torch\.float32|torch\.")),
        Case(
            "a dtype that is not the weights'",
            lambda: line(dtype=torch.float64),
            ("dtype", "float64|double", "float32|float|weights"),
        ),
        Case(
            "a prior of codes",
            lambda: line(prior=UniformCodes(ls.Discrete((4,), 5))),
            ("prior", "Discrete|codes", "Continuous|continuous|space"),
        ),
        Case("a prior of another width", lambda: line(prior=StandardNormal((5,))), ("prior", "5", "4")),
        Case(
            "a prior that is a distribution",
            lambda: line(prior=torch.distributions.Normal(torch.zeros(4), torch.ones(4))),
            ("prior", "Normal", "DistributionPrior"),
        ),
        Case("a prior by name", lambda: line(prior="normal|str"), ("prior", "normal|str", "Prior|space|sample")),
        Case(
            "a prior that is a class",
            lambda: line(prior=StandardNormal),
            ("prior", "StandardNormal", r"class|instance|\("),
        ),
        Case("a check of no bool", lambda: line(check="no"), ("check", "'no'", "True|bool")),
    ]


def _grids() -> list[Case]:
    torch.manual_seed(0)
    width = nn.ConvTranspose2d(4, 1, 4, stride=4).eval()
    head = nn.Linear(3, 1).eval()
    words = r"K, D|codes.*width|rows.*width"
    masks = r"bool"
    return [
        Case(
            "a codebook as a list of lists", lambda: grid(codebook=BOOK.tolist()), ("codebook", "list|float", "tensor")
        ),
        Case("a codebook as an array", lambda: grid(codebook=BOOK.numpy()), ("codebook", "ndarray|numpy", "tensor")),
        Case(
            "a codebook as an Embedding",
            lambda: grid(codebook=nn.Embedding(5, 3)),
            ("codebook", "Embedding", "weight|tensor"),
        ),
        Case("no codebook", lambda: grid(codebook=None), ("codebook", "None", r"tensor|\(K, D\)")),
        Case("a codebook that is a size", lambda: grid(codebook=512), ("codebook", "512|int", r"tensor|\(K, D\)")),
        Case(
            "no list of codebooks",
            lambda: grid(codebook=[], shape=[]),
            ("codebook", "at least one|empty|no codebook|\\[\\]|0"),
        ),
        Case("a flat codebook", lambda: grid(codebook=BOOK.flatten()), ("codebook", r"15", words)),
        Case("a codebook of no codes", lambda: grid(codebook=BOOK[:0]), ("codebook", "0", "at least|codes|K")),
        Case("a codebook of whole numbers", lambda: grid(codebook=BOOK.long()), ("codebook", "int64", "float")),
        Case("a codebook of NaN", lambda: grid(codebook=BOOK * float("nan")), ("codebook", "nan|finite")),
        Case("a codebook with infinity", lambda: grid(codebook=BOOK / 0), ("codebook", "inf|finite")),
        Case(
            "a codebook on its side",
            lambda: grid(codebook=BOOK.T),
            ("codebook|width", "5|decoder", "codebook\\.T|transpose|K, D|width|3"),
        ),
        Case("a codebook too narrow", lambda: grid(width), ("width|codebook", "3", "4|project")),
        Case(
            "a codebook of another grid",
            lambda: grid(codebook=BOOK.expand(3, 3, 5, 3)),
            ("codebook|shape", "3, 3", "2, 2"),
        ),
        Case("a codebook on another device", lambda: grid(codebook=BOOK.to("meta")), ("codebook", "meta")),
        Case("two codebooks, one shape", lambda: grid(codebook=[BOOK, BOOK]), ("shape", "2", "list|each|one a")),
        Case("one codebook, two shapes", lambda: grid(shape=[(2, 2), (2, 2)]), ("shape|codebook", "list|two|2")),
        Case(
            "three codebooks, two shapes",
            lambda: grid(codebook=[BOOK] * 3, shape=[(2, 2)] * 2),
            ("shape|codebook", "3|2"),
        ),
        Case(
            "two grids, a decoder of one",
            lambda: grid(codebook=[BOOK] * 2, shape=[(2, 2)] * 2),
            ("decoder", r"\*e|two|2|each|argument"),
        ),
        Case("a grid of words", lambda: grid(shape="22"), ("shape", "22")),
        Case("a grid of 0", lambda: grid(shape=(0, 2)), ("shape", "0", "positive|at least|whole")),
        Case("a grid of halves", lambda: grid(shape=(2.0, 2.0)), ("shape", r"2\.0", "whole|int|positive")),
        Case("a grid of no axes", lambda: grid(shape=()), ("shape",)),
        Case("a grid of one axis, images", lambda: grid(shape=(4,)), ("shape|embeddings|latents", r"4")),
        Case("channels last, first said", lambda: grid(head), ("layout", "channels_last")),
        Case("channels first, last said", lambda: grid(layout="channels_last"), ("layout", "channels_first")),
        Case(
            "a layout of torchvision",
            lambda: grid(layout="NCHW"),
            ("layout", "NCHW", "channels_first", "channels_last"),
        ),
        Case("a layout None", lambda: grid(layout=None), ("layout", "None", "channels_first", "channels_last")),
        Case("a layout of torch", lambda: grid(layout=torch.channels_last), ("layout", "channels_first")),
        Case("a projection of no function", lambda: grid(project=4), ("project", "4", "function|callable")),
        Case("a projection that does not fit", lambda: grid(project=nn.Linear(7, 3)), ("project", "7|3|codebook")),
        Case("a projection to another width", lambda: grid(project=nn.Linear(3, 7)), ("project|width", "7")),
        Case(
            "a projection to one number",
            lambda: grid(project=lambda e: e.sum()),
            ("project", "width|shape|K, D|\\(\\)|codes"),
        ),
        Case("used by numbers", lambda: grid(used=torch.tensor([0, 1])), ("used", "int64", masks)),
        Case("used by a list", lambda: grid(used=[True] * 5), ("used", "list|True|bool", r"tensor|bool \(5,\)")),
        Case("used of another size", lambda: grid(used=torch.ones(4).bool()), ("used", "4", "5")),
        Case("used of floats", lambda: grid(used=torch.ones(5)), ("used", "float", masks)),
        Case("none used", lambda: grid(used=torch.zeros(5).bool()), ("used", "at least one|no code|none|all False")),
        Case("used by True", lambda: grid(used=True), ("used", "True|bool", r"tensor|mask|\(5,\)")),
        Case("grid: encode of no function", lambda: grid(encode="vq"), ("encode", "vq", "function|callable")),
        Case(
            "grid: encode in train mode",
            lambda: grid(encode=nn.Sequential(nn.Conv2d(1, 3, 4, 4), nn.Dropout()).train()),
            ("encode", "train", "eval"),
        ),
        Case(
            "grid: encode to another grid",
            lambda: grid(encode=nn.Conv2d(1, 3, 2, 2).eval()),
            ("encode", "4, 4|3, 4, 4", "2, 2"),
        ),
        Case("grid: encode to a width", lambda: grid(encode=nn.Conv2d(1, 7, 4, 4).eval()), ("encode", "7", "3")),
        Case(
            "grid: encode to codes beyond",
            lambda: grid(encode=lambda x: torch.full((len(x), 2, 2), 9)),
            ("encode", "9", "5|4"),
        ),
        Case(
            "grid: encode to a tuple", lambda: grid(encode=lambda x: (x, x)), ("encode", "tuple|2", "tensor|codes|one")
        ),
        Case(
            "grid: a decoder in train mode",
            lambda: grid(nn.Sequential(nn.ConvTranspose2d(3, 1, 4, 4), nn.BatchNorm2d(1)).train()),
            ("train", "eval"),
        ),
        Case(
            "grid: a decoder of codes",
            lambda: grid(nn.Sequential(nn.Embedding(5, 3))),
            ("decoder", "embedding", "int|codes|index|float"),
        ),
        Case(
            "grid: a prior of vectors",
            lambda: grid(prior=StandardNormal((2, 2))),
            ("prior", "Continuous|continuous", "Discrete|codes"),
        ),
        Case(
            "grid: a prior of more codes", lambda: grid(prior=UniformCodes(ls.Discrete((2, 2), 6))), ("prior", "6", "5")
        ),
        Case(
            "grid: a prior of another grid",
            lambda: grid(prior=UniformCodes(ls.Discrete((3, 3), 5))),
            ("prior", "3, 3", "2, 2"),
        ),
        Case(
            "grid: outputs out of range",
            lambda: grid(nn.ConvTranspose2d(3, 1, 4, 4).eval(), output_range=(5, 6)),
            ("output", "range|5, 6"),
        ),
    ]


def _adapters() -> list[Case]:
    generator, flow = encoded_codes(), StandardNormal((2, 2, 3))
    decodes = r"ContinuousGenerator|CodebookGenerator"
    return [
        Case("wrap of a decoder", lambda: ls.wrap(small_decoder()), ("latent_shape|decode", "Sequential", decodes)),
        Case("wrap of a name", lambda: ls.wrap("mnist-vae|str"), ("model", "mnist-vae|str", "zoo.load|model")),
        Case("wrap of None", lambda: ls.wrap(None), ("model", "None", "decode|model")),
        Case("wrap of a class", lambda: ls.wrap(models.VAE), ("VAE|type", "class|instance|call")),
        Case(
            "wrap of a model in train mode",
            lambda: ls.wrap(_Trained().train()),
            ("train", "eval"),
        ),
        Case("wrap without an encoder", lambda: ls.wrap(_NoEncoder()), ("encode", decodes)),
        Case("wrap of a generator", lambda: ls.wrap(encoded()), ("generator|ContinuousGenerator", "already|decode")),
        Case(
            "wrap with another range",
            lambda: ls.wrap(models.VAE((1, 8, 8), width=4, channels=4).eval(), output_range=(1, 0)),
            ("output_range",),
        ),
        Case(
            "GaussianCodes of vectors",
            lambda: ls.GaussianCodes(LINE),
            ("codes|discrete", "generator", "Continuous|continuous|vectors"),
        ),
        Case("GaussianCodes of a network", lambda: ls.GaussianCodes(small_decoder()), ("generator", "Sequential")),
        Case(
            "GaussianCodes with a prior of vectors",
            lambda: ls.GaussianCodes(CODES, StandardNormal((2, 2))),
            ("prior", "codes|Discrete|space"),
        ),
        Case(
            "GaussianCodes by a word",
            lambda: ls.GaussianCodes(CODES, by="gumbel"),
            ("by", "gumbel", "GumbelMax|CodeMap|Quantiles"),
        ),
        Case(
            "GaussianCodes by a class",
            lambda: ls.GaussianCodes(CODES, by=GumbelMax),
            ("by", "GumbelMax", "class|instance|\\("),
        ),
        Case("GaussianEmbeddings of vectors", lambda: ls.GaussianEmbeddings(LINE, flow), ("generator", "codes|embed")),
        Case("GaussianEmbeddings of no flow", lambda: ls.GaussianEmbeddings(generator, None), ("flow", "None")),
        Case(
            "GaussianEmbeddings of a prior of codes",
            lambda: ls.GaussianEmbeddings(generator, UniformCodes(generator.space)),
            ("flow", "UniformCodes|codes", "decode|RealNVP|RectifiedFlow|flow"),
        ),
        *numbers("GumbelMax", "temperature", lambda value: GumbelMax(value), below=(-1.0, 0.0)),
        *numbers("Quantiles", "temperature", lambda value: Quantiles(torch.arange(5), value), below=(-1.0,)),
        Case("Quantiles of a list", lambda: Quantiles([0, 1, 2]), ("order", "list", r"tensor|\(K,")),
        Case(
            "Quantiles of no permutation",
            lambda: Quantiles(torch.tensor([0, 0, 1])),
            ("order", "permutation|each|once|every"),
        ),
        Case("Quantiles of floats", lambda: Quantiles(torch.rand(5)), ("order", "float", "int64|permutation|whole")),
        Case(
            "Quantiles of another size",
            lambda: ls.GaussianCodes(CODES, by=Quantiles(torch.arange(4))),
            ("order", "4", "5"),
        ),
        Case("principal_order of a list", lambda: principal_order([[1.0]]), ("codebook", "list", r"tensor|\(K,")),
        Case(
            "principal_order of a vector",
            lambda: principal_order(torch.rand(5)),
            ("codebook", r"\(5,\)", "K, D|codes|2|width"),
        ),
        Case("principal_order of NaN", lambda: principal_order(BOOK * float("nan")), ("codebook", "nan|finite")),
        *integers("fiedler_order", "neighbours", lambda value: fiedler_order(BOOK, neighbours=value)),
        Case("find_patches of vectors", lambda: find_patches(LINE), ("generator", "codes|embed")),
        Case("decode of another width", lambda: encoded().decode(torch.zeros(1, 5)), ("latent|decode", "5", "4")),
        Case(
            "decode of one latent",
            lambda: encoded().decode(torch.zeros(4)),
            ("latent|decode", r"\(4,\)", "N|row|\\[None\\]|1, 4"),
        ),
        Case(
            "decode of codes beyond", lambda: generator.decode(torch.full((1, 2, 2), 7)), ("codes|latent", "7", "5|4")
        ),
        Case(
            "encode of another picture",
            lambda: encoded().encode(torch.zeros(1, 1, 9, 9)),
            ("encode|images|output", "9"),
        ),
        Case(
            "encode without an encoder",
            lambda: line().encode(torch.zeros(1, 1, 8, 8)),
            ("encode", "encode=|ContinuousGenerator|given|no encoder"),
        ),
    ]


CASES: list[Case] = [*_shapes(), *_decoders(), *_settings(), *_grids(), *_adapters()]
