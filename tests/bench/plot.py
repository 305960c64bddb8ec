"""Plots the CSV of a soak. usage: plot.py CSV PNG"""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

source, target = sys.argv[1:]
with Path(source).open(newline="") as file:
    rows = list(csv.DictReader(file))
minutes = [float(row["s"]) / 60 for row in rows]
panels = [
    ("requests, ms", ["execute_p50_ms", "execute_p99_ms", "poll_p50_ms", "poll_p99_ms", "plan2_p50_ms"]),
    ("from execute to\nthe end seen, ms", ["end_p50_ms", "end_p99_ms"]),
    ("memory in use, MiB", ["resident_mib"]),
    ("sessions a second", ["sessions_per_s"]),
    ("open jobs, errors", ["open_jobs", "errors"]),
]
figure, axes = pyplot.subplots(len(panels), sharex=True, figsize=(10, 12), layout="constrained")
for axis, (title, columns) in zip(axes, panels, strict=True):
    for column in columns:
        axis.plot(minutes, [float(row[column]) for row in rows], label=column, linewidth=1.2)
    axis.set_ylabel(title)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(loc="upper right", ncols=len(columns), fontsize="small")
axes[-1].set_xlabel("minutes")
figure.savefig(target, dpi=110)
