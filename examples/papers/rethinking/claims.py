"""What the paper says, what was found, and whether the one bears out the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from .tables import Key, Logs, mean, said, values

HOLDS, PARTLY, FAILS = "holds", "holds with conditions", "fails"


class Claim(NamedTuple):
    """One claim.

    Attributes:
        says: What the paper says.
        where: In which section or figure.
        evidence: From logs to words with figures.
        verdict: From logs to one of three.
    """

    says: str
    where: str
    evidence: Callable[[Logs], str]
    verdict: Callable[[Logs], str]


def graded(holds: bool, partly: bool) -> str:
    return HOLDS if holds else PARTLY if partly else FAILS


def _of(shape: str, *key: str | int) -> Callable[..., str]:
    return lambda logs, model, data="mnist": said(shape, values(logs, model, tuple(key), data))


CONFIDENCE, HALFWAY = _of("{:.1%}", "lines", "confidence"), _of("{:.0f}", "lines", "middle")
USED, MERGED = _of("{:.0%}", "use", "used"), _of("{:.0%}", "use", "merged")
ERROR, SHARP = _of("{:.1f}", "squared error"), _of("{:.2f}", "sharpness")


def _m(logs: Logs, model: str, *key: str | int, data: str = "mnist") -> float:
    return mean(logs, model, key, data)


def _all(logs: Logs, model: str, key: Key, test: Callable[[float], bool]) -> bool:
    return all(map(test, values(logs, model, key)))


CLAIMS = (
    Claim(
        "An autoencoder generates by interpolation: lines between encodings are smooth transitions.",
        "section 2.1, Figure 2.2",
        lambda logs: (
            f"LeNet's confidence on lines {CONFIDENCE(logs, 'AE')}, of a VAE {CONFIDENCE(logs, 'VAE')}; Fréchet "
            f"distance halfway {HALFWAY(logs, 'AE')} and {HALFWAY(logs, 'VAE')}"
        ),
        lambda logs: graded(
            _m(logs, "AE", "lines", "middle") <= 1.1 * _m(logs, "VAE", "lines", "middle"),
            _m(logs, "AE", "lines", "confidence") >= _m(logs, "VAE", "lines", "confidence") - 0.05,
        ),
    ),
    Claim(
        "Small changes of an element do nothing, large ones degrade the image, down to black.",
        "Figure 2.1",
        lambda logs: (
            f"of an autoencoder, read as before after ±0.1: {_of('{:.0%}', 'changes', 'kept', 0)(logs, 'AE')}, after "
            f"±15: {_of('{:.0%}', 'changes', 'kept', 3)(logs, 'AE')}; black after ±15: "
            f"{_of('{:.1%}', 'changes', 'black', 3)(logs, 'AE')}"
        ),
        lambda logs: graded(
            _m(logs, "AE", "changes", "kept", 0) > 0.95 and _m(logs, "AE", "changes", "black", 3) > 0.25,
            _m(logs, "AE", "changes", "kept", 0) > 0.95 and _m(logs, "AE", "changes", "kept", 3) < 0.7,
        ),
    ),
    Claim(
        "The centre moves less and less, which anneals by itself.",
        "Figure 3.3",
        lambda logs: (
            f"a centre's moves in the first and the last epoch, in spreads of encodings: {_moves(logs, '1 centre')}; "
            f"with a learning rate that does not fall: {_moves(logs, '1 centre, constant rate')}"
        ),
        lambda logs: graded(max(_falls(logs, "1 centre, constant rate")) < 0.5, max(_falls(logs, "1 centre")) < 0.5),
    ),
    Claim(
        "Pulled to a centre, elements changed by up to ±3 give smooth transitions, without divergence or draws.",
        "Figure 3.2",
        lambda logs: (
            "confidence after ±3, and after ±3 deviations of an element (spaces differ in scale): "
            + ", ".join(
                f"{name} {_of('{:.1%}', 'changes', 'confidence', 2)(logs, name)}, "
                f"{_of('{:.1%}', 'deviations', 'confidence', 1)(logs, name)}"
                for name in ("1 centre", "AE", "VAE")
            )
        ),
        lambda logs: graded(
            _m(logs, "1 centre", "deviations", "confidence", 1)
            >= _m(logs, "VAE", "deviations", "confidence", 1) - 0.01,
            _m(logs, "1 centre", "deviations", "confidence", 1)
            >= _m(logs, "VAE", "deviations", "confidence", 1) - 0.05,
        ),
    ),
    Claim(
        "The centre's image needs no term of its own: its error falls by itself (λ2 = 0).",
        "section 3.1",
        lambda logs: (
            "squared error of the centre's image beside the nearest image, first and last epoch: "
            f"{_of('{:.1f}', 'epochs', 'decoded', 0)(logs, '1 centre')}, "
            f"{_of('{:.1f}', 'epochs', 'decoded', -1)(logs, '1 centre')}; reconstructions {ERROR(logs, '1 centre')}"
        ),
        lambda logs: graded(
            _m(logs, "1 centre", "epochs", "decoded", -1) <= 2 * _m(logs, "1 centre", "squared error"),
            _m(logs, "1 centre", "epochs", "decoded", -1) <= 3 * _m(logs, "1 centre", "squared error"),
        ),
    ),
    Claim(
        "Images stay blurred.",
        "section 3.2",
        lambda logs: (
            "edges of reconstructions beside the images' (1 is as sharp): "
            + ", ".join(f"{name} {SHARP(logs, name)}" for name in ("AE", "1 centre", "VAE"))
        ),
        lambda logs: graded(_m(logs, "1 centre", "sharpness") < 0.9, _m(logs, "1 centre", "sharpness") < 0.97),
    ),
    Claim(
        "Of 20 vectors some come to lie in one place; MNIST hardly collapses, a harder set does.",
        "Figure 3.4",
        lambda logs: (
            f"beside another centre: MNIST {MERGED(logs, '20 centres')}, grey CIFAR-10 "
            f"{MERGED(logs, '20 centres', 'cifar10')}; that attract data: {USED(logs, '20 centres')}, "
            f"{USED(logs, '20 centres', 'cifar10')}"
        ),
        lambda logs: graded(
            _m(logs, "20 centres", "use", "merged") < 0.2 < _m(logs, "20 centres", "use", "merged", data="cifar10"),
            _m(logs, "20 centres", "use", "merged") < _m(logs, "20 centres", "use", "merged", data="cifar10"),
        ),
    ),
    Claim(
        "Moving averages keep vectors from collapsing into one.",
        "section 4.1",
        lambda logs: (
            f"beside another centre without and with averages: MNIST {MERGED(logs, '20 centres')}, "
            f"{MERGED(logs, '20 centres, EMA')}; grey CIFAR-10 {MERGED(logs, '20 centres', 'cifar10')}, "
            f"{MERGED(logs, '20 centres, EMA', 'cifar10')}"
        ),
        lambda logs: graded(
            all(
                _m(logs, "20 centres, EMA", "use", "merged", data=data)
                < 0.5 * _m(logs, "20 centres", "use", "merged", data=data)
                for data in ("mnist", "cifar10")
            ),
            any(
                _m(logs, "20 centres, EMA", "use", "merged", data=data)
                < _m(logs, "20 centres", "use", "merged", data=data)
                for data in ("mnist", "cifar10")
            ),
        ),
    ),
    Claim(
        "A pull of all encodings to zero, in the place of the divergence, collapses.",
        "Figure 3.6",
        lambda logs: (
            "squared error of reconstructions by its weight: "
            + ", ".join(f"{weight}: {ERROR(logs, f'zero pull {weight}')}" for weight in (1, 10, 100))
            + f"; without {ERROR(logs, 'AE')}; their spread is "
            + ", ".join(_of("{:.2f}", "spread")(logs, f"zero pull {weight}") for weight in (1, 10, 100))
            + f"; error of a constant image {logs[0]['constant']:.1f}"
        ),
        lambda logs: graded(
            _m(logs, "zero pull 1", "squared error") > 45, _m(logs, "zero pull 100", "squared error") > 45
        ),
    ),
    Claim(
        "Of 50 vectors only a few attract data.",
        "section 4.2, Figure 4.1",
        lambda logs: f"of 50 {USED(logs, '50 centres, EMA')}",
        lambda logs: graded(
            _m(logs, "50 centres, EMA", "use", "used") < 0.25, _m(logs, "50 centres, EMA", "use", "used") < 0.5
        ),
    ),
    Claim(
        "A deeper net with residual connections uses visibly more of 500.",
        "section 4.2, Figures 4.2 and 4.3",
        lambda logs: (
            f"of 500 {_of('{:.1%}', 'use', 'used')(logs, '500 centres, EMA')} by the small net, "
            f"{_of('{:.1%}', 'use', 'used')(logs, '500 centres, EMA, deep')} by the deep one; where those that nothing "
            f"is near are revived {USED(logs, '500 centres, EMA, deep, revival')}"
        ),
        lambda logs: graded(
            _m(logs, "500 centres, EMA, deep", "use", "used") > 0.25,
            min(values(logs, "500 centres, EMA, deep", ("use", "used")))
            > 2 * max(values(logs, "500 centres, EMA", ("use", "used"))),
        ),
    ),
    Claim(
        "A VQ-AE gives clear images from its codes, although its decoder never learnt from them.",
        "section 4.3, Figure 4.4",
        lambda logs: (
            f"squared error from the encoder's vectors {_of('{:.1f}', 'direct', 'squared error')(logs, 'VQ-AE')}, from "
            f"codes {ERROR(logs, 'VQ-AE')}, averaged and revived {ERROR(logs, 'VQ-AE, EMA, revival')}; of a VQ-VAE "
            f"{ERROR(logs, 'VQ-VAE')}, of a constant image {logs[0]['constant']:.1f}"
        ),
        lambda logs: graded(
            _m(logs, "VQ-AE", "squared error") <= 2 * _m(logs, "VQ-VAE", "squared error"),
            _m(logs, "VQ-AE", "squared error") <= 0.5 * logs[0]["constant"],
        ),
    ),
    Claim(
        "However much is added to an element of its grid, there is no transition, only distortion.",
        "Figure 4.6",
        lambda logs: (
            f"after +100: {_of('{:.1%}', 'added', 'changed', 6)(logs, 'VQ-AE')} of the pixels change, and "
            f"{_of('{:.0%}', 'added', 'kept', 6)(logs, 'VQ-AE')} of the images are read as before"
        ),
        lambda logs: graded(
            _m(logs, "VQ-AE", "added", "changed", 6) < 0.25 and _m(logs, "VQ-AE", "added", "kept", 6) > 0.5,
            _m(logs, "VQ-AE", "added", "changed", 6) < 0.25,
        ),
    ),
    Claim(
        "Codes combined at random mean nothing.",
        "Figure 4.5",
        lambda logs: (
            "Fréchet distances of codes at random, of draws of a fitted prior and of reconstructions: VQ-AE "
            f"{_draws(logs, 'VQ-AE')}; VQ-VAE {_draws(logs, 'VQ-VAE')}"
        ),
        lambda logs: graded(
            _m(logs, "VQ-AE", "samples", "uniform") > 5 * _m(logs, "VQ-AE", "reconstructions"),
            _m(logs, "VQ-AE", "samples", "uniform") > 2 * _m(logs, "VQ-AE", "reconstructions"),
        ),
    ),
    Claim(
        "Shown alone, its codes cannot be told from each other.",
        "Figure 4.7",
        lambda logs: (
            "distance between images of two codes, over that of two digits, everywhere and among zeros: "
            f"VQ-AE {_alone(logs, 'VQ-AE')}; VQ-VAE {_alone(logs, 'VQ-VAE')}"
        ),
        lambda logs: graded(
            max(_m(logs, "VQ-AE", "alone", name) for name in ("everywhere", "among zeros")) < 0.1,
            min(_m(logs, "VQ-AE", "alone", name) for name in ("everywhere", "among zeros")) < 0.5,
        ),
    ),
    Claim(
        "One code replaced distorts the image.",
        "Figure 4.8",
        lambda logs: (
            f"{_of('{:.1%}', 'replaced', 'changed')(logs, 'VQ-AE')} of the pixels change, "
            f"{_of('{:.0%}', 'replaced', 'kept')(logs, 'VQ-AE')} of the images are read as before; VQ-VAE "
            f"{_of('{:.1%}', 'replaced', 'changed')(logs, 'VQ-VAE')}, "
            f"{_of('{:.0%}', 'replaced', 'kept')(logs, 'VQ-VAE')}"
        ),
        lambda logs: graded(
            _m(logs, "VQ-AE", "replaced", "kept") < 0.8, _m(logs, "VQ-AE", "replaced", "changed") > 0.005
        ),
    ),
    Claim(
        "A VQ-AE learns fragments, no semantics as a VQ-VAE does.",
        "section 5",
        lambda logs: (
            "linear probe of codes: "
            + ", ".join(f"{name} {_of('{:.1%}', 'probe of codes')(logs, name)}" for name in ("VQ-AE", "VQ-VAE"))
        ),
        lambda logs: graded(
            _m(logs, "VQ-AE", "probe of codes") < _m(logs, "VQ-VAE", "probe of codes") - 0.05,
            _m(logs, "VQ-AE", "probe of codes") < _m(logs, "VQ-VAE", "probe of codes") - 0.01,
        ),
    ),
    Claim(
        "Compact and well defined, the space of a pulled autoencoder generates as a VAE's does.",
        "sections 3 and 5",
        lambda logs: (
            "Fréchet distance of draws, mixture of 10 (of 50): "
            + ", ".join(
                f"{name} {_of('{:.1f}', 'samples', 'mixture of 10')(logs, name)} "
                f"({_of('{:.1f}', 'samples', 'mixture of 50')(logs, name)})"
                for name in ("AE", "1 centre", "50 centres, EMA", "VAE")
            )
        ),
        lambda logs: graded(_best_of_centres(logs, 10) and _best_of_centres(logs, 50), _best_of_centres(logs, 50)),
    ),
)


def _moves(logs: Logs, model: str) -> str:
    first, last = ([moves[n] / spread[n] for moves, spread in _epochs(logs, model)] for n in (0, -1))
    return f"{said('{:.2f}', first)}, {said('{:.3f}', last)}"


def _falls(logs: Logs, model: str) -> list[float]:
    return [(moves[-1] / spread[-1]) / (moves[0] / spread[0]) for moves, spread in _epochs(logs, model)]


def _epochs(logs: Logs, model: str) -> list[tuple[list[float], list[float]]]:
    entries = [log["mnist"][model]["epochs"] for log in logs]
    return [(entry["moves"], entry["spread"]) for entry in entries]


def _draws(logs: Logs, model: str) -> str:
    drawn = ", ".join(_of("{:.0f}", "samples", name)(logs, model) for name in ("uniform", "fitted"))
    return f"{drawn}, {_of('{:.0f}', 'reconstructions')(logs, model)}"


def _alone(logs: Logs, model: str) -> str:
    return ", ".join(_of("{:.2f}", "alone", name)(logs, model) for name in ("everywhere", "among zeros"))


def _best_of_centres(logs: Logs, size: int) -> bool:
    key = ("samples", f"mixture of {size}")
    pulled = min(mean(logs, name, key) for name in ("1 centre", "20 centres, EMA", "50 centres, EMA"))
    return pulled <= mean(logs, "VAE", key)


def table(logs: Logs) -> str:
    counts = Counter(claim.verdict(logs) for claim in CLAIMS)
    counted = ", ".join(f"{name} {counts[name]}" for name in (HOLDS, PARTLY, FAILS))
    lines = [
        f"Verdicts on {len(CLAIMS)} claims: {counted}.",
        "",
        "| the paper says | found, of all seeds | verdict |",
        "| --- | --- | --- |",
    ]
    for claim in CLAIMS:
        lines.append(f"| {claim.says} ({claim.where}) | {claim.evidence(logs)} | **{claim.verdict(logs)}** |")
    return "\n".join(lines)
