"""What the measures of a study cost, in forwards of the model."""

from __future__ import annotations

from math import ceil

from engram.mechanisms.settings import MechanismsSettings

BISECTION = 10
"""Lengths of context that a bisection tries, with those that check it."""


def count_forwards(
    settings: MechanismsSettings, layers: int, heads: int, prefix: int, classes: int
) -> dict[str, int]:
    """Return how many forwards of one sequence each measure that is switched on takes for one
    model, protocol and taxonomy, by measure; at most, where it depends on the samples.

    A forward that begins at a layer counts for the layers that it runs. What runs no layer, such as
    the training of the tuned lens, is left out.

    Args:
        settings: of the config.
        layers: L of the model.
        heads: per layer.
        prefix: tokens of the prompt.
        classes: K of the taxonomy.
    """
    samples = classes * settings.samples_per_class
    forwards: dict[str, int] = {}
    if settings.enabled:
        strengths = sum(alpha > 0 for alpha in settings.alphas)
        lengths = prefix if settings.scan else BISECTION
        # Without a head of layer l, L - l + 1 layers run.
        of_heads = 1 + heads * (layers + 1) / 2 + (settings.heads == "mean")
        forwards |= {
            "noise": samples * (1 + strengths * settings.seeds),
            # The tuned lens reads the samples as well, and those that it is trained on.
            "lens": samples * (3 if settings.tuned_lens_steps else 1),
            "heads": ceil(samples * of_heads),
            "compression": samples * (1 if settings.keep == "onset" else lengths),
        }
    if settings.entropy.enabled:
        forwards["entropy"] = samples
    if (remind := settings.remind).enabled:
        # Samples of two splits, and their neighbours.
        forwards["remind"] = 2 * classes * remind.samples_per_class * (1 + remind.neighbours)
    if (feed_forward := settings.feed_forward).enabled:
        # Without the block of layer l, L - l + 1 layers run; neurons are of all layers.
        sets = classes * len(feed_forward.shares) * (1 + feed_forward.draws)
        reference = (len(feed_forward.shares) > 0) + 2 * (feed_forward.operation == "mean")
        forwards["feed_forward"] = ceil(samples * (2 + (layers + 1) / 2 + sets + reference))
    return forwards
