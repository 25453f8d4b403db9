"""Small networks that come with the package, trained on MNIST, and a few images to try them on."""

from latentsearch.zoo._weights import figures, images, load, names, prior

__all__ = ["figures", "images", "load", "names", "prior"]
