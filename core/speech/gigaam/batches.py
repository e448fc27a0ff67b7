"""Which segments share a batch: those of about the same length, under a budget of padded sound."""

from __future__ import annotations

from collections.abc import Sequence


def plan(lengths: Sequence[int], budget: int, most: int) -> list[list[int]]:
    """Indices of segments, batch by batch, the longest batches first.

    A batch's longest length times its number stays within `budget` (a single segment may exceed
    it), and it has `most` segments at most. Longest first: what does not fit is known at once.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        last = batches[-1] if batches else []
        # The first of a batch is its longest.
        if last and len(last) < most and lengths[last[0]] * (len(last) + 1) <= budget:
            last.append(index)
        else:
            batches.append([index])
    return batches


def split_in_two(batch: list[int]) -> list[list[int]]:
    """A batch that did not fit, cut in two."""
    middle = (len(batch) + 1) // 2
    return [part for part in (batch[:middle], batch[middle:]) if part]
