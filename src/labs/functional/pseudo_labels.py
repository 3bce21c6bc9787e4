"""Labels that a net gives itself: what it is sure of, and no more of one class than of the others."""

import torch
from torch import Tensor

NO_LABEL = -1


def pseudo_labels(probabilities: Tensor, threshold: float, *, balanced: bool) -> Tensor:
    """Return the predicted class of each image that is predicted with confidence, and -1 for the others.

    D.-H. Lee, "Pseudo-Label", 2013, equation 2, with a threshold.

    Args:
        probabilities: (images, classes), each row summing to 1.
        threshold: the least probability of the predicted class that counts as confident, in [0, 1].
        balanced: of each class keep at most the mean number of confident images of a class (rounded up), the surest.

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
