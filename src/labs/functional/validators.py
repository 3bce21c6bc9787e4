"""Rate a classifier by its predictions on unlabeled images, to select a model without target labels."""

import torch
import torch.nn.functional as F
from torch import Tensor


def mean_entropy(probabilities: Tensor) -> Tensor:
    """Return the mean entropy of predictions (images, classes) in nats, from 0 (certain) to log(classes); low is good.

    It is also low for a collapsed net, which is confident of wrong classes.

    Examples:
        >>> import torch
        >>> round(mean_entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).item(), 4)
        0.3466
    """
    return torch.special.entr(probabilities.cpu().double()).sum(dim=1).mean()


def soft_neighborhood_density(probabilities: Tensor, temperature: float = 0.05, chunk: int = 1000) -> Tensor:
    """Return the soft neighborhood density of predictions (images, classes), from 0 to log(images - 1); high is good.

    K. Saito et al., "Tune it the Right Way: Unsupervised Validation of Domain Adaptation via Soft Neighborhood
    Density", ICCV 2021, equations 1 to 3: the mean entropy of each image's softmax over its cosine similarities to
    the other images. It is high if each image is in a dense neighborhood of images with similar predictions.

    Args:
        probabilities: Softmax outputs.
        temperature: Temperature of the similarities.
        chunk: Number of images compared with all others at a time.
    """
    unit = F.normalize(probabilities.cpu().double(), dim=1)
    entropies = []
    for start in range(0, len(unit), chunk):
        similarities = unit[start : start + chunk] @ unit.T / temperature
        rows = torch.arange(len(similarities), device=unit.device)
        similarities[rows, start + rows] = -torch.inf  # an image is not its own neighbor
        entropies.append(torch.special.entr(similarities.softmax(dim=1)).sum(dim=1))
    return torch.cat(entropies).mean()
