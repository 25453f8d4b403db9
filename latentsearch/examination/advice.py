"""From figures to words: what each means, what to do about it, and which lines to write."""

from __future__ import annotations

from collections.abc import Sequence

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
_ENCODER_AT_FAULT = 0.1  # of the variance: a search finds so much more than the encoder
_NEAR_BY = 0.25  # the share of an output: a code that is felt on less is local
NOTHING = "no prior"


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


def prior_of(density: Density | None, uniform: bool) -> str:
    """Which prior to name where an image is known in part: the one whose draws pass for encodings more often.

    Not the one that leaves the hidden half nearest to the truth: the mean of all images is nearer than most images are.

    Args:
        density: Of priors and encodings; None without an encoder.
        uniform: Whether the generator's own prior says nothing, as one over codes does that was not learnt.
    """
    if density is not None and BY_FIT in density.told_apart:
        return BY_FIT if uniform or density.told_apart[BY_FIT] < density.told_apart[OWN] else OWN
    return NOTHING if uniform else OWN


# -- findings ----------------------------------------------------------------------------------------


def on_reconstruction(found: Reconstruction, searched: float) -> Finding:
    """Whether images survive being encoded and decoded; ``searched``: the share of variance that a search finds."""
    answer = (
        f"Encoded and decoded, your images keep {found.explained:.0%} of their variance; a typical pixel is off by "
        f"{found.noise:.3g}."
    )
    remedy = "What the decoder cannot give, no search finds: train it longer, or give its latents more room."
    grade = high(found.explained, _EXPLAINED)
    if searched > found.explained + _ENCODER_AT_FAULT:
        remedy = f"A search finds {searched:.0%} of it: the encoder loses the rest, and not the decoder."
        grade = high(searched, _EXPLAINED) if grade == "poor" else grade
        return Finding("reconstruction", "Can it give images like yours?", answer, grade, remedy)
    return _finding("reconstruction", "Can it give images like yours?", answer, grade, remedy)


def on_search(trial: Trial, encoder: float | None, negligible: float, targets: int, explained: float) -> Finding:
    """Whether the advised method comes as near as the encoder; without one, how much of the images it gives."""
    start = f"Of {targets} images, with {trial.evaluations:.0f} evaluations each, {trial.name}"
    if encoder is None or trial.reached is None:
        answer = (
            f"{start} finds {explained:.0%} of the variance: the mean of your images would be 0%. There is no encoder."
        )
        remedy = "Either the decoder cannot give such images, or searches do not find them; look at the pictures."
        return _finding("search", "Does a search find your images?", answer, high(explained, _EXPLAINED), remedy)
    when = f", half of them after {trial.after:.0f} evaluations" if trial.after is not None else ""
    ratio = f"it ends at {trial.loss / max(encoder, 1e-12):.2f} times the encoder's loss"
    end = (
        ratio
        if encoder > negligible
        else "both are next to nothing"
        if trial.loss <= negligible
        else "theirs is next to nothing"
    )
    answer = f"{start} brings {trial.reached:.0%} as near as their encodings are{when}; on average {end}."
    remedy = (
        "Starts are draws of the generator's prior: wrap it with one that knows its latents, prior=; or spend more."
    )
    question = "Does a search find what the encoder finds?"
    return _finding("search", question, answer, high(trial.reached, _REACHED), remedy)


def on_density(found: Density) -> Finding:
    """Whether draws of the own prior pass for encodings."""
    own, fitted = found.told_apart[OWN], found.told_apart.get(BY_FIT)
    answer = f"Shown the encoding of an image and a random latent, a critic picks the right one {own:.0%} of the time"
    answer += "" if fitted is None else f", and {fitted:.0%} where the latent is drawn from a fitted prior"
    answer += "; 50% would be guessing."
    if found.likelihoods:
        costs = ", ".join(f"{name} {value:.2f}" for name, value in found.likelihoods.items())
        answer += f" How surprising encodings are, in {found.unit} (less is better): {costs}."
    remedy = "Fit a prior and name it in goals: ls.fit_prior(generator, images), ls.LogPrior(prior)."
    return _finding("random latents", "Do random latents look like encodings?", answer, low(own, _AUC), remedy)


def on_lines(found: Lines) -> list[Finding]:
    """Whether outputs change evenly, and whether there are holes."""
    smooth = [] if found.leap is None else [_on_leap(found.leap)]
    if found.between is None or found.drawn is None:
        return smooth
    answer = (
        f"Encoded again, what is decoded comes back wrong for {found.between:.0%} of latents halfway between two "
        f"images, and for {found.drawn:.0%} of random ones; 5% would be as good as for your images."
    )
    remedy = "Keep searches near data: add ls.LogPrior(prior) of a fitted prior to the goal."
    worst = max(found.between, found.drawn)
    return [*smooth, _finding("holes", "Are there holes?", answer, low(worst, _HOLES), remedy)]


