"""The front door: answers of a search, judged by all that is known of them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_finite, require_seed
from latentsearch._context import in_own_context
from latentsearch.errors import InvalidArgument
from latentsearch.goal import AnyGoal, Goal
from latentsearch.judge._compare import Sample, of_features, of_likelihoods
from latentsearch.judge._region import region_of
from latentsearch.judge._score import SHARES, Scored, Task, score
from latentsearch.judge.diversity import code_diversity, pixel_diversity
from latentsearch.judge.intervals import Interval, bootstrap
from latentsearch.judge.judgement import Judgement, Measure
from latentsearch.judge.reference import Reference
from latentsearch.judge.spread import posterior_spread
from latentsearch.judge.tolerance import encoder_tolerance, require_goal
from latentsearch.loop import best_of
from latentsearch.noise import problem_seeds
from latentsearch.problem import Problem
from latentsearch.result import SearchResult
from latentsearch.spaces import Discrete

_PAIRED = 256  # data that are compared with each other, at most: the mean over their pairs needs no more


@in_own_context
def report(
    answers: SearchResult | Tensor,
    reference: Reference,
    goal: AnyGoal | None = None,
    *,
    truth: Tensor | None = None,
    labels: Tensor | None = None,
    hidden: Tensor | None = None,
    tolerance: float | Tensor | None = None,
    seed: int = 0,
) -> Judgement:
    """Whether answers fit, look like data, and differ as much as they should.

    - ``loss``, ``within tolerance``: of the goal's terms that read outputs.
    - ``bits per code`` (``nats per dimension`` of continuous latents), ``in band``: under the reference's prior, up
      to its constant; the band is [likelihood_band][latentsearch.judge.likelihood_band]'s. ``both``: within
      tolerance and in the band.
    - ``read right``: by the classifier.
    - ``likelihood distance``: [kolmogorov_distance][latentsearch.judge.kolmogorov_distance] of likelihoods.
    - ``Fréchet distance``, ``kernel distance``, ``density``, ``coverage``: in the features. Their ``data`` is what
      as many other data score: the floor.
    - ``code diversity``, ``pixel diversity``: between answers to one problem; their ``data`` is between images.
    - ``classes read``: how many classes the classifier reads among the answers to one problem.
    - ``error ratio``: [posterior_spread][latentsearch.judge.posterior_spread], 2 for exact samples.

    What there is too little for is absent, not zero. The first of R answers counts as much as the last: what one
    would pick by the search's own loss stands apart, as ``best``, and only where a result is given.

    Args:
        answers: A result, whose candidates are the R answers to each of B problems; or latents ``(B, R, *S)``.
        reference: Held-out data, and what looks at them.
        goal: What was searched for, about the B problems or one for all.
        truth: ``(B, *O)``: the images behind the problems, where known.
        labels: ``(B,)`` int64: the class of each truth.
        hidden: Weights that broadcast to ``(B, *O)``, 1 where pixels were not seen: diversity and the error ratio
            are about these. None for all.
        tolerance: The loss that is close enough, one number or ``(B,)``. None for the 95th percentile of the
            encodings of the truth, where these are known.
        seed: Of the intervals and of the halves of data.

    Raises:
        InvalidArgument: If shapes or numbers of problems do not fit, what is hidden is what the goal's mask shows,
            there are labels and no classifier, or an answer is not of the generator's space or decodes to NaN.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> images, digits = zoo.images()
        >>> generator, net = ls.wrap(zoo.load("mnist-vqvae-512")), zoo.load("mnist-classifier")
        >>> data = ls.judge.Reference(generator, images, classifier=net)
        >>> goal = ls.Matches(images[:4])
        >>> result = ls.RandomSearch(restarts=2).search(generator, goal, seed=0, run=ls.Run(evaluations=40))
        >>> found = ls.judge.report(result, data, goal, truth=images[:4], labels=digits[:4])
        >>> list(found)
        ['loss', 'within tolerance', 'read right', 'code diversity', 'classes read', 'pixel diversity', 'error ratio']
        >>> found["within tolerance"].answers
        0.0
    """
    if not isinstance(reference, Reference):
        hint = "judge.Reference(generator, images) is one"
        raise InvalidArgument("report.reference", got=in_short(reference), expected="a Reference", hint=hint)
    require_seed("report.seed", seed)
    goal = None if goal is None else _known(reference, goal)
    latent, picked = _latents(answers, reference)
    truth, labels = _about(latent, reference, truth, labels)
    if goal is not None and goal.problems not in (1, len(latent)):
        expected = f"one about the {len(latent)} problems, or one for all"
        raise InvalidArgument("report.goal", got=f"one about {goal.problems} problems", expected=expected)
    region = region_of(hidden, goal, (len(latent), *reference.images.shape[1:]), latent.device)
    task, note = _task(reference, len(latent), goal, truth, labels, tolerance)
    given = score(reference, task, latent)
    if not bool(given.output.isfinite().all()):
        raise InvalidArgument("report.answers", got="answers that decode to NaN or infinity", expected="finite outputs")
    best = None if picked is None else score(reference, task, picked)
    data, about = _data(reference, task, truth)
    measures = {
        **_of_each(given, best, data, seed),
        **_of_all(given, best, reference, seed),
        **_of_candidates(given, reference, truth, region, seed),
    }
    notes = tuple(line for line in (note, about) if line)
    return Judgement(measures, problems=latent.shape[0], answers=latent.shape[1], notes=notes)


# -- what was given ----------------------------------------------------------------------------------


def _known(reference: Reference, goal: AnyGoal) -> Goal:
    """The goal with the decoder's own error, where that is its noise level, found out as a search does."""
    require_goal("report.goal", goal)
    problem = Problem.of(reference.generator, goal.goal, None, problem_seeds(0, goal.goal.problems))
    problem.require_noise()
    return problem.goal


