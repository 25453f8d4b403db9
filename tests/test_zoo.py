"""The embedded models: they load frozen, they are worth what is said, and a wrong file is named."""

from __future__ import annotations

from importlib.resources import files

import pytest
import torch

import latentsearch as ls
from latentsearch import _checkpoint, models, zoo
from latentsearch.zoo import _weights


@pytest.mark.parametrize("name", zoo.names())
def test_models_come_frozen(name: str) -> None:
    state = torch.random.get_rng_state()
    model = zoo.load(name)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model(zoo.images()[0]).shape == (20, 10) if name == "mnist-classifier" else ls.wrap(model)


def test_images_are_two_of_each_digit() -> None:
    images, labels = zoo.images()
    assert images.shape == (20, 1, 28, 28)
    assert images.min() == 0 and images.max() == 1
    assert labels.tolist() == [digit for digit in range(10) for _ in range(2)]


@pytest.mark.parametrize("name", ["mnist-vqvae-512", "mnist-vqvae-40", "mnist-vae"])
def test_autoencoders_reconstruct(name: str) -> None:
    generator, (images, _) = ls.wrap(zoo.load(name)), zoo.images()
    error = (generator.decode(generator.encode(images)) - images).square().mean()
    # Twenty images scatter about the error on ten thousand.
    assert error < 1.5 * zoo.figures(name)["test_mse"]


def test_classifier_classifies() -> None:
    images, labels = zoo.images()
    assert (zoo.load("mnist-classifier")(images).argmax(1) == labels).float().mean() >= 0.9


@pytest.mark.parametrize("call", [zoo.load, zoo.figures])
@pytest.mark.parametrize("name", ["mnist", "mnist-images", "../mnist-vae"])
def test_an_unknown_name_lists_the_names(call, name: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=r"mnist-vqvae-512.*mnist-classifier"):
        call(name)


def test_weights_are_small() -> None:
    sizes = [len(file.read_bytes()) for file in (files("latentsearch.zoo") / "weights").iterdir()]
    assert sum(sizes) < 4_500_000


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape", "nan"])
def test_wrong_weights_are_a_broken_file(fault: str) -> None:
    model = models.Classifier((1, 28, 28))
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    name = next(iter(weights))
    if fault == "missing":
        del weights[name]
    elif fault == "unexpected":
        weights["more"] = torch.zeros(1)
    elif fault == "shape":
        weights[name] = torch.zeros(1)
    else:
        weights[name].fill_(torch.nan)
    with pytest.raises(ls.BrokenFile, match=r"do not fit|NaN"):
        _weights._fill(model, weights, "mnist-classifier")


def test_averages_of_a_codebook_may_be_absent_but_not_its_codes() -> None:
    model = models.VQVAE((1, 28, 28), codebook_size=4, channels=8)
    averages = {"codes.counts", "codes.sums", "codes.placed"}
    weights = {n: t for n, t in model.state_dict().items() if n not in averages}
    _weights._fill(model, weights, "small")
    del weights["codes.vectors"]
    with pytest.raises(ls.BrokenFile, match=r"codes\.vectors"):
        _weights._fill(model, weights, "small")


def test_a_file_of_another_kind_is_refused() -> None:
    path = files("latentsearch.zoo") / "weights" / "mnist-images.safetensors"
    with pytest.raises(ls.BrokenFile, match="'images'"):
        _checkpoint.load(str(path), kind="model")


@pytest.mark.parametrize("name", ["mnist-vae", "mnist-vqvae-512", "mnist-vqvae-40"])
def test_a_search_takes_the_zoo_as_it_does_on_a_card(name: str) -> None:
    from test_cuda import searches_the_zoo

    searches_the_zoo(name, ls.RandomSearch(batch=4), "cpu")
