"""The bound: what neighbors could still save in a trained codec."""

import dataclasses
import html
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import ArrayLike, Float
from tqdm.auto import tqdm

from jaxcorr.errors import UserError
from jaxcorr.neighbors import closed_forms, fitting, network, predictors, samples, table
from jaxcorr.neighbors.closed_forms import Moments
from jaxcorr.neighbors.predictors import Coefficients, Features
from jaxcorr.neighbors.samples import Samples
from jaxcorr.neighbors.statistics import Saving, jackknife, ratio_percent

FOLDS = 4
"""Parts of the images; each part is tested with what is fitted to the others."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Bound:
    """Savings that neighbors could still bring to a trained codec; prints as a table.

    Attributes:
      latents: Number of latents of all images.
      bits_per_latent: Bits of the trained codec, under its Gaussians.
      savings: What each predictor saves of held-out images.
      closed_forms: What second moments say that a predictor saves.
      image_bits: Bits of the latents of each image.
      image_savings: Bits that each predictor saves of each image, by its name.
      channel_bits: Share of each channel in all bits; sums to 1.
      channel_savings: Bits that each predictor saves in each channel, in percent of all
        bits, by its name.
      loss: Correlation loss of the residuals: the squared norm of `map`.
      map: Correlation map of the residuals, 7 by 7.
      centered_map: The map without its pedestal, which is what the mean of each channel
        of each image adds.
    """

    latents: int
    bits_per_latent: float
    savings: tuple[Saving, ...]
    closed_forms: tuple[Saving, ...]
    image_bits: Float[np.ndarray, " i"]
    image_savings: dict[str, Float[np.ndarray, " i"]]
    channel_bits: Float[np.ndarray, " c"]
    channel_savings: dict[str, Float[np.ndarray, " c"]]
    loss: float
    map: Float[np.ndarray, "7 7"]
    centered_map: Float[np.ndarray, "7 7"]

    def to_json(self) -> dict[str, Any]:
        """Returns the bound as JSON."""

        def listed(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return value.tolist()
            if isinstance(value, dict):
                return {name: listed(one) for name, one in value.items()}
            if isinstance(value, tuple):
                return [dataclasses.asdict(one) for one in value]
            return value

        return {name: listed(value) for name, value in vars(self).items()}

    def __repr__(self) -> str:
        """Returns a table with one line per predictor and per closed form."""
        return table.as_text(self)

    def _repr_html_(self) -> str:
        """Returns the table for notebooks, in the colors of the notebook."""
        return f"<pre>{html.escape(repr(self))}</pre>"


def bound(
    latents: Sequence[ArrayLike],
    means: Sequence[ArrayLike],
    scales: Sequence[ArrayLike],
    *,
    names: Sequence[str] | None = None,
) -> Bound:
    """Measures what neighbors could still save in a trained codec, of any code base.

    The integers round(latent - mean) stay as they are. Their Gaussians are predicted
    anew, from less to more: by calibration alone, by one linear filter of the 12 causal
    neighbors for all channels (what the correlation loss sees), by a filter for every
    channel, by scales from the energy of neighbors and of earlier channels, and by a
    small network that sees the neighbors in all channels. Every image is tested with
    predictors that are fitted to other images. Ideal code lengths are compared, under
    Gaussians of any offset and scale that are integrated over quantization steps.

    The savings are lower estimates of what is there: a better predictor may save more.
    That of one filter for all channels estimates what the correlation loss, which sees
    one map, could gain in a codec that is kept as it is. A window of 7 also holds
    neighbors at a distance of 3, which the filter lacks.

    Neighbors precede a latent in raster order. If the codec has a context model, its
    means and scales already hold what that context knows, and the bound is what a
    further context in raster order could add.

    Args:
      latents: Latents of each image before quantization, of shape [height, width,
        channels]. Leave out latents that only cover padding.
      means: Predicted mean of each latent.
      scales: Predicted scale of each latent, in quantization steps.
      names: Names of the images, for messages.

    Raises:
      UserError: If there are fewer than 4 images, latents at fewer than 400 positions,
        or arrays whose shapes or values do not fit.
    """
    residuals, checked = samples.check_latents(latents, means, scales, names)
    gathered = samples.collect_samples(residuals, checked)
    features = predictors.make_features(gathered)
    fold = gathered.image % FOLDS
    identity = np.tile(predictors.IDENTITY, (FOLDS, residuals[0].shape[2], 1))
    before = gathered.per_image(predictors.held_out_bits(features, fold, identity))
    if not before.sum() > 0:
        raise UserError("the latents have no bits: every one is at its mean")
    after, coefficients = fit_linear(gathered, features, fold, identity)
    after |= _fit_networks(gathered, features, fold, coefficients)
    moments = closed_forms.measure_moments(residuals, checked)
    count = sum(residual.size for residual in residuals)
    mean_map, centered = (
        np.average(maps, axis=0, weights=moments.weights)
        for maps in (moments.maps, moments.centered_maps)
    )
    total, bits = before.sum(), before.sum(axis=1)
    return Bound(
        latents=count,
        bits_per_latent=float(total / count),
        savings=tuple(_savings(bits, {n: a.sum(axis=1) for n, a in after.items()})),
        closed_forms=tuple(_closed_forms(moments, float(total / count))),
        image_bits=bits,
        image_savings={name: bits - a.sum(axis=1) for name, a in after.items()},
        channel_bits=before.sum(axis=0) / total,
        channel_savings={
            name: 100 * (before - a).sum(axis=0) / total for name, a in after.items()
        },
        loss=closed_forms.loss_of(mean_map),
        map=mean_map,
        centered_map=centered,
    )


def fit_linear(
    gathered: Samples, features: Features, fold: np.ndarray, theta: Coefficients
) -> tuple[dict[str, np.ndarray], dict[str, Coefficients]]:
    """Returns held-out bits [image, channel] and coefficients of each predictor.

    Each predictor starts from the former one, and the first one from `theta`.
    """
    training = fold[None] != np.arange(FOLDS)[:, None]
    weight = training.astype(np.float32) * gathered.weight
    bits, coefficients = {}, {}
    for predictor in tqdm(
        predictors.PREDICTORS, unit="predictor", disable=None, leave=False
    ):
        theta = fitting.fit(features, weight, theta, predictor)
        held_out = predictors.held_out_bits(features, fold, theta)
        bits[predictor.name] = gathered.per_image(held_out)
        coefficients[predictor.name] = theta
    return bits, coefficients


def _fit_networks(
    gathered: Samples,
    features: Features,
    fold: np.ndarray,
    coefficients: dict[str, Coefficients],
) -> dict[str, np.ndarray]:
    """Returns held-out bits [image, channel] of the network without and with neighbors.

    Each corrects the best predictor that sees as much as it does. Of few images it
    learns what others do not have, so the images of other folds choose the share of its
    correction that counts.
    """
    found = {}
    for name, start_name, sees_neighbors in (
        ("network_alone", "calibration", False),
        ("network", "neighbor_energy", True),
    ):
        bits = np.zeros((*gathered.residual.shape, len(network.SHARES)))
        for index, theta in enumerate(coefficients[start_name]):
            gaussians = predictors.predict(features, theta)
            start = network.make_start(gathered, *gaussians)
            tested = fold == index
            layers = network.fit(start, ~tested, sees_neighbors=sees_neighbors)
            bits[tested] = network.bits(
                layers, start, tested, sees_neighbors=sees_neighbors
            )
        sums = np.stack(
            [gathered.per_image(bits[..., i]) for i in range(len(network.SHARES))]
        )
        folds = np.arange(gathered.images) % FOLDS
        totals = sums.sum(axis=2)
        best = [
            totals[:, folds != index].sum(axis=1).argmin() for index in range(FOLDS)
        ]
        found[name] = sums[np.array(best)[folds], np.arange(gathered.images)]
    return found


def _savings(
    before: Float[np.ndarray, " i"], after: dict[str, Float[np.ndarray, " i"]]
) -> list[Saving]:
    """Returns the saving of each predictor, alone and beyond its reference."""
    made = []
    for name, (title, reference) in table.PREDICTORS.items():
        percent, error = ratio_percent(before - after[name], before)
        more: tuple[float | None, float | None] = None, None
        if reference:
            more = ratio_percent(after[reference] - after[name], before)
        made.append(
            Saving(
                name=name,
                title=title,
                percent=percent,
                error=error,
                reference=reference,
                more_percent=more[0],
                more_error=more[1],
            )
        )
    return made


def _closed_forms(moments: Moments, bits_per_latent: float) -> list[Saving]:
    """Returns what second moments say, in percent of the bits of the codec."""
    forms: dict[str, Callable[[np.ndarray], float]] = {
        "pooled_information": moments.pooled_bits,
        "channel_information": moments.channel_bits,
        "quadratic": moments.quadratic_bits,
        "centered_quadratic": moments.centered_quadratic_bits,
    }
    made = []
    for name, form in forms.items():
        bits, error = jackknife(form, moments.weights)
        factor = 100 / bits_per_latent
        made.append(
            Saving(
                name=name,
                title=table.CLOSED_FORMS[name],
                percent=factor * bits,
                error=factor * error,
            )
        )
    return made
