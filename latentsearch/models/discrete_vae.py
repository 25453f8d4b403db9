"""A variational autoencoder of discrete variables, trained by any gradient estimator.

Source: Lorberbom, Gane, Jaakkola and Hazan, *Direct optimization through arg max for discrete
variational auto-encoder* (2018), sections 3, 5.2 and 6.1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import require_count, require_flag, require_one_of, require_one_row
from latentsearch.errors import InvalidArgument
from latentsearch.models._pixels import require_image_shape, require_pixels, require_rows
from latentsearch.models._products import softplus_sums, softplus_total
from latentsearch.models._schedule import first_number
from latentsearch.noise import Noise
from latentsearch.relaxations import Annealed, EstimatorOrFactory, GumbelSoftmax, require_estimator, resolve_estimator

Likelihood = Literal["bernoulli", "gaussian"]


class DiscreteVAE(nn.Module):
    r"""A VAE whose code is n variables of k categories each, with a uniform prior.

    The encoder gives independent logits $\phi_i(x, z_i)$; the training loss is $-\log p(x|z)$ at the
    estimator's sample plus the exact $\mathrm{KL}(q(z|x)\,\|\,p(z)) = \sum_i \mathrm{KL}(q_i \| p_i)$
    (section 5.2), in nats an image, a mean over the batch. The estimator hands the encoder its
    gradient of the first term; all else is back-propagation.

    In evaluation mode the first term is that of hard codes drawn from q, whatever the estimator.

    ``latentsearch.wrap(model)`` makes a [CodebookGenerator][latentsearch.CodebookGenerator] of it: the
    embedding of category j of variable i is what it adds to the decoder's first layer.

    Args:
        image_shape: ``(C, H, W)``.
        variables: n.
        categories: k.
        hidden: Widths of hidden layers of the encoder, each followed by a ReLU; the decoder is its
            mirror. Empty: one linear layer each way, as in section 6.1.
        likelihood: "bernoulli" for pixels in [0, 1], best binary; "gaussian" of unit variance about the
            tanh of the output (Figure 6), without its constant.
        estimator: An [Estimator][latentsearch.relaxations.Estimator], or a factory of them from the
            schedule's number: ``GumbelSoftmax``, ``lambda epsilon: DirectArgmax(-epsilon)``. One that is a
            module, as Relax is, is a part of the model and learns with it.
        schedule: From a training step to that number; `Annealed()` if not given.
        warm_up: Training steps over which the weight of the KL rises from 0 to 1. From the start at full
            weight it may switch variables off before the decoder has learnt to use them [Bowman et al.,
            *Generating sentences from a continuous space*, 2016].
        compiled: Compile the losses of all single swaps with ``torch.compile``, for estimators that
            ask for them and a linear Bernoulli decoder. It takes a minute, once, and a C++ compiler.

    Raises:
        InvalidArgument: If a number is not positive, or the likelihood is unknown.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.models import DiscreteVAE
        >>> from latentsearch.relaxations import LocalExpectation
        >>> model = DiscreteVAE((1, 8, 8), variables=5, categories=3, estimator=LocalExpectation())
        >>> terms = model.training_terms(torch.rand(2, 1, 8, 8).round(), ls.Noise.from_seed(0, 1))
        >>> sorted(terms), model.eval().decode(torch.zeros(2, 5, dtype=torch.int64)).shape
        (['kl', 'reconstruction'], torch.Size([2, 1, 8, 8]))
    """

    steps: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        variables: int = 20,
        categories: int = 10,
        hidden: Sequence[int] = (),
        likelihood: Likelihood = "bernoulli",
        estimator: EstimatorOrFactory = GumbelSoftmax,
        schedule: Callable[[int], float] | None = None,
        warm_up: int = 0,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        _check(image_shape, variables, categories, hidden, likelihood)
        require_count("DiscreteVAE.warm_up", warm_up, least=0)
        require_flag("DiscreteVAE.compiled", compiled)
        self.settings = {
            "image_shape": tuple(image_shape),
            "variables": variables,
            "categories": categories,
            "hidden": tuple(hidden),
            "likelihood": likelihood,
        }
        self.image_shape, self.latent_shape, self.categories = tuple(image_shape), (variables,), categories
        self.likelihood, self.warm_up, self.compiled = likelihood, warm_up, compiled
        sizes = [math.prod(image_shape), *hidden, variables * categories]
        self.encoder = nn.Sequential(nn.Flatten(), _layers(sizes))
        self.decoder = _layers(sizes[::-1])
        self.estimator = estimator
        self.schedule = Annealed() if schedule is None else schedule
        require_estimator("DiscreteVAE.estimator", estimator, first_number("DiscreteVAE.schedule", self.schedule))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    # -- the model ---------------------------------------------------------------------------------

    def posterior(self, images: Tensor) -> Tensor:
        """Logits of q(z|x): ``(N, C, H, W)`` to ``(N, n, k)``."""
        require_rows("DiscreteVAE.images", images, self.image_shape)
        logits: Tensor = self.encoder(images)
        return logits.view(-1, *self.latent_shape, self.categories)

    def encode(self, images: Tensor) -> Tensor:
        """The likeliest codes, int64 ``(N, n)``."""
        return self.posterior(images).argmax(-1)

    @property
    def codebook(self) -> Tensor:
        """``(n, k, D)``: what each category adds to the decoder's first layer, of width D."""
        return self._first.weight.T.view(*self.latent_shape, self.categories, -1)

    def decode_embedding(self, embedding: Tensor) -> Tensor:
        """Embeddings, channels first, ``(N, D, n)`` to images ``(N, C, H, W)``."""
        output = self._after(embedding.sum(-1) + self._first.bias)
        return self.squashed(output).view(-1, *self.image_shape)

    def decode(self, z: Tensor) -> Tensor:
        """Hard ``(N, n)`` or soft ``(N, n, k)`` codes to images ``(N, C, H, W)``."""
        return self.squashed(self.output(z)).view(-1, *self.image_shape)

    def output(self, z: Tensor) -> Tensor:
        """What the decoder's last layer gives at hard or soft codes, ``(N, C * H * W)``."""
        return self.decoder((z if z.is_floating_point() else self.one_hot(z)).flatten(1))  # type: ignore[no-any-return]

    def one_hot(self, z: Tensor) -> Tensor:
        """Hard codes ``(N, n)`` to vectors ``(N, n, k)`` of the decoder's dtype."""
        return F.one_hot(z, self.categories).to(self._first.weight.dtype)

    def squashed(self, output: Tensor) -> Tensor:
        """The last layer's output as pixels."""
        return output.sigmoid() if self.likelihood == "bernoulli" else output.tanh()

    @property
    def _first(self) -> nn.Linear:
        layer = self.decoder[0]
        assert isinstance(layer, nn.Linear)
        return layer

    def _after(self, hidden: Tensor) -> Tensor:
        """The decoder without its first layer."""
        output: Tensor = self.decoder[1:](hidden)
        return output

    # -- training ----------------------------------------------------------------------------------

    def loss(self, images: Tensor) -> PictureLoss:
        """-log p(x|z) of some images, as estimators ask for it."""
        return PictureLoss(self, images)

    def training_terms(self, images: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The two terms of the negative bound, scalars in nats an image; the KL by its weight of the moment.

        Args:
            images: ``(N, C, H, W)``.
            noise: One row of noise.

        Raises:
            InvalidArgument: If the images have another shape, or pixels that the likelihood has no chance for.
        """
        self._check_images(images)
        require_one_row("DiscreteVAE.noise", noise)
        logits, loss = self.posterior(images), self.loss(images)
        rows = noise.to(images.device).split(len(images))
        kl = categorical_kl(logits).mean()
        if self.training:
            surrogate = resolve_estimator(self.estimator, self.schedule(int(self.steps)))(logits, loss, rows)
            self.steps += 1
            kl = kl * min(1.0, int(self.steps) / self.warm_up) if self.warm_up else kl
        else:
            surrogate = loss(rows.categorical(logits), torch.arange(len(images), device=images.device))
        return {"reconstruction": surrogate.mean(), "kl": kl}

    @torch.no_grad()
    def bound(self, images: Tensor, noise: Noise, *, samples: int = 100) -> Tensor:
        """The negative bound ``(N,)`` in nats: hard codes drawn from q, and the exact KL.

        Args:
            images: ``(N, C, H, W)``.
            noise: One row of noise.
            samples: Draws, over which the mean is taken.

        Raises:
            InvalidArgument: If there are no samples, or the images are none of this model's.
        """
        require_count("DiscreteVAE.bound.samples", samples)
        require_one_row("DiscreteVAE.bound.noise", noise)
        self._check_images(images)
        logits, loss = self.posterior(images), self.loss(images)
        row, noise = torch.arange(len(images), device=images.device), noise.to(images.device)
        draws = (loss(noise.fold(s).split(len(images)).categorical(logits), row) for s in range(samples))
        return sum(draws, torch.zeros_like(logits[:, 0, 0])) / samples + categorical_kl(logits)

    def _check_images(self, images: Tensor) -> None:
        require_pixels("DiscreteVAE.images", images, self.image_shape, -1 if self.likelihood == "gaussian" else 0)


class PictureLoss:
    """-log p(x|z) of some images, with all single swaps of their codes at once.

    A [NeighbourhoodLoss][latentsearch.relaxations.NeighbourhoodLoss]: only what a swap changes is done
    again. That is a difference of two rows of the first layer; for a linear Bernoulli decoder even
    the last exponentials are shared.
    """

    def __init__(self, model: DiscreteVAE, images: Tensor) -> None:
        self.model, self.images = model, images.flatten(1)

    def __call__(self, z: Tensor, row: Tensor) -> Tensor:
        """``(M,)``, in nats."""
        return self._of(self.model.output(z), self.images[row])

    def _of(self, output: Tensor, images: Tensor) -> Tensor:
        if self.model.likelihood == "gaussian":
            return 0.5 * (output.tanh() - images).square().sum(-1)
        positive = F.softplus(output).sum(-1) if output.requires_grad else softplus_total(output)
        return positive - (output * images).sum(-1)

    @torch.no_grad()
    def neighbourhood(self, z: Tensor, code: Tensor | None) -> Tensor:
        """``(N, n, C)``: the losses with each of some codes put at each variable, or all k."""
        weight, base = self.model.codebook, self.model._first(self.model.one_hot(z).flatten(1))
        if len(self.model.decoder) == 1 and self.model.likelihood == "bernoulli" and code is None:
            return self._linear(base, z, weight)
        losses = []
        for p in range(z.shape[1]):
            put = weight[p][None] if code is None else weight[p, code[:, p]]
            output = self.model._after((base - weight[p, z[:, p]])[:, None] + put)
            losses.append(self._of(output, self.images[:, None]))
        return torch.stack(losses, 1)

    def _linear(self, base: Tensor, z: Tensor, weight: Tensor) -> Tensor:
        inner = (self.images @ weight.flatten(0, 1).T).view(-1, *weight.shape[:2])
        linear = (base * self.images).sum(1)[:, None, None] - inner.gather(-1, z[..., None]) + inner
        return softplus_sums(base, z, weight, compiled=self.model.compiled) - linear


def categorical_kl(logits: Tensor) -> Tensor:
    """``(N,)``: KL in nats from the uniform distribution, summed over variables; logits ``(N, n, k)``."""
    log_q = logits.log_softmax(-1)
    return (log_q.exp() * (log_q + math.log(logits.shape[-1]))).sum((-2, -1))


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with a ReLU between any two."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _check(
    image_shape: tuple[int, int, int], variables: int, categories: int, hidden: Sequence[int], likelihood: str
) -> None:
    require_image_shape("DiscreteVAE.image_shape", image_shape)
    if not isinstance(hidden, Sequence):
        raise InvalidArgument("DiscreteVAE.hidden", got=repr(hidden), expected="a sequence of widths, such as (300,)")
    numbers = {"variables": [variables], "categories": [categories], "hidden": hidden}
    for name, values in numbers.items():
        for value in values:
            require_count(f"DiscreteVAE.{name}", value)
    require_one_of("DiscreteVAE.likelihood", likelihood, get_args(Likelihood))
