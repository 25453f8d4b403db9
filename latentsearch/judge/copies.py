"""Whether answers are copies of what was trained on."""

from __future__ import annotations

from torch import Tensor

from latentsearch.errors import InvalidArgument
from latentsearch.judge._neighbours import nearest_distance
from latentsearch.judge._samples import as_points, same_width


def memorisation(answers: Tensor, training: Tensor, test: Tensor) -> float:
    """The median distance of answers to the nearest training sample, over that of test samples.

    About 1 where answers are as new as test data are, towards 0 where they are copies. Decoders smooth, and smooth
    images have nearer neighbours: give the reconstructions of the test images for ``test``.

    Source: the comparison of van den Burg and Williams, [*On Memorization in Probabilistic Deep Generative
    Models*](https://arxiv.org/abs/2106.03216) (2021), and of Meehan, Chaudhuri and Dasgupta,
    [*A Non-Parametric Test to Detect Data-Copying*](https://arxiv.org/abs/2004.05675) (2020), in one number.

    Args:
        answers: ``(N, ...)`` images or features.
        training: ``(M, ...)``, all that the prior and the decoder were trained on.
        test: ``(T, ...)``, of the same kind, and not trained on.

    Raises:
        InvalidArgument: If the shapes differ, a number is not finite, or most of ``test`` is in ``training``.

    Example:
        >>> import latentsearch as ls
        >>> training, test, new = ls.Noise.from_seed(0, 900).normal(4).split(300)
        >>> ls.judge.memorisation(training[:50], training, test)
        0.0
        >>> 0.8 < ls.judge.memorisation(new, training, test) < 1.2
        True
    """
    known = as_points("memorisation.training", training, least=1)
    median = []
    for name, samples in (("answers", answers), ("test", test)):
        points = as_points(f"memorisation.{name}", samples, least=1)
        same_width(f"memorisation.{name}", points, known, "as many as training samples have")
        median.append(float(nearest_distance(points, known).median()))
    if not median[1]:
        raise InvalidArgument("memorisation.test", got="copies of training samples", expected="samples not trained on")
    return median[0] / median[1]