def _on_leap(leap: float) -> Finding:
    answer = f"From one latent to another in 8 equal steps, the largest change is {leap:.1f} times the mean one."
    remedy = "Gradients see little here: take several restarts, or a method without gradients."
    return _finding("smoothness", "Is the way between images smooth?", answer, low(leap, _LEAP), remedy)


def on_codes(found: CodeUse, books: bool) -> Finding:
    """How much of a codebook occurs; ``books``: positions have several, which ``used=`` takes a list of masks for."""
    answer = (
        f"{found.used:.0%} of the {found.size} codes occur in your images, some so much more often than others that it "
        f"comes to {found.perplexity:.0f} codes."
    )
    mask = "used=[mask, ...], one a codebook" if books else "used=~report.codes.dead"
    remedy = f"Leave out those that do not occur: CodebookGenerator(..., {mask}) makes the search smaller."
    return _finding("use of codes", "Are its codes used?", answer, high(found.used, _USED), remedy)


def on_elements(found: Elements) -> Finding:
    """How many elements the decoder heeds."""
    answer = f"{found.active:.0%} of the {len(found.index)} elements looked at change the output."
    remedy = "The decoder ignores the others: a prior keeps them where they were in training."
    return _finding(
        "use of elements", "Do all elements of a latent count?", answer, high(found.active, _ACTIVE), remedy
    )


def on_reach(found: Reach, saves: bool) -> Finding:
    """Whether codes are local, and whether that saves anything."""
    local = found.share < _NEAR_BY
    words = "it is local" if local else "each code is felt nearly everywhere"
    words += ", so a swap is decoded again for less" if local and saves else ""
    answer = f"One code changes {found.share:.0%} of the output: {words}."
    return Finding("reach", "How far is a code felt?", answer, "good" if local else "fair")


def _finding(topic: str, question: str, answer: str, grade: Grade, remedy: str) -> Finding:
    """With its remedy where the grade could be better."""
    return Finding(topic, question, answer, grade, "" if grade == "good" else remedy)


# -- conclusions -------------------------------------------------------------------------------------


def verdict(findings: Sequence[Finding], explained: float) -> str:
    """One sentence or two, by what decides: whether images can be given, and found.

    Args:
        findings: All.
        explained: The share of the images' variance that the decoder gives: encoded, or found where nothing encodes.
    """
    grades = {finding.topic: finding.grade for finding in findings}
    kept = f"{explained:.0%} of your images' variance"
    if grades.get("reconstruction", grades["search"]) == "poor":
        return f"Hardly worth searching as it is: it gives {kept}."
    if grades["search"] == "poor":
        return f"Hardly worth searching as it is: it can give {kept}, but searches do not find what is there."
    found = "and searches find it" if grades["search"] == "good" else "and searches find a part of it"
    weak = [finding.topic for finding in findings if finding.grade == "poor"]
    rest = f" Weak points: {', '.join(weak)}; a prior keeps answers near data." if weak else ""
    return f"Worth searching: it can give {kept}, {found}.{rest}"


def lines_to_paste(trial: Trial, prior: str, noise: float, budget: int, codes: bool, chosen: bool = True) -> str:
    """Code for whole images, and for images that are known in part; ``chosen``: whether ``ls.search`` can search."""
    run = f", run=ls.Run(evaluations={budget})"
    start = "ls.search(" if trial.name == "ls.search" else f"ls.{trial.name}.search("
    lines = [
        "import latentsearch as ls",
        "",
        "# a whole image is given",
        f"result = {start}generator, ls.Matches(target), seed=0{run})",
        "",
        "# a part is given: mask is 1 where pixels are known, noise is how far the decoder is off",
    ]
    if prior == BY_FIT:
        lines.append("prior = ls.fit_prior(generator, images)")
        lines.append('goal = ls.Matches(target, mask=mask, noise="decoder") + ls.LogPrior(prior)')
    elif prior == NOTHING:
        lines.append("goal = ls.Matches(target, mask=mask)")
    else:
        lines.append(f"goal = ls.Matches(target, mask=mask, noise={noise:.3g}) + ls.LogPrior(generator.prior)")
    # Chains over codes pay for the prior's passes too, and end by themselves.
    begin = "ls.search(" if chosen else start
    lines.append(f"result = {begin}generator, goal, seed=0{'' if codes and prior != NOTHING else run})")
    return "\n".join(lines)
