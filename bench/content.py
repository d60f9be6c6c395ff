"""What it costs to tell what flows carry: whole processes that read a capture, with more and more of it."""

from __future__ import annotations

from measure import Plan, capture, median, ratio, rounds, verdict

KEPT = 0.4
# Options of `read`, least first; the first way is what the others are compared with.
WAYS = {
    "neither": ("--no-inspect", "--no-http"),
    "what flows carry": ("--inspect", "--no-http"),
    "and HTTP exchanges": ("--inspect", "--http"),
}


def content(plan: Plan) -> list[str]:
    """The standard capture, whose payload is nothing known, and the one whose every connection speaks."""
    lines = [
        f"`read -w` of {plan.packets:,} packets, the time of the processor; the share of the bare rate that is kept.",
        f"Budget: at least {KEPT:.0%} with all of it.", "",
        "| capture | " + " | ".join(WAYS) + " | kept without exchanges | kept with all | |",
        "|---|" + "--:|" * (len(WAYS) + 2) + "---|",
    ]  # fmt: skip
    for shape in ("mixed", "spoken"):
        path = str(capture(shape, plan.packets))
        commands = {
            name: ["tunnelwatch-sensor", "read", path, *options, "-d", "0", "-w", str(plan.scratch / "a.flowlog")]
            for name, options in WAYS.items()
        }
        taken = {name: [cost.cpu_s for cost in costs] for name, costs in rounds(commands, plan.rounds).items()}
        bare, told, all_ = taken.values()
        lines.append(
            f"| {shape} | "
            + " | ".join(f"{median(times):.2f} s" for times in taken.values())
            + f" | {ratio(bare, told):.0%} | {ratio(bare, all_):.0%} | {verdict(ratio(bare, all_) >= KEPT)} |"
        )
    return lines
