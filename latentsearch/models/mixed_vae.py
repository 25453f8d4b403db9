r"""A VAE with a discrete class and a continuous style.

Source: Lorberbom, Gane, Jaakkola and Hazan, *Direct optimization through arg max for discrete variational
auto-encoder* (2018), sections 5.1 and 6.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import (
    require_count,
    require_flag,
    require_one_of,
    require_one_row,
    require_positive,
    require_share,
)
from latentsearch.adapters import CodebookGenerator, ContinuousGenerator
from latentsearch.errors import InvalidArgument, describe
from latentsearch.models._mixed_loss import MixedLoss, as_weights, summed
from latentsearch.models._pixels import require_image_shape, require_pixels, require_rows
from latentsearch.models._schedule import first_number
from latentsearch.noise import Noise
from latentsearch.relaxations import (
    Annealed,
    DirectArgmax,
    Estimator,
    EstimatorOrFactory,
    require_estimator,
    resolve_estimator,
)


class MixedVAE(nn.Module):
    r"""A VAE on binary images whose latent is a class, or several, and a style: $\mathrm{diag}(z_d)\, z_c$.

    There are n variables of k categories, $z_d$, and a style row of width c for each variable and
    category, $z_c$. The decoder sees all rows, of which those of categories not chosen are zero. With
    ``shared_style`` there is one style, and the decoder sees it beside the one-hot codes: what is held
    when a class changes is then the same elements in the same place, as suits several attributes.

    The training loss is the negative bound in nats an image,

    $$\mathbb{E}_{q(z_d|x)}\bigl[-\log p(x|z_d, z_c) + \mathrm{KL}(q(z_c|x, z_d)\,\|\,N(0, I))\bigr]
    + \mathrm{KL}(q(z_d|x)\,\|\,\mathrm{uniform}),$$

    whose last term is exact. The encoder of $z_c$ learns by reparametrisation, that of $z_d$ by an
    [Estimator][latentsearch.relaxations.Estimator], and for labelled rows also by ``supervision``.

    The networks are those of section 6.1. The trunk 784-400-ReLU-200 feeds the discrete encoder
    200-100-ReLU-nk and the continuous one 200-100, 100-66, ReLU, dropout, 66-2c. The 2c = 40 outputs are the
    mean and log-variance of *one* row: each row has a layer 200-100 of its own, and the two after it are shared by
    all rows, as the paper says of its convolutional model ("layers that share parameters").
    The decoder is the trunk's mirror.

    Args:
        image_shape: ``(C, H, W)``.
        variables: n.
        categories: k.
        style: c.
        shared_style: One style for all, in place of one for each variable and category.
        widths: Of the trunk (two), of the heads, and of the last layer of the continuous encoder.
        dropout: Share of that last layer's inputs that training drops.
        estimator: How gradients pass ``z_d``: an estimator, or a function that makes one for the number that
            ``schedule`` gives. ``DirectArgmax`` at minus that number if not given.
        schedule: From the training step to that number; ``Annealed()`` if not given.
        supervision: What labelled rows add, see [supervise][latentsearch.models.MixedVAE.supervise].
        supervision_epsilon: Its width; 0.05 in the authors' program. The term is a mean over all rows of a batch,
            labelled or not: where a share s of the data has labels, 0.05 s gives them the weight that they would
            have if all had.

    Attributes:
        steps: int64, training steps made so far: ``schedule`` reads it, and a resumed fit goes on with it.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.models import MixedVAE
        >>> model = MixedVAE(widths=(32, 16, 16, 8), style=4).eval()
        >>> images, labels = torch.rand(3, 1, 28, 28).round(), torch.tensor([7, -1, -1])
        >>> sorted(model.training_terms(images, labels, ls.Noise.from_seed(0)))
        ['discrete_kl', 'expected_loss', 'supervision']
        >>> codes, style = model.encode(images)
        >>> codes.shape, style.shape, model.decode(codes, style).shape
        (torch.Size([3, 1]), torch.Size([3, 1, 4]), torch.Size([3, 1, 28, 28]))
        >>> model.style_generator(7).space, model.class_generator(style[0]).space
        (Continuous(shape=(1, 4)), Discrete(shape=(1,), codebook_size=10))
    """

    steps: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (1, 28, 28),
        *,
        variables: int = 1,
        categories: int = 10,
        style: int = 20,
        shared_style: bool = False,
        widths: tuple[int, int, int, int] = (400, 200, 100, 66),
        dropout: float = 0.5,
        estimator: EstimatorOrFactory | None = None,
        schedule: Callable[[int], float] | None = None,
        supervision: Literal["direct", "cross_entropy"] = "direct",
        supervision_epsilon: float = 0.05,
    ) -> None:
        super().__init__()
        require_image_shape("MixedVAE.image_shape", image_shape)
        require_flag("MixedVAE.shared_style", shared_style)
        _check_settings(variables, categories, style, widths, dropout, supervision, supervision_epsilon)
        self.settings = {
            "image_shape": tuple(image_shape),
            "variables": variables,
            "categories": categories,
            "style": style,
            "shared_style": shared_style,
            "widths": tuple(widths),
            "dropout": dropout,
            "supervision": supervision,
            "supervision_epsilon": supervision_epsilon,
        }
        self.image_shape, self.variables, self.categories = tuple(image_shape), variables, categories
        self.shared_style, self.dropout = shared_style, dropout
        self.supervision, self.supervision_epsilon = supervision, supervision_epsilon
        self.estimator = _direct if estimator is None else estimator
        self.schedule = Annealed() if schedule is None else schedule
        require_estimator("MixedVAE.estimator", self.estimator, first_number("MixedVAE.schedule", self.schedule))
        self.style_shape = (style,) if shared_style else (variables, style)
        pixels, codes = math.prod(image_shape), variables * categories
        rows = 1 if shared_style else codes
        wide, trunk, head, last = widths
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(pixels, wide), nn.ReLU(), nn.Linear(wide, trunk))
        self.discrete = nn.Sequential(nn.Linear(trunk, head), nn.ReLU(), nn.Linear(head, codes))
        self.rows = nn.Sequential(nn.Linear(trunk, rows * head), nn.Unflatten(1, (rows, head)), nn.Linear(head, last))
        self.row_out = nn.Linear(last, 2 * style)
        self.seen = nn.Linear(codes + style if shared_style else codes * style, trunk)
        self.decoder = nn.Sequential(nn.ReLU(), nn.Linear(trunk, wide), nn.ReLU(), nn.Linear(wide, pixels))
        self._scale()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def _scale(self) -> None:
        """First weights that keep the size of what passes.

        Seven layers of torch's own first weights shrink it to a few hundredths: the style is then
        noise to the decoder, which learns to do without.
        """
        before_relu = {self.trunk[1], self.discrete[0], self.rows[2], self.seen, self.decoder[1]}
        for layer in (layer for layer in self.modules() if isinstance(layer, nn.Linear)):
            nn.init.orthogonal_(layer.weight, math.sqrt(2) if layer in before_relu else 1.0)
            nn.init.zeros_(layer.bias)
        for weight in _weight(self.rows[0]).split(_weight(self.rows[2]).shape[1]):
            nn.init.orthogonal_(weight)
        if not self.shared_style:
            # Only the rows of the categories chosen are not zero.
            self.seen.weight.mul_(math.sqrt(self.seen.in_features / len(self.seen.weight) * self.categories))
        # What goes out starts near nothing: pixels at a half, variances at one, classes equally likely.
        variances = self.row_out.weight[len(self.row_out.weight) // 2 :]
        for weight in (_weight(self.decoder[3]), variances, _weight(self.discrete[2])):
            weight.mul_(0.2)

    # -- the encoder -------------------------------------------------------------------------------

    def logits(self, images: Tensor) -> Tensor:
        """Unnormalised log-probabilities of the categories: ``(N, C, H, W)`` to ``(N, n, k)``."""
        require_rows("MixedVAE.images", images, self.image_shape)
        return self._split(self.discrete(self.trunk(images)))

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest codes ``(N, n)``, and the mean style given them, ``(N, n, c)``, or ``(N, c)`` if shared."""
        require_rows("MixedVAE.images", images, self.image_shape)
        features = self.trunk(images)
        codes = self._split(self.discrete(features)).argmax(-1)
        mean, _ = self._style(features, None)
        if self.shared_style:
            return codes, mean[:, 0]
        chosen = codes[..., None, None].expand(-1, -1, 1, mean.shape[-1])
        return codes, self._split(mean).gather(2, chosen)[:, :, 0]

    def _split(self, codes: Tensor) -> Tensor:
        """``(N, nk, ...)`` to ``(N, n, k, ...)``."""
        return codes.reshape(len(codes), self.variables, self.categories, *codes.shape[2:])

    def _style(self, features: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of every style row, each ``(N, rows, c)``; noise, of one row, drops inputs."""
        inner = self.rows(features).relu()
        if noise is not None and self.dropout:
            # Not nn.Dropout, whose randomness is torch's: a fit resumed from a file would draw another mask.
            kept = noise.uniform(*inner.shape, dtype=inner.dtype)[0] >= self.dropout
            inner = inner * kept / (1 - self.dropout)
        mean, log_variance = self.row_out(inner).chunk(2, dim=-1)
        return mean, log_variance

    # -- the decoder -------------------------------------------------------------------------------

    def decode(self, codes: Tensor, style: Tensor) -> Tensor:
        """Pixel probabilities ``(N, C, H, W)``.

        Args:
            codes: Hard ``(N, n)`` int64, or soft ``(N, n, k)``.
            style: ``(N, n, c)``, put in the row of the category chosen; ``(N, c)`` if shared.
        """
        rows = style[:, None] if self.shared_style else style.repeat_interleave(self.categories, 1)
        parts, rest = self._parts(rows)
        return self._probabilities(rest + summed(as_weights(codes, parts), parts))

    def _parts(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What each category would add to the decoder's first layer, ``(N, n, k, H)``, and what is there anyway.

        The first layer is linear, so a code that changes changes one summand: the losses of all
        neighbours of a draw share everything up to here.

        Args:
            rows: Style rows ``(N, nk, c)``, or ``(N, 1, c)`` if shared.
        """
        weight = self.seen.weight
        if self.shared_style:
            codes = self.variables * self.categories
            parts = weight[:, :codes].T.expand(len(rows), -1, -1)
            return self._split(parts), F.linear(rows[:, 0], weight[:, codes:], self.seen.bias)
        parts = torch.einsum("nrc,hrc->nrh", rows, weight.unflatten(1, rows.shape[1:]))
        return self._split(parts), self.seen.bias.expand(len(rows), -1)

    def _probabilities(self, hidden: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(hidden)).view(-1, *self.image_shape)

    # -- training ----------------------------------------------------------------------------------

    def training_terms(self, images: Tensor, labels: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The terms of the loss on one batch, scalars in nats an image; their sum is what is minimised.

        In evaluation mode codes are drawn hard whatever the estimator: the first two terms are then
        the negative bound, with one draw an image.

        Args:
            images: ``(N, C, H, W)`` in [0, 1].
            labels: int64 ``(N, n)``, or ``(N,)`` for n = 1; negative where there is none.
            noise: One row of noise.

        Raises:
            InvalidArgument: If the images have another shape or pixels outside [0, 1], or the labels another shape
                or dtype, or name no category.
        """
        require_pixels("MixedVAE.images", images, self.image_shape)
        require_one_row("MixedVAE.noise", noise)
        labels = self._checked_labels(labels, len(images))
        features = self.trunk(images)
        logits = self._split(self.discrete(features))
        expected = self._expected_loss(images, features, logits, noise)
        log_q = logits.log_softmax(-1)
        kl = (log_q.exp() * log_q).sum((1, 2)) + self.variables * math.log(self.categories)
        terms = {"expected_loss": expected.mean(), "discrete_kl": kl.mean()}
        terms["supervision"] = self.supervise(logits, labels, noise.fold(3)).mean()
        if self.training:
            self.steps += 1
        return terms

    def _expected_loss(self, images: Tensor, features: Tensor, logits: Tensor, noise: Noise) -> Tensor:
        """``(N,)``: minus the log-likelihood plus the divergence of the styles chosen, as the estimator draws codes."""
        mean, log_variance = self._style(features, noise.fold(2) if self.training else None)
        draw = mean + (0.5 * log_variance).exp() * noise.fold(0).normal(*mean.shape, dtype=mean.dtype)[0]
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
        # One style for all: each variable's chosen category carries its share.
        kl = kl[..., None] / self.variables if self.shared_style else self._split(kl)
        loss = MixedLoss(self.decoder, images.flatten(1), *self._parts(draw), kl.expand_as(logits))
        draws = noise.fold(1).split(len(images))
        if self.training:
            return resolve_estimator(self.estimator, self.schedule(int(self.steps)))(logits, loss, draws)
        return loss(draws.categorical(logits), torch.arange(len(images), device=images.device))

    def supervise(self, logits: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        r"""What labels add to the loss of each row, ``(N,)``; nothing where there is none.

        A loss that is 0 at the label y and infinite elsewhere makes y the second arg-max of theorem 1
        (equation 10) at every $-\epsilon < 0$: "the label replaces the perturbed arg-max". So the
        estimate for the logits is

        $$\tfrac{1}{-\epsilon}\bigl(\mathrm{onehot}(y) - \mathrm{onehot}(z^{\phi+\gamma})\bigr)
        = \tfrac1\epsilon\bigl(\mathrm{onehot}(z^{\phi+\gamma}) - \mathrm{onehot}(y)\bigr).$$

        As $z^{\phi+\gamma}$ is a draw from the softmax, this averages over $\gamma$ to the gradient of
        the cross-entropy divided by $\epsilon$: the direct estimate is the cross-entropy's, from one draw, which
        says nothing where the draw is right. ``supervision="cross_entropy"`` is the average itself, as in Kingma
        et al., *Semi-supervised learning with deep generative models* (2014), with $1/\epsilon$ for their weight. The
        value is the cross-entropy over $\epsilon$ for both.

        Args:
            logits: ``(N, n, k)``.
            labels: ``(N, n)`` int64, negative where there is none.
            noise: One row.
        """
        known = (labels >= 0)[..., None]
        expected = F.one_hot(labels.clamp(min=0), self.categories).to(logits.dtype)
        loss = -(logits.log_softmax(-1) * expected * known).sum((1, 2)) / self.supervision_epsilon
        if self.supervision == "cross_entropy":
            return loss
        drawn = F.one_hot(noise.split(len(logits)).categorical(logits.detach()), self.categories)
        estimate = known * (drawn - expected) / self.supervision_epsilon
        return loss.detach() + (estimate * (logits - logits.detach())).sum((1, 2))

    def _checked_labels(self, labels: Tensor, rows: int) -> Tensor:
        """Labels as int64 ``(N, n)``.

        Raises:
            InvalidArgument: If they have another shape or dtype, or name no category.
        """
        expected = f"int64 ({rows}, {self.variables}){f' or ({rows},)' if self.variables == 1 else ''}"
        shaped = labels[:, None] if labels.ndim == 1 and self.variables == 1 else labels
        if labels.dtype != torch.int64 or tuple(shaped.shape) != (rows, self.variables):
            raise InvalidArgument("MixedVAE.labels", got=describe(labels), expected=expected)
        if bool((shaped >= self.categories).any()):
            got = f"a label {int(shaped.max())}"
            raise InvalidArgument("MixedVAE.labels", got=got, expected=f"below {self.categories}, or -1 for none")
        return shaped

    # -- searching ---------------------------------------------------------------------------------

    def style_generator(self, label: int | Tensor) -> ContinuousGenerator:
        """A generator of images of one class, whose style is searched; for a model in evaluation mode.

        Args:
            label: The class, or ``(n,)`` int64.
        """
        codes = torch.as_tensor(label, device=self.steps.device).reshape(-1)
        codes = self._checked_labels(codes[None], 1)[0]
        if bool((codes < 0).any()):
            raise InvalidArgument("MixedVAE.label", got=str(codes.tolist()), expected="a category for each variable")
        return ContinuousGenerator(lambda style: self.decode(codes.expand(len(style), -1), style), self.style_shape)

    def class_generator(self, style: Tensor) -> CodebookGenerator:
        """A generator of images of one style, whose classes are searched; for a model in evaluation mode.

        Args:
            style: ``(n, c)``, or ``(c,)`` if shared: one row of what ``encode`` gives.
        """
        if tuple(style.shape) != self.style_shape:
            raise InvalidArgument("MixedVAE.style", got=describe(style), expected=str(self.style_shape))
        with torch.no_grad():
            rows = style[None, None] if self.shared_style else style[None].repeat_interleave(self.categories, 1)
            parts, rest = self._parts(rows)
        return CodebookGenerator(
            lambda e: self._probabilities(rest + e.sum(1)), parts[0], (self.variables,), layout="channels_last"
        )


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Linear)
    return layer.weight


def _direct(width: float) -> Estimator:
    return DirectArgmax(epsilon=-width)


def _check_settings(
    variables: int,
    categories: int,
    style: int,
    widths: tuple[int, ...],
    dropout: float,
    supervision: str,
    epsilon: float,
) -> None:
    for name, value, least in (("variables", variables, 1), ("categories", categories, 2), ("style", style, 1)):
        require_count(f"MixedVAE.{name}", value, least)
    if not isinstance(widths, Sequence) or len(widths) != 4:
        expected = "four: the trunk's two, the heads', the last"
        raise InvalidArgument("MixedVAE.widths", got=repr(widths), expected=expected)
    for width in widths:
        require_count("MixedVAE.widths", width)
    require_share("MixedVAE.dropout", dropout, ends="[)")
    require_one_of("MixedVAE.supervision", supervision, ("direct", "cross_entropy"))
    require_positive("MixedVAE.supervision_epsilon", epsilon)
