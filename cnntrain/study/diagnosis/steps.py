"""Whether steps are taken as they should be: how many images, how far, and whether they lead anywhere."""

from __future__ import annotations

from math import isfinite

from torch import nn

from cnntrain.study.diagnosis.subject import LEARNS, OK, SUSPICIOUS, WRONG, Finding, Subject, accuracy, train_mode

FEW_STEPS = 4  # an epoch
FEW_IN_ALL = 50
STEPS_WANTED = 16  # an epoch, where a smaller batch is advised
HALF, LITTLE = 0.5, 0.1  # of what the best rate learns
LOW, VERY_LOW = 30, 300  # times the rate is what learns at all
WORSE = 1.2  # times the first loss
ONE_BATCH = 16  # images to be learned by heart
LONGER = 15  # times the steps of a trial, at most
MEMORISED, PARTLY = 0.95, 0.6
KNOWN = 0.02  # of ln(classes): the loss at which no more steps are needed


def batch_size(subject: Subject) -> Finding:
    """By the optimizer steps of an epoch and of the run."""
    batch, per_epoch, total = subject.config.data.batch_size, subject.steps_per_epoch, subject.total_steps
    share = min(batch, subject.count) / subject.count
    saw = f"{min(batch, subject.count):,} of {subject.count:,} images ({share:.1%}) a step, {per_epoch:,} an epoch"
    numbers = {"batch_size": batch, "images": subject.count, "steps_per_epoch": per_epoch, "steps": total}
    name = "batch not too large"
    smaller = max(1, 2 ** (max(1, subject.count // STEPS_WANTED).bit_length() - 1))
    if per_epoch < FEW_STEPS:
        advice = f"data.batch_size={smaller} takes {subject.count // smaller} steps an epoch"
        return Finding(name, WRONG if per_epoch == 1 else SUSPICIOUS, f"{saw}, {total:,} in all", advice, numbers)
    if total < FEW_IN_ALL:
        advice = "trainer.epochs higher, or data.batch_size lower: so few steps hardly train anything"
        return Finding(name, SUSPICIOUS, f"{saw}, {total:,} in all", advice, numbers)
    if batch == 1 and has_batch_norm(subject.initial):
        return Finding(name, SUSPICIOUS, saw, "data.batch_size=16: BatchNorm needs several images at once", numbers)
    return Finding(name, OK, f"{saw}, {total:,} in all", "", numbers)


def has_batch_norm(network: nn.Module) -> bool:
    return any("BatchNorm" in type(each).__name__ for each in network.modules())


def rate(subject: Subject) -> Finding:
    """By short trials at the run's rate and at powers of ten of it: at one too high the loss rises or is no number, at
    one too low it stays where much higher ones bring it down."""
    own, scan = subject.config.optim.lr, subject.scan
    start, best = scan.first, scan.rate
    learned = {each: start - reached for each, reached in scan.reached.items()}
    saw = (
        f"loss after {scan.steps} steps from {start:.3g}: {scan.reached[own]:.3g} at optim.lr={own:g}, "
        f"{scan.reached[best]:.3g} at {best:g}"
    )
    reached = {f"{each:g}": loss for each, loss in scan.reached.items()}
    name, numbers = "learning rate", {"first": start, "reached": reached, "best": best}
    if not isfinite(start) or learned[best] < LEARNS * start:
        advice = "no rate brings the loss down: another of these findings says why"
        return Finding(name, SUSPICIOUS, saw, advice, numbers)
    if best < own and learned[own] < HALF * learned[best] / 2:
        risen = scan.reached[own] > WORSE * start
        status = WRONG if risen and not subject.config.schedule.warmup_epochs else SUSPICIOUS
        return Finding(name, status, saw, f"optim.lr={best:g}, or schedule.warmup_epochs", numbers)
    enough = min(each for each in learned if learned[each] >= HALF * learned[best])
    if enough >= LOW * own and learned[own] < LITTLE * learned[best]:
        status = WRONG if enough >= VERY_LOW * own else SUSPICIOUS
        return Finding(name, status, saw, f"optim.lr={enough:g}", numbers)
    return Finding(name, OK, saw, "", numbers)


def one_batch(subject: Subject) -> Finding:
    """Whether so few images can be learned by heart, at the rate that learned most in short trials, or a tenth of it:
    a net that cannot will learn nothing of more."""
    few = subject.train.first(ONE_BATCH)
    best, tried = 0.0, []
    for lr in (subject.scan.rate, subject.scan.rate / 10):
        tried.append(subject.fit([few] * (LONGER * subject.steps), lr, enough=KNOWN * subject.chance))
        network = tried[-1].network
        best = max(best, accuracy(network.eval(), few), accuracy(train_mode(network), few))
        if best >= MEMORISED:
            break
    first, last = tried[0].first, min(each.reached for each in tried)
    saw = f"{best:.0%} of {len(few)} images after {len(tried[-1].losses)} steps, loss {first:.3g} to {last:.3g}"
    numbers = {"accuracy": best, "images": len(few), "first": first, "last": last}
    name = "can overfit one batch"
    if best >= MEMORISED:
        return Finding(name, OK, saw, "", numbers)
    advice = "the net cannot fit even these: a larger model=, less model.drop_rate, more trained (transfer=full)"
    return Finding(name, SUSPICIOUS if best >= PARTLY else WRONG, saw, advice, numbers)
