"""Whether probabilities are right: what was stated of channels beside how often it was so, bin by bin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bounds import binomial
from played import Channel, Label, Stated

from correlator.detect.settings import DetectSettings

# Of stated probabilities, evenly in log-odds where nearly all channels are.
EDGES: Final = (0.0, 1e-5, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0)


class Bin(NamedTuple):
    """Channels of which about the same was stated."""

    low: float
    high: float
    channels: int
    tunnels: int
    mean: float
    """Of what was stated."""
    brier: float
    """Sum of squared differences from what was so."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Of the frequency, 95 %."""
        return binomial(self.tunnels, self.channels)

    @property
    def agrees(self) -> bool:
        """Whether what was stated lies within the bounds."""
        low, high = self.bounds
        return low <= self.mean <= high


def bins_of(
    stated: Iterable[Stated], labels: Mapping[Channel, Label], settings: DetectSettings | None = None
) -> tuple[list[Bin], float]:
    """Return the bins, and the share of tunnels among channels and days.

    A prior is a statement about a network, and a simulation has as many tunnels as it was asked for.  So the odds are
    taken with the simulation's own share in place of the configured prior; what is tested is the evidence.
    """
    prior = (settings or DetectSettings()).prior
    known = [(one.log10_odds, not labels[one.channel].benign) for one in stated if one.channel in labels]
    tunnels = sum(tunnel for _, tunnel in known)
    if not tunnels or tunnels == len(known):
        return [], 0.0
    rate = tunnels / len(known)
    shift = rate / (1 - rate) / (prior / (1 - prior))
    found: list[list[tuple[float, bool]]] = [[] for _ in EDGES[1:]]
    for log10_odds, tunnel in known:
        odds = 10**log10_odds * shift
        probability = odds / (1 + odds)
        place = sum(probability > edge for edge in EDGES[1:-1])
        found[place].append((probability, tunnel))
    bins = [
        Bin(
            low, high, len(mine), sum(tunnel for _, tunnel in mine),
            sum(probability for probability, _ in mine) / len(mine) if mine else 0.0,
            sum((probability - tunnel) ** 2 for probability, tunnel in mine),
        )
        for low, high, mine in zip(EDGES, EDGES[1:], found, strict=False)
    ]  # fmt: skip
    return bins, rate


def reliability_table(bins: Sequence[Bin], rate: float) -> Iterator[str]:
    """Yield the bins, and Brier's score beside that of saying nothing but the share of tunnels."""
    if not bins:
        yield "No channel was judged, or there is nothing to tell from."
        return
    count = sum(one.channels for one in bins)
    yield (
        "Each channel at the end of each day on which it was seen: the probability that was stated, and how many of "
        f"them were tunnels. The prior is replaced by the simulation's own share, {rate:.4%} of {count:,} channels and "
        "days. "
        "A channel counts again on its next day, so the bounds (Clopper-Pearson, 95 %) are narrower than they should "
        "be."
    )
    yield from (
        "",
        "| stated | channels and days | tunnels | mean stated | frequency | bounds | |",
        "|---|--:|--:|--:|--:|---|---|",
    )
    for one in bins:
        if one.channels:
            low, high = one.bounds
            yield (
                f"| {one.low:g}-{one.high:g} | {one.channels:,} | {one.tunnels} | {one.mean:.5f} "
                f"| {one.tunnels / one.channels:.5f} | {low:.5f}-{high:.5f} | {'agrees' if one.agrees else '**off**'} |"
            )
    brier = sum(one.brier for one in bins) / count
    yield ""
    yield f"Brier's score {brier:.6f}; of the share alone {rate * (1 - rate):.6f}."


def picture(bins: Sequence[Bin], path: Path) -> None:
    """Draw stated probabilities against frequencies, both by their log-odds."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "reliability"
    from matplotlib import pyplot as plt  # noqa: PLC0415 - the same

    shown = [one for one in bins if one.channels]
    figure, axes = plt.subplots(figsize=(6, 6))
    axes.set_xscale("logit")
    axes.set_yscale("logit")
    axes.plot([1e-7, 1 - 1e-5], [1e-7, 1 - 1e-5], color="grey", linewidth=1, label="as stated")
    for one in shown:
        low, high = one.bounds
        middle = min(max(one.tunnels / one.channels, low, 1e-7), 1 - 1e-5)
        stated = min(max(one.mean, 1e-7), 1 - 1e-5)
        axes.plot([stated, stated], [max(low, 1e-7), min(high, 1 - 1e-5)], color="tab:blue", linewidth=1.5)
        axes.plot([stated], [middle], "o", color="tab:blue")
    axes.set_xlabel("stated probability of a tunnel")
    axes.set_ylabel("share that were tunnels, with 95 % bounds")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
