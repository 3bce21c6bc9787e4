"""Learning rates carry the names of the parts that they are of."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD

from labs.callbacks.learning_rates import part_names


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = Net(), Net()


class Method(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.other = net, nn.Linear(2, 2)


def names(method: nn.Module, *groups: list[nn.Module]) -> list[str]:
    optimizer = SGD([{"params": [p for part in parts for p in part.parameters()]} for parts in groups], lr=0.1)
    return part_names(method, [optimizer])


def test_parts_have_the_words_of_freezing_policies() -> None:
    net = Net()
    assert names(Method(net), [net]) == ["lr"]
    assert names(Method(net), [net.conv, net.norm], [net.fc]) == ["lr/backbone", "lr/head"]
    assert names(Method(net), [net.conv], [net.norm], [net.fc]) == ["lr/conv", "lr/norm", "lr/head"]
    assert names(Method(net), [net.norm, net.fc], [net.conv]) == ["lr/norm, fc", "lr/conv"]


def test_each_optimizer_is_a_part() -> None:
    net = Pair()
    optimizers = [SGD(part.parameters(), lr=0.1) for part in (net.generator, net.discriminator)]
    assert part_names(Method(net), optimizers) == ["lr/generator", "lr/discriminator"]


def test_names_differ() -> None:
    net = Net()
    method = Method(net)
    assert names(method, [net], [method.other]) == ["lr/conv, norm, fc", "lr/group 2"]
    halves = SGD([{"params": [net.conv.weight]}, {"params": [net.conv.bias]}], lr=0.1)
    assert part_names(method, [halves]) == ["lr/conv 1", "lr/conv 2"]
    assert part_names(nn.ReLU(), [halves]) == ["lr/group 1", "lr/group 2"]