def _latents(answers: SearchResult | Tensor, reference: Reference) -> tuple[Tensor, Tensor | None]:
    """All answers ``(B, R, *S)`` and, where there is a choice, the best ``(B, 1, *S)``."""
    space, device = reference.generator.space, reference.generator.device
    if isinstance(answers, SearchResult):
        latent = answers.candidates.latent
        # Not result.latent, which of a sampler is the first chain's, whatever its loss.
        best = best_of(latent, answers.candidates.score)[0][:, None].to(device) if latent.shape[1] > 1 else None
    else:
        latent, best = answers, None
    if not isinstance(latent, Tensor) or latent.ndim != 2 + len(space.shape) or not latent.numel():
        got = in_short(latent)
        hint = "latents of one answer a problem: z[:, None]"
        raise InvalidArgument("report.answers", got=got, expected="a result, or latents (B, R, *S)", hint=hint)
    space.check("report.answers", latent.flatten(0, 1))
    return latent.to(device), best


def _about(
    latent: Tensor, reference: Reference, truth: Tensor | None, labels: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """The truth and its labels, looked over and where the answers are."""
    if truth is not None and (
        not isinstance(truth, Tensor) or truth.shape != (len(latent), *reference.images.shape[1:])
    ):
        expected = f"one image for each of {len(latent)} problems, of shape {tuple(reference.images.shape[1:])}"
        raise InvalidArgument("report.truth", got=in_short(truth), expected=expected)
    if labels is None:
        return None if truth is None else truth.to(latent.device), None
    if not isinstance(labels, Tensor) or (labels.shape != (len(latent),) or labels.dtype != torch.int64):
        expected = f"int64 classes ({len(latent)},)"
        raise InvalidArgument("report.labels", got=in_short(labels), expected=expected)
    if reference.classifier is None:
        hint = "Reference(generator, images, classifier=...) has one"
        raise InvalidArgument("report.labels", got="labels and no classifier", expected="both or neither", hint=hint)
    return None if truth is None else truth.to(latent.device), labels.to(latent.device)


def _task(
    reference: Reference,
    problems: int,
    goal: AnyGoal | None,
    truth: Tensor | None,
    labels: Tensor | None,
    tolerance: float | Tensor | None,
) -> tuple[Task, str]:
    """What is known of B problems, and what the tolerance is."""
    task, note = Task(None if goal is None else goal.goal, labels=labels), ""
    if goal is None:
        return task, note
    if tolerance is None and truth is not None and reference.encode(truth[:1]) is not None:
        tolerance = encoder_tolerance(reference.generator, goal, truth)
        note = f"tolerance: a loss of {tolerance:.3g}, the 95th percentile of encodings of the truth"
    if tolerance is None:
        return task, note
    require_finite("report.tolerance", tolerance)
    most = torch.as_tensor(tolerance, dtype=torch.float64, device=reference.generator.device).reshape(-1)
    if len(most) not in (1, problems):
        expected = f"one number, or one for each of {problems} problems"
        raise InvalidArgument("report.tolerance", got=f"{len(most)} numbers", expected=expected)
    if not bool(most.isfinite().all()):
        raise InvalidArgument("report.tolerance", got="NaN or infinity", expected="finite numbers")
    return replace(task, tolerance=most), note


def _data(reference: Reference, task: Task, truth: Tensor | None) -> tuple[Scored | None, str]:
    """What data score, and which."""
    encoded = None if truth is None else reference.encode(truth)
    if encoded is not None:
        about = "data: encodings of the truth; of distances, other images of the reference"
        return score(reference, task, encoded[:, None]), about
    if reference.latents is not None:
        # The goal is about other images than these.
        return score(reference, Task(), reference.latents[:, None]), "data: the reference"
    return None, ""


# -- what was measured -------------------------------------------------------------------------------


def _of_each(given: Scored, best: Scored | None, data: Scored | None, seed: int) -> dict[str, Measure]:
    """Averages of what is measured of each answer by itself."""

    def mean(scored: Scored | None, name: str) -> float | None:
        return None if scored is None or name not in scored.values else float(scored.values[name].mean())

    found = {}
    for name, values in given.values.items():
        per_problem = values.mean(1)
        known = len(values) > 1 and bool(per_problem.isfinite().all())
        interval = bootstrap(per_problem, seed=seed) if known else None
        figures = float(values.mean()), interval, mean(best, name), mean(data, name)
        found[name] = Measure(*figures, unit="%") if name in SHARES else Measure(*figures)
    return found


def _of_all(given: Scored, best: Scored | None, reference: Reference, seed: int) -> dict[str, Measure]:
    """Distances between the answers and data."""
    found: dict[str, Measure] = {}
    if given.nll is not None and reference.nll_of_data is not None:
        picked = None if best is None or best.nll is None else best.nll
        found |= of_likelihoods(Sample.drawn(given.nll[..., None], picked, reference.nll_of_data[:, None], seed))
    if given.features is not None and reference.features_of_data is not None:
        picked = None if best is None or best.features is None else best.features[:, 0]
        found |= of_features(Sample.drawn(given.features, picked, reference.features_of_data, seed), seed)
    return found


def _of_candidates(
    given: Scored, reference: Reference, truth: Tensor | None, region: Tensor, seed: int
) -> dict[str, Measure]:
    """How answers to one problem differ."""
    if given.latent.shape[1] < 2:
        return {}
    found: dict[str, Measure] = {}
    several = len(given.latent) > 1

    def measure(per_problem: Tensor, data: Tensor | None) -> Measure:
        interval = bootstrap(per_problem, seed=seed) if several else None
        return Measure(float(per_problem.mean()), interval, data=None if data is None else float(data))

    if isinstance(reference.generator.space, Discrete):
        codes = reference.latents
        among = None if codes is None else code_diversity(codes[None, :_PAIRED])
        found["code diversity"] = measure(code_diversity(given.latent), among)
    if given.read is not None:
        kinds = given.read.sort(1).values.diff(dim=1).ne(0).sum(1) + 1
        found["classes read"] = measure(kinds.double(), None)
    # Data are no problems: what is hidden on average is what counts of them.
    among = pixel_diversity(reference.outputs[None, :_PAIRED], region.mean(0, keepdim=True))
    found["pixel diversity"] = measure(pixel_diversity(given.output, region), among)
    if truth is None or not several:
        return found
    output, target = given.output * region.sqrt()[:, None], truth * region.sqrt()
    # Where every answer is the truth, nothing was unknown.
    if not torch.equal(output, target[:, None].expand_as(output)):
        ratio, low, high = posterior_spread(output, target, seed)
        found["error ratio"] = Measure(ratio, Interval(low, high), data=2.0)
    return found
