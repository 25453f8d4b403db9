"""A classifier recognises the output as some class."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from latentsearch._checks import common_problems
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Constraint, Score


class Classified(Constraint):
    r"""A classifier gives the output a label.

    Args:
        classifier: Outputs ``(N, *O)`` to logits ``(N, classes)``; log-probabilities serve as well.
        label: The target class, one for all problems or ``(B,)`` int64.
        loss: ``"probability"`` for $-\log p(\mathrm{label})$, or ``"logit"`` for the negative
            logit, which does not saturate but has no lower bound.
        threshold: Satisfied where the label's probability is at least this; None for no threshold.

    Raises:
        InvalidArgument: If the classifier is in train mode, or labels or threshold are out of range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.Classified(lambda x: torch.stack([x.sum(1), -x.sum(1)], 1), label=0, threshold=0.9)
        >>> goal(torch.ones(1, 3), torch.zeros(1, 8)).satisfied
        tensor([True])
    """

    tensors: ClassVar[tuple[str, ...]] = ("label",)

    def __init__(
        self,
        classifier: Callable[[Tensor], Tensor],
        label: int | Tensor,
        *,
        loss: Literal["probability", "logit"] = "probability",
        threshold: float | None = 0.9,
    ) -> None:
        if not callable(classifier):
            raise InvalidArgument(
                "Classified.classifier",
                got=type(classifier).__name__,
                expected="a module or function from outputs to logits",
            )
        if isinstance(classifier, nn.Module) and any(part.training for part in classifier.modules()):
            raise InvalidArgument(
                "Classified.classifier", got="a module in train mode", expected="a frozen one", hint="classifier.eval()"
            )
        self.label = torch.as_tensor(label).reshape(-1)
        whole = self.label.dtype in (torch.int64, torch.int32, torch.uint8)
        if not whole or not len(self.label) or int(self.label.min()) < 0:
            raise InvalidArgument("Classified.label", got=repr(label), expected="an index of a class, or one a problem")
        self.label = self.label.long()
        if loss not in ("probability", "logit"):
            raise InvalidArgument("Classified.loss", got=repr(loss), expected="'probability' or 'logit'")
        if threshold is not None and not 0 < threshold < 1:
            raise InvalidArgument(
                "Classified.threshold", got=repr(threshold), expected="a probability in (0, 1), or None"
            )
        self.classifier, self.loss, self.threshold = classifier, loss, threshold
        self.problems = common_problems("Classified", (len(self.label),))

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        logits = self.classifier(output)
        label = self.label.expand(len(output))[:, None]
        log_probability = logits.log_softmax(1).gather(1, label)[:, 0]
        loss = -log_probability if self.loss == "probability" else -logits.gather(1, label)[:, 0]
        if self.threshold is None:
            return Score(loss)
        return Score(loss, log_probability.exp() >= self.threshold)

    def validate(self, output: Tensor, latent: Tensor) -> None:
        hint = "a classifier that expects another size or range can be wrapped: lambda x: net(resize(x))"
        try:
            logits = self.classifier(output)
        except Exception as error:
            weights = self.classifier.parameters() if isinstance(self.classifier, nn.Module) else ()
            elsewhere = {weight.device for weight in weights} - {output.device}
            if elsewhere:
                hint = f"it is on {elsewhere.pop()}, and outputs on {output.device}: classifier.to('{output.device}')"
            raise InvalidArgument(
                "Classified.classifier",
                got=f"a classifier that fails on {describe(output)} with {type(error).__name__}: {error}",
                expected="one that takes the generator's outputs",
                hint=hint,
            ) from error
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(output):
            got = describe(logits) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise InvalidArgument(
                "Classified.classifier",
                got=f"{got} for {len(output)} outputs",
                expected="logits (N, classes)",
                hint=hint,
            )
        if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones_like(logits[:, 0]), atol=1e-4):
            raise InvalidArgument(
                "Classified.classifier",
                got="probabilities: rows that sum to 1",
                expected="logits, or log-probabilities",
                hint="leave the softmax out, or take the logarithm: lambda x: net(x).log()",
            )
        if int(self.label.max()) >= logits.shape[1]:
            raise InvalidArgument(
                "Classified.label", got=str(int(self.label.max())), expected=f"a class in [0, {logits.shape[1]})"
            )
