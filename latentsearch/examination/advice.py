"""From figures to words: what each means, what to do about it, and which lines to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from latentsearch.errors import Unsupported
from latentsearch.examination.density import BY_FIT, OWN
from latentsearch.examination.examination import (
    CodeUse,
    Density,
    Elements,
    Finding,
    Grade,
    Lines,
    Reach,
    Reconstruction,
    Trial,
)

# Where grades part, as (good, fair): on the better side of the first, or at least of the second.
_EXPLAINED, _REACHED, _AUC = (0.9, 0.7), (0.9, 0.5), (0.65, 0.85)
_HOLES, _LEAP, _USED, _ACTIVE = (0.1, 0.3), (2.0, 3.5), (0.5, 0.1), (0.5, 0.1)
_ENOUGH = 1.05  # times the best method's loss: ls.search is advised then
_WORTH = 0.98  # times the error without a prior: a prior that gets below helps
_NEAR_BY = 0.25  # the share of an output: a code that is felt on less is local

Priors = Mapping[str, float]


def high(value: float, bounds: tuple[float, float]) -> Grade:
    """The grade of what should be high."""
    return "good" if value >= bounds[0] else "fair" if value >= bounds[1] else "poor"


def low(value: float, bounds: tuple[float, float]) -> Grade:
    """The grade of what should be low."""
    return "good" if value <= bounds[0] else "fair" if value <= bounds[1] else "poor"


def chosen(trials: Sequence[Trial]) -> Trial:
    """The method to advise: ``ls.search`` where no other is better by more than a twentieth.

    Raises:
        Unsupported: If no method ran.
    """
    ran = [trial for trial in trials if not trial.refused]
    if not ran:
        refusals = "; ".join(f"{trial.name}: {trial.refused}" for trial in trials)
        raise Unsupported("examine.generator", got=refusals, expected="one that some method can search")
    best = min(ran, key=lambda trial: trial.loss)
    return ran[0] if ran[0].name == "ls.search" and ran[0].loss <= _ENOUGH * best.loss else best


def prior_of(priors: Priors) -> str:
    """Which prior to name where an image is known in part: the best, if it is better than none."""
    if not priors:
        return "nothing"
    best = min(priors, key=lambda name: priors[name])
    return best if priors[best] <= _WORTH * priors.get("nothing", float("inf")) else "nothing"


def on_reconstruction(found: Reconstruction) -> Finding:
    """Whether images survive being encoded and decoded."""
    grade = high(found.explained, _EXPLAINED)
    remedy = "What the decoder cannot give, no search finds: train it longer, or give its latents more room."
    return Finding(
        "Can it give images like yours?",
        f"Encoded and decoded, your images keep {found.explained:.0%} of their variance; a typical pixel is off by "
        f"{found.noise:.3g}.",
        grade,
        "" if grade == "good" else remedy,
    )


def on_search(trial: Trial, encoder: float | None, budget: int) -> Finding:
    """Whether the advised method comes as near as the encoder."""
    question = "Does a search find what the encoder finds?"
    if encoder is None or trial.reached is None:
        answer = f"There is no encoder to compare with. {trial.name} ends at a mean square of {trial.loss:.3g}."
        return Finding("Does a search find your images?", answer, "fair")
    grade = high(trial.reached, _REACHED)
    ratio = trial.loss / max(encoder, 1e-12)
    when = f", half of them after {trial.after:.0f} evaluations" if trial.after is not None else ""
    answer = (
        f"With {budget} evaluations {trial.name} brings {trial.reached:.0%} of the images as near as their encodings "
        f"are{when}; on average it ends at {ratio:.2f} times the encoder's loss."
    )
    remedy = "Start at the encoding (init=generator.encode(target)) where a whole image is given, or spend more."
    return Finding(question, answer, grade, "" if grade == "good" else remedy)


def on_density(found: Density) -> Finding:
    """Whether draws of the own prior pass for encodings."""
    own, fitted = found.told_apart[OWN], found.told_apart.get(BY_FIT)
    grade = low(own, _AUC)
    beside = "" if fitted is None else f"; draws of a fitted prior {fitted:.0%}"
    answer = f"A critic tells random latents from encodings {own:.0%} of the time{beside}; 50% would be never."
    if found.likelihoods:
        costs = ", ".join(f"{name} {value:.2f}" for name, value in found.likelihoods.items())
        answer += f" Encodings cost, in {found.unit}: {costs}."
    remedy = "Draw from a fitted prior and name it in goals: ls.fit_prior(generator, images), ls.LogPrior(prior)."
    return Finding("Do random latents look like encodings?", answer, grade, "" if grade == "good" else remedy)


def on_lines(found: Lines) -> list[Finding]:
    """Whether outputs change evenly, and whether there are holes."""
    grade = low(found.leap, _LEAP)
    smooth = Finding(
        "Is the way between images smooth?",
        f"On lines between latents the largest of 8 steps is {found.leap:.1f} times the mean: 1 is even, 8 a leap.",
        grade,
        "" if grade == "good" else "Gradients see little here: take several restarts, or a method without gradients.",
    )
    if found.between is None or found.drawn is None:
        return [smooth]
    worst = max(found.between, found.drawn)
    answer = (
        f"Of latents half one image and half another {found.between:.0%} decode to what the encoder does not know "
        f"again, of random latents {found.drawn:.0%}; 5% would be as good as your images."
    )
    remedy = "Keep searches near data: add ls.LogPrior of a fitted prior to the goal."
    grade = low(worst, _HOLES)
    return [smooth, Finding("Are there holes?", answer, grade, "" if grade == "good" else remedy)]


def on_codes(found: CodeUse) -> Finding:
    """How much of a codebook occurs."""
    grade = high(found.used, _USED)
    answer = (
        f"{found.used:.0%} of the {found.size} codes occur in your images, as unevenly as {found.perplexity:.0f} codes "
        "of equal shares."
    )
    remedy = "Leave out the others: CodebookGenerator(..., used=mask) makes the search smaller."
    return Finding("Are its codes used?", answer, grade, "" if grade == "good" else remedy)


def on_elements(found: Elements) -> Finding:
    """How many elements the decoder heeds."""
    grade = high(found.active, _ACTIVE)
    answer = f"{found.active:.0%} of the elements looked at ({len(found.index)}) change the output."
    remedy = "The others are ignored by the decoder: a prior keeps them where they were in training."
    return Finding("Do all elements of a latent count?", answer, grade, "" if grade == "good" else remedy)


def on_reach(found: Reach) -> Finding:
    """Whether codes are local."""
    local = found.share < _NEAR_BY
    words = "it is local, so a swap is decoded again for less" if local else "each code is felt nearly everywhere"
    answer = f"One code changes {found.share:.0%} of the output: {words}."
    return Finding("How far is a code felt?", answer, "good" if local else "fair")


def verdict(findings: Sequence[Finding]) -> str:
    """One sentence, by the worst of what decides: whether images can be given, and found."""
    grades = {finding.question: finding.grade for finding in findings}
    able = grades.get("Can it give images like yours?", "fair")
    found = grades.get("Does a search find what the encoder finds?", "fair")
    rest = [grade for question, grade in grades.items() if not question.startswith(("Can it", "Does a search"))]
    if "poor" in (able, found):
        reason = (
            "the decoder does not give images like yours" if able == "poor" else "searches do not find what is there"
        )
        return f"Hardly worth searching as it is: {reason}."
    if "fair" in (able, found) or "poor" in rest:
        return "Worth searching, with a prior that keeps answers near data; see what is not green below."
    return "Worth searching."


def lines_to_paste(trial: Trial, priors: Priors, noise: float | None, budget: int) -> str:
    """Code for whole images, and for images that are known in part."""
    run = f"run=ls.Run(evaluations={budget})"
    start = "ls.search(" if trial.name == "ls.search" else f"ls.{trial.name}.search("
    lines = [
        "import latentsearch as ls",
        "",
        "# a whole image is given",
        f"result = {start}generator, ls.Matches(target), seed=0, {run})",
        "",
        "# a part is given: mask is 1 where pixels are known",
    ]
    kind = prior_of(priors)
    if kind == BY_FIT:
        lines.append("prior = ls.fit_prior(generator, images)")
        lines.append('goal = ls.Matches(target, mask=mask, noise="decoder") + ls.LogPrior(prior)')
    elif kind == "nothing" or noise is None:
        lines.append("goal = ls.Matches(target, mask=mask)")
    else:
        lines.append(f"goal = ls.Matches(target, mask=mask, noise={noise:.3g}) + ls.LogPrior(generator.prior)")
    lines.append(f"result = ls.search(generator, goal, seed=0, {run})")
    return "\n".join(lines)
