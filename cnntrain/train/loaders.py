"""A loader for each part of a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cnntrain.config.schema import TrainConfig
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import Share, step_batch
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.dataset import DataSet, Part


@dataclass
class Loaders:
    """A loader for each part, and what all of them share."""

    train: Loader
    val: Loader
    test: Loader | None
    share: Share
    preprocess: Preprocess
    batch_size: int  # samples an optimizer step

    @classmethod
    def build(
        cls, config: TrainConfig, data: DataSet, preprocess: Preprocess, device: torch.device, share: Share
    ) -> Loaders:
        def loader(part: Part, transform: Callable[[Tensor], Tensor], seed: int | None) -> Loader:
            samples = Samples(part, transform, seed)
            return Loader(samples, config.data.num_workers, preprocess, device, input_dtype(config))

        size, augment = preprocess.image_size, config.augment
        plain = augment.eval_transform(size)
        return cls(
            train=loader(data.train, augment.train_transform(size), config.seed if augment.is_random else None),
            val=loader(data.val, plain, None),
            test=loader(data.test, plain, None) if data.test is not None else None,
            share=share,
            preprocess=preprocess,
            batch_size=step_batch(config.data.batch_size, len(data.train), share),
        )

    def notes(self, asked: int) -> list[str]:
        """Lines for the user on the batch size, of which `asked` is the configured one."""
        count = len(self.train.samples)
        left = count % self.batch_size
        if self.batch_size != asked:
            return [f"note: the training part is smaller than data.batch_size={asked}"]
        if left > count / 10:
            return [f"note: an epoch takes whole batches: {count - left:,} of {count:,} images, others each time"]
        return []


def input_dtype(config: TrainConfig) -> torch.dtype:
    """Of the images: autocast chooses the precision of each operation itself, from float32 inputs."""
    return torch.float64 if config.trainer.precision == "float64" else torch.float32


DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
