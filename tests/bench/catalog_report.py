"""Tables and plots of what catalog.py measured."""

import sys

MIB = 2**20
NONE = "n/a"


def share(value):
    return NONE if value is None else f"{value:.1%}"


def rates(by_label):
    """Of openings or closings, the sum and what it is made of."""
    if by_label is None:
        return NONE
    parts = ", ".join(f"{k} {v:.1f}" for k, v in sorted(by_label.items()))
    return f"{sum(by_label.values()):.1f}" + (f" ({parts})" if parts else "")


def mib(value):
    return NONE if value is None else f"{value / MIB:,.0f}"


def budget_text(row):
    size = f"{row['share']:.0%}, {mib(row['share_bytes'])} MiB"
    return size if row["budgeted"] else f"{size} (without a budget)"


BUDGET_HEADER = (
    "| budget | streams begun | of them found the voice open | first answer,"
    " p50 / p99 ms | later answers | openings/s | closings/s |"
    " voices hold, most, MiB | anonymous memory, most, MiB |"
    " the same above an idle server, of the budget | failed | right |\n"
    "|" + " --- |" * 12
)


def budget_line(row):
    first, later = row["first_ms"], row["later_ms"]
    right = f"{row['found']}/{row['checked']}"
    if row["wrong"]:
        right += f", {row['wrong']} WRONG"
    return (
        f"| {budget_text(row)} | {row['starts']} | {share(row['found_open'])} |"
        f" {first['p50']:.1f} / {first['p99']:.1f} |"
        f" {later['p50']:.1f} / {later['p99']:.1f} |"
        f" {rates(row['opens_per_second'])} |"
        f" {rates(row['closes_per_second'])} | {mib(row['held_max_bytes'])} |"
        f" {mib(row['anonymous_max_bytes'])} |"
        f" {share(row['anonymous_of_budget'])} |"
        f" {sum(row['failed'].values())} | {right} |"
    )


def sweep_line(row):
    return (f"live streams beside a sweep of {row['opened_per_second']:.0f}"
            f" voices a second: p99 {row['swept_p99_ms']:.2f} ms, without it"
            f" {row['quiet_p99_ms']:.2f} ms; medians of {row['rounds']} ratios:"
            f" p50 {row['p50_ratio']:.2f}, p99 {row['p99_ratio']:.2f}")


def start_line(row):
    return (
        f"start with {row['voices']:,} voices, to SERVING: {row['ms']:.0f} ms"
        f" (the first time {row['first_ms']:.0f}); anonymous memory"
        f" {mib(row['anonymous_bytes'])} MiB"
    )


def generator_line(row):
    return (
        f"  of the generator: a block is sent {row['late_ms']['p99']:.1f} ms"
        f" late at p99; it takes {row['generator_cores']:.2f} cores, the"
        f" server {row['server_cores']:.2f}"
    )


def plot(rows, path):
    """Memory over time, and what streams waited, by budget."""
    rows = [row for row in rows if row["what"] == "budget"]
    if not rows:
        return
    try:
        import matplotlib
    except ImportError:
        print("no matplotlib: no plot", file=sys.stderr)
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(13, 4))
    plot_memory(axes[0], rows)
    plot_waiting(axes[1], rows)
    figure.tight_layout()
    figure.savefig(path)
    print(f"plot: {path}", file=sys.stderr)


def plot_memory(axis, rows):
    for number, row in enumerate(rows):
        color = f"C{number}"
        seconds = [t for t, _, _ in row["memory"]]
        above = [a - row["anonymous_idle_bytes"] for _, a, _ in row["memory"]]
        axis.plot(seconds, [a / MIB for a in above], color,
                  label=budget_text(row))
        if row["budgeted"]:
            axis.axhline(row["share_bytes"] / MIB, color=color, linestyle="--")
    axis.set(xlabel="seconds", ylabel="MiB above an idle server", yscale="log",
             title="anonymous memory, and the budget (dashed)")
    axis.grid(True, which="both", alpha=0.3)
    axis.legend(fontsize=8)


def plot_waiting(axis, rows):
    x = range(len(rows))
    for offset, key, name in ((-0.2, "first_ms", "first answer"),
                              (0.2, "later_ms", "later answers")):
        axis.bar([i + offset for i in x], [r[key]["p99"] for r in rows], 0.4,
                 label=f"p99, {name}")
    most = max(row["first_ms"]["p99"] for row in rows)
    axis.set(xlabel="budget", ylabel="ms", yscale="log",
             ylim=(0.1, 20 * most),  # with room for the legend
             title="what streams wait, and how many find their voice open")
    axis.set_xticks(list(x), [f"{r['share']:.0%}" for r in rows])
    axis.legend(fontsize=8, loc="upper left")
    if any(r["found_open"] is None for r in rows):
        return
    right = axis.twinx()
    right.plot(list(x), [100 * r["found_open"] for r in rows], "ko-")
    right.set(ylabel="% of streams (line)", ylim=(0, 105))
