"""A small convolutional classifier, for constraints of the kind "be a 7"."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import require_count
from latentsearch.models._pixels import require_rows, require_sides
from latentsearch.noise import Noise


class Classifier(nn.Module):
    """Two strided convolutions and a linear layer: images to logits.

    Args:
        image_shape: ``(C, H, W)``; H and W divisible by 4.
        classes: Number of classes.
        channels: Channels after the first convolution.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> from latentsearch.models import Classifier
        >>> Classifier((1, 28, 28)).eval()(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, image_shape: tuple[int, int, int], *, classes: int = 10, channels: int = 16) -> None:
        super().__init__()
        require_sides("Classifier.image_shape", image_shape, 4)
        require_count("Classifier.classes", classes)
        require_count("Classifier.channels", channels)
        colours, height, breadth = self.image_shape = tuple(image_shape)
        self.settings = {"image_shape": tuple(image_shape), "classes": classes, "channels": channels}
        self.layers = nn.Sequential(
            nn.Conv2d(colours, channels, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * channels * (height // 4) * (breadth // 4), classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to logits ``(N, classes)``."""
        require_rows("Classifier.images", images, self.image_shape)
        return self.layers(images)  # type: ignore[no-any-return]

    def training_terms(self, images: Tensor, labels: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Cross-entropy in nats; the images are shifted by up to two pixels against overfitting."""
        if self.training:
            down, right = (noise.integers(5, 2)[0] - 2).tolist()
            images = images.roll((down, right), (2, 3))
        return {"cross_entropy": F.cross_entropy(self(images), labels)}
