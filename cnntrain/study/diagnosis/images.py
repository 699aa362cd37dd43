"""Whether the images are normalised, and whether they have to do with their labels."""

from __future__ import annotations

from math import sqrt

import torch
from torch.nn.functional import adaptive_avg_pool2d

from cnntrain.core import seeds
from cnntrain.study.diagnosis.subject import OK, SUSPICIOUS, WRONG, Finding, Sample, Subject, accuracy

FAR, VERY_FAR = 2.5, 5.0  # from 0, of a channel's mean
WIDE, VERY_WIDE = (0.2, 3.0), (0.02, 10.0)  # a channel's deviation
SIDE = 16  # pixels that images are brought to before they are compared
SHUFFLES = 100
CLEAR, FAINT = 4.0, 2.0  # deviations above shuffled labels
LONGER = 3  # times the steps of a trial


def normalised(subject: Subject) -> Finding:
    """By each channel's mean and deviation over the images as the network sees them; 0 and 1 are meant."""
    values = subject.train.images.double().movedim(1, 0).flatten(1)
    means, deviations = values.mean(1), values.std(1)
    off, least, most = float(means.abs().max()), float(deviations.min()), float(deviations.max())
    low, high = float(values.min()), float(values.max())
    saw = f"values {low:.3g} to {high:.3g}, means within {off:.2g} of 0, deviations {least:.2g} to {most:.2g}"
    status = OK
    if off > FAR or least < WIDE[0] or most > WIDE[1] or (low >= 0 and not subject.loads_weights):
        status = SUSPICIOUS
    if off > VERY_FAR or least < VERY_WIDE[0] or most > VERY_WIDE[1]:
        status = WRONG
    advice = "" if status == OK else "augment.normalize=data brings each channel to mean 0 and deviation 1"
    numbers = {"mean": means.tolist(), "deviation": deviations.tolist(), "low": low, "high": high}
    return Finding("images normalised", status, saw, advice, numbers)


def labels(subject: Subject) -> Finding:
    """Control: the same net learns the same images with shuffled labels, and is no better on val with the true ones.

    Where the net learns neither, the nearest neighbour among the training images decides, whose label an image has
    more often than a shuffled one: it needs no net. Trials are long only where short ones and the neighbours leave it
    open.
    """
    neighbour, shuffled, deviations = neighbours(subject.train)
    for times in (1, LONGER):
        true, control = (
            accuracy(subject.trial(each, subject.scan.rate, times).network.eval(), subject.val)
            for each in (subject.train, subject.train.shuffled())
        )
        pooled = max((true + control) / 2, 1 / len(subject.val))
        net = (true - control) / sqrt(2 * pooled * (1 - min(pooled, 0.99)) / len(subject.val))
        if max(net, deviations) >= CLEAR:
            break
    saw = (
        f"after {times * subject.steps} steps {true:.0%} of val right, with shuffled labels {control:.0%}; nearest "
        f"neighbour {neighbour:.0%}, shuffled {shuffled:.0%}"
    )
    numbers = {"val": true, "val_shuffled": control, "neighbour": neighbour, "neighbour_shuffled": shuffled}
    name = "labels belong to images"
    if max(net, deviations) >= CLEAR:
        return Finding(name, OK, saw, "", numbers)
    status = SUSPICIOUS if max(net, deviations) >= FAINT else WRONG
    advice = "look at images beside their labels: the table, the folders or the order of data.root may have slipped"
    return Finding(name, status, saw, advice, numbers)


def neighbours(sample: Sample) -> tuple[float, float, float]:
    """How often an image has the label of the one that is nearest to it; the same with shuffled labels; by how many
    deviations of those the former is more."""
    small = adaptive_avg_pool2d(sample.images.float(), SIDE).flatten(1)
    distances = torch.cdist(small, small).fill_diagonal_(torch.inf)
    nearest = distances.argmin(1)
    found = float((sample.labels == sample.labels[nearest]).double().mean())
    draws = seeds.generator("diagnosis", "neighbours")
    values = []
    for _ in range(SHUFFLES):
        other = sample.labels[torch.randperm(len(sample), generator=draws).to(nearest.device)]
        values.append((other == other[nearest]).double().mean())
    by_chance = torch.stack(values)
    spread = max(float(by_chance.std()), 1 / len(sample))
    return found, float(by_chance.mean()), (found - float(by_chance.mean())) / spread
