"""An examination as a page, for someone who has never heard of a codebook."""

from __future__ import annotations

import torch

from latentsearch import plots
from latentsearch._images import shown_range
from latentsearch.examination.examination import Examination
from latentsearch.examination.single import AMOUNTS
from latentsearch.report import Page

_SCALE_TO = 56  # pixels that a small image is enlarged to


def page_of(found: Examination) -> Page:
    """The page, its pictures drawn."""
    page = Page("Is this latent space searchable?", f"{found.about}; {found.images} images, {found.seconds:.0f} s")
    page.text(
        "A decoder turns a latent, which is a few numbers or codes, into an output. To search is to find the latent "
        "whose output is as it should be. This page says how well that goes for this decoder and these images."
    )
    page.heading("Verdict")
    page.text(found.verdict)
    rows = [[f.grade, f.question, f.answer + (f" {f.remedy}" if f.remedy else "")] for f in found.findings]
    page.table(["", "question", "answer"], rows, [f.grade for f in found.findings])
    page.heading("What to write")
    page.text("With generator and images as they were given here, target (1, *O), and mask of the same shape:")
    page.code(found.advice)
    for note in found.notes:
        page.text(note, note=True)
    _trials(page, found)
    if found.pictures:
        _pictures(page, found)
    return page


def _trials(page: Page, found: Examination) -> None:
    page.heading("Methods that were tried")
    page.text(
        f"Each looked for the latents of the same images, with {found.budget} evaluations an image: a decode is "
        "one, with its gradient two. Lower is better; the encoder's own loss is what its latents give without a search."
    )
    rows = []
    for trial in found.trials:
        if trial.refused:
            rows.append([trial.name, "-", "-", trial.refused])
            continue
        reached = "-" if trial.reached is None else f"{trial.reached:.0%}"
        after = "-" if trial.after is None else f"{trial.after:.0f}"
        rows.append([trial.name, f"{trial.loss:.4g}", reached, after])
    if found.encoder_loss is not None:
        rows.append(["the encoder", f"{found.encoder_loss:.4g}", "", ""])
    page.table(["method", "mean square", "as near as the encoder", "half are there after"], rows)
    traces = {trial.name: trial.trace for trial in found.trials if trial.trace is not None}
    levels = {} if found.encoder_loss is None else {"the encoder": found.encoder_loss}
    page.figure(plots.traces(traces, levels=levels), "The best loss so far, a mean over the images.")
    if found.priors:
        page.text("Where half of an image is shown, the other half is off by (a mean square):")
        page.table(["known besides", "off by"], [[name, f"{value:.4g}"] for name, value in found.priors.items()])


def _pictures(page: Page, found: Examination) -> None:
    shown = found.pictures
    span = shown_range([shown["target"]])
    scale = max(1, _SCALE_TO // max(shown["target"].shape[-2:]))

    def grid(caption: str, rows: dict[str, str]) -> None:
        present = {label: shown[name].clamp(*span) for label, name in rows.items() if name in shown}
        if len(present) == len(rows) or len(present) > 1:
            page.figure(plots.image_grid(list(present.values()), list(present), scale=scale, value_range=span), caption)

    if "image" in shown:
        page.heading("What it can give")
        grid("Images, encoded and decoded again.", {"image": "image", "decoded": "reconstruction"})
    page.heading("What is found")
    grid("Whole images are given; below, what the advised search found.", {"given": "target", "found": "searched"})
    if found.priors:
        halves = {f"with {name}": f"half, {name}" for name in found.priors}
        grid("The left half is given; what is found of the rest, by what is known besides.", {"given": "half"} | halves)
    page.heading("Random latents")
    grid("Decoded draws of the generator's own prior.", {"": "drawn"})
    if "map" in shown:
        _map(page, found)
    page.heading("Between images")
    strips = [row.clamp(*span) for row in shown["lines"]]
    figure = plots.image_grid(strips, [""] * len(strips), scale=scale, value_range=span)
    page.figure(figure, "Along lines from one latent to another.")
    page.heading("Single elements")
    if "elements" in shown:
        rows = [row.clamp(*span) for row in shown["elements"]]
        labels = [str(element) for element in shown["which elements"].tolist()]
        caption = f"One element of a latent changed by {AMOUNTS[0]:g} to {AMOUNTS[-1]:g} of its standard deviations."
    else:
        rows = [row.clamp(*span) for row in shown["codes"]]
        labels = [""] * len(rows)
        caption = "The code in the middle replaced by the seven commonest codes; a row an image."
    page.figure(plots.image_grid(rows, labels, scale=scale, value_range=span), caption)
    if "felt" in shown:
        page.figure(
            plots.reach_map(shown["felt"]), "How much each pixel changes as the code in the middle is replaced."
        )
    if found.codes is not None and "used codes" in shown:
        page.heading("Codes")
        page.figure(plots.code_usage(shown["used codes"], found.codes.size), "How often each code occurs.")


def _map(page: Page, found: Examination) -> None:
    encoded, drawn = found.pictures["map"]
    labels = torch.tensor([0] * len(encoded) + [1] * len(drawn))
    figure = plots.latent_map(torch.cat([encoded, drawn]), labels)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    for text, words in zip(legend.get_texts(), ("encodings", "random latents"), strict=True):
        text.set_text(words)
    page.figure(figure, "Where latents lie, in the plane of their largest variance.")
