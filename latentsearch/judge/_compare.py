"""What is measured of answers to many problems together, beside data of the same number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from latentsearch.judge._samples import halves, shuffled
from latentsearch.judge.fidelity import density_coverage
from latentsearch.judge.frechet import frechet_distance
from latentsearch.judge.intervals import Interval
from latentsearch.judge.judgement import Measure
from latentsearch.judge.kernel import kernel_distance
from latentsearch.judge.kolmogorov import kolmogorov_distance

Statistic = Callable[[Tensor, Tensor], float]  # of real points and of others


@dataclass(frozen=True)
class Sample:
    """The same number of answers and of data, and as many data again.

    One answer a problem is taken at a time: answers to one problem resemble each other, and all together would pass
    for more than they are. The second half of the data scores what a perfect answer would, the floor.

    Attributes:
        answers: ``(R, n, d)``.
        best: ``(n, d)``, or None.
        real: ``(n, d)``.
        others: ``(n, d)``: of data, too.
    """

    answers: Tensor
    best: Tensor | None
    real: Tensor
    others: Tensor

    @staticmethod
    def drawn(answers: Tensor, best: Tensor | None, real: Tensor, seed: int) -> Sample:
        """From answers ``(B, R, d)``, the best ``(B, d)``, and data ``(N, d)``."""
        one, other = halves(len(real), len(answers), seed, real.device)
        chosen = shuffled(len(answers), seed, 0x50524F42, answers.device)[: len(one)]  # "PROB"
        kept = None if best is None else best[chosen]
        return Sample(answers[chosen].transpose(0, 1), kept, real[one], real[other])

    def measure(self, statistic: Statistic) -> Measure:
        """A statistic, averaged over which of its answers each problem gives."""
        found = [statistic(self.real, points) for points in self.answers]
        best = None if self.best is None else statistic(self.real, self.best)
        return Measure(sum(found) / len(found), best=best, data=statistic(self.real, self.others))

    def __len__(self) -> int:
        return len(self.real)


def of_likelihoods(sample: Sample) -> dict[str, Measure]:
    """How far apart the distributions of likelihoods are."""
    return {"likelihood distance": sample.measure(kolmogorov_distance)} if len(sample) else {}


def of_features(sample: Sample, seed: int) -> dict[str, Measure]:
    """How far apart they are in features; what takes more rows than there are is absent."""
    found: dict[str, Measure] = {}
    if len(sample) >= 2:
        found["Fréchet distance"] = sample.measure(frechet_distance)
    if len(sample) >= 20:
        found["kernel distance"] = _kernel_distance(sample, seed)
    if len(sample) > 5:
        found["density"] = sample.measure(lambda real, fake: density_coverage(real, fake).density)
        found["coverage"] = sample.measure(lambda real, fake: density_coverage(real, fake).coverage)
    return found


def _kernel_distance(sample: Sample, seed: int) -> Measure:
    """It has a standard error, and so an interval, of its own."""
    measure = sample.measure(lambda real, fake: kernel_distance(real, fake, seed).mean)
    # The mean over answers is known at least as well as one of them is.
    error = sample.measure(lambda real, fake: kernel_distance(real, fake, seed).error).answers
    return replace(measure, interval=Interval(measure.answers - 1.96 * error, measure.answers + 1.96 * error))
