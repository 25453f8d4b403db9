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


def test_a_model_carries_its_prior_and_reads_it_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    inner = _weights.priors.load

    def counted(*args: object, **kwargs: object) -> object:
        nonlocal read
        read += 1
        return inner(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(_weights.priors, "load", counted)
    generator = ls.wrap(zoo.load("mnist-vqvae-512"))
    assert read == 0 and generator.prior.space == generator.space
    z, whole = generator.encode(zoo.images()[0][:2]), zoo.prior("mnist-vqvae-512")
    assert torch.equal(generator.prior.log_prob(z), whole.log_prob(z))
    assert isinstance(generator.prior, ls.ConditionalPrior) and generator.prior.cost == whole.cost and read == 2
    assert generator.prior.figures == whole.figures and generator.prior.residuals.shape == whole.residuals.shape
    assert generator.prior.to("cpu") is generator.prior and generator.prior.to("meta").space == generator.space
    assert isinstance(ls.wrap(zoo.load("mnist-vqvae-512"), prior=None).prior, ls.priors.UniformCodes)
    assert isinstance(ls.wrap(zoo.load("mnist-vqvae-40")).prior, ls.priors.UniformCodes)


def test_searches_of_other_losses_are_the_same_with_the_prior_and_without() -> None:
    images, run = zoo.images()[0][:1], ls.Run(evaluations=50)
    model = zoo.load("mnist-vqvae-512")
    carrying, uniform = ls.wrap(model), ls.wrap(model, prior=None)
    for searcher in (ls.RelaxedSearch(), ls.RandomSearch(), ls.EvolutionSearch(), ls.search):
        search = searcher if callable(searcher) else searcher.search
        found = [search(generator, ls.Matches(images), seed=0, run=run) for generator in (carrying, uniform)]
        assert torch.equal(found[0].latent, found[1].latent)


def test_a_likelihood_alone_is_sampled_by_the_prior_that_the_generator_has() -> None:
    images, generator = zoo.images()[0][:1], ls.wrap(zoo.load("mnist-vqvae-512"))
    chosen = ls.AutoSearch().choose
    assert isinstance(chosen(generator, ls.Matches(images, noise="decoder")), ls.GibbsSearch)
    assert isinstance(chosen(generator, ls.Matches(images, noise=0.1) + ls.LogPrior(generator.prior)), ls.GibbsSearch)
    for goal in (ls.Matches(images), ls.Matches(images, noise=0.1) + ls.Satisfies(lambda x: x.mean((1, 2, 3)))):
        assert not isinstance(chosen(generator, goal), ls.GibbsSearch)


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
