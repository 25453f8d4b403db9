"""An examination as a page, for someone who has never heard of a codebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from latentsearch import plots
from latentsearch._images import shown_range
from latentsearch.examination.examination import Examination, Finding
from latentsearch.report import Page

_SCALE_TO = 64  # pixels that a small image is enlarged to


def page_of(found: Examination) -> Page:
    """The page, its pictures drawn."""
    page = Page("Is this latent space searchable?", f"{found.about}; {found.images} images, {found.seconds:.0f} s")
    page.text(
        "A decoder turns a latent into an output. A latent is a few numbers or, where a decoder has a codebook, a grid "
        "of codes, each one of the book's entries. To search is to find the latent whose output is as it should be. "
        "This page says how well that goes for this decoder and these images."
    )
    page.heading("Verdict")
    page.text(found.verdict)
    page.table(
        ["", "question", "answer", "what to do"], [_row(f) for f in found.findings], [f.grade for f in found.findings]
    )
    page.heading("What to write")
    page.text(
        "With generator and images as they were given here. target is an image, or several (N, ...), and mask is 1 "
        "where its pixels are known."
    )
    page.code(found.advice)
    for note in found.notes:
        page.text(note, note=True)
    _trials(page, found)
    if found.pictures:
        _pictures(page, found)
    return page


def _row(finding: Finding) -> list[str]:
    return [finding.grade, finding.question, finding.answer, finding.remedy]


def _trials(page: Page, found: Examination) -> None:
    page.heading("Methods that were tried")
    page.text(
        f"Each looked for the latents of the same {found.targets} images, with {found.budget} evaluations an image: a "
        "decode is one, with its gradient two. The smaller the mean square the better. The encoder's is what its "
        "latents give without a search."
    )
    rows = []
    for trial in found.trials:
        if trial.refused:
            rows.append([trial.name, "-", "-", trial.refused])
            continue
        reached = "-" if trial.reached is None else f"{trial.reached:.0%}"
        after = "-" if trial.after is None else f"after {trial.after:.0f} evaluations"
        rows.append([trial.name, f"{trial.loss:.4g}", reached, after])
    if found.encoder_loss is not None:
        rows.append(["the encoder", f"{found.encoder_loss:.4g}", "", ""])
    page.table(["method", "mean square", "images as near as the encoder", "half of them"], rows)
    traces = {trial.name: trial.trace for trial in found.trials if trial.trace is not None}
    levels = {} if found.encoder_loss is None else {"the encoder": found.encoder_loss}
    page.figure(plots.traces(traces, levels=levels), "The best loss so far, a mean over the images.")


def _pictures(page: Page, found: Examination) -> None:
    shown = found.pictures
    span = shown_range([shown["target"]])
    scale = max(1, _SCALE_TO // max(shown["target"].shape[-2:]))

    def grid(caption: str, rows: Mapping[str, Tensor]) -> None:
        images = [row.nan_to_num().clamp(*span) for row in rows.values()]
        page.figure(plots.image_grid(images, list(rows), scale=scale, value_range=span), caption)

    if "image" in shown:
        page.heading("What it can give")
        rows = {"image": shown["image"], "decoded": shown["reconstruction"]}
        grid("Images, encoded and decoded again.", rows)
    page.heading("What is found")
    grid(
        "Whole images are given; below, what the best method found.",
        {"given": shown["target"], "found": shown["searched"]},
    )
    if "half" in shown:
        _halves(page, found, grid)
    page.heading("Random latents")
    rows = {"its own prior": shown["drawn"]} | (
        {"fitted prior": shown["drawn, fitted"]} if "drawn, fitted" in shown else {}
    )
    grid("Decoded draws.", rows)
    if "map" in shown:
        _map(page, found)
    page.heading("Between images" if "image" in shown else "Between random latents")
    lines = {f"{n + 1}": row for n, row in enumerate(shown["lines"])}
    way = "through the embeddings between codes" if found.elements is None else "in equal steps"
    grid(f"From the latent of the first image of each row to that of the last, {way}.", lines)
    page.heading("Single elements")
    if "elements" in shown:
        elements = zip(shown["which elements"].tolist(), shown["elements"], strict=True)
        caption = "One element of a latent changed by -3, -2, ... 3 of its standard deviations; those of most effect."
        grid(caption, {f"element {number}": row for number, row in elements})
    else:
        caption = "The code in the middle replaced by others, from the commonest to the rarest; a row an image."
        grid(caption, {f"{n + 1}": row for n, row in enumerate(shown["codes"])})
    if "felt" in shown:
        page.figure(
            plots.reach_map(shown["felt"]), "How much each pixel changes as the code in the middle is replaced."
        )
    if found.codes is not None and "used codes" in shown:
        page.heading("Codes")
        page.figure(plots.code_usage(shown["used codes"], found.codes.size), "How often each code occurs.")


def _halves(page: Page, found: Examination, grid: Callable[[str, Mapping[str, Tensor]], None]) -> None:
    """Images of which half is given, and what each prior makes of the rest."""
    rows = {name: found.pictures[f"half, {name}"] for name in found.halves if f"half, {name}" in found.pictures}
    grid(
        "The left half is given; below, what is found of the rest by each prior.",
        {"given": found.pictures["half"]} | rows,
    )
    page.text(
        "How far off the other half is. Grey mush can be nearer to the truth than an answer that looks like an image, "
        "so the prior that is advised is the one whose draws pass for encodings more often."
    )
    page.table(["prior", "mean square"], [[name, f"{value:.4g}"] for name, value in found.halves.items()])


def _map(page: Page, found: Examination) -> None:
    encoded, drawn = found.pictures["map"]
    labels = torch.tensor([0] * len(encoded) + [1] * len(drawn))
    figure = plots.latent_map(torch.cat([encoded, drawn]), labels)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    for text, words in zip(legend.get_texts(), ("encodings", "random latents"), strict=True):
        text.set_text(words)
    page.figure(figure, "Where latents lie, in the plane of their largest variance.")
