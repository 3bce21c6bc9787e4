"""Pseudo-labels: confident predictions, optionally balanced over the classes."""

import torch
from torch import Tensor

NO_LABEL = -1


def pseudo_labels(probabilities: Tensor, threshold: float, *, balanced: bool) -> Tensor:
    """Return the predicted class of each image with a confident prediction, and -1 for the others.

    D.-H. Lee, "Pseudo-Label", 2013, equation 2, with a threshold.

    Args:
        probabilities: (images, classes), each row summing to 1.
        threshold: Smallest probability of the predicted class that counts as confident, in [0, 1].
        balanced: Whether each class keeps at most the mean number of confident images per class (rounded up): its most
            confident ones.

    Returns:
        Labels (images,) int64.

    Examples:
        >>> import torch
        >>> sure = torch.tensor([[0.99, 0.01], [0.96, 0.04], [0.6, 0.4], [0.98, 0.02], [0.03, 0.97]])
        >>> pseudo_labels(sure, 0.95, balanced=False)
        tensor([ 0,  0, -1,  0,  1])
        >>> pseudo_labels(sure, 0.95, balanced=True)
        tensor([ 0, -1, -1,  0,  1])
    """
    confidence, labels = probabilities.max(dim=1)
    labels = torch.where(confidence >= threshold, labels, NO_LABEL)
    if balanced:
        most = -(-int((labels != NO_LABEL).sum()) // probabilities.shape[1])
        for label in range(probabilities.shape[1]):
            members = torch.nonzero(labels == label).flatten()
            order = confidence[members].argsort(descending=True, stable=True)
            labels[members[order[most:]]] = NO_LABEL
    return labels
