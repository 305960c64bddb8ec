"""Takes screenshots of Prometheus' own pages in a real browser."""

import subprocess
from urllib.parse import urlencode

GRAPHS = {
    "plan": [
        "job_status:ai_planner_requests:rate5m",
        '{__name__=~"job:ai_planner_duration_seconds:p.*"}',
        "job_direction:ai_planner_tokens:increase1h",
    ],
    "execute-and-job": [
        "job_outcome:ai_idempotency:rate5m",
        "job_status:ai_jobs:rate5m",
        "job_provider_outcome:ai_provider_requests:rate5m",
    ],
    "objectives": [
        "job_route:ai_http_requests:rate5m",
        '{__name__=~"job:ai_http_errors_per_request:ratio_rate.*"}',
        '{__name__=~"job:ai_plan_slow_per_request:ratio_rate.*"}',
    ],
}
PIXELS_A_GRAPH = 830


def take(prometheus, pictures, folder, log):
    """Writes the screenshots into the folder `pictures`."""
    pictures.mkdir(parents=True, exist_ok=True)
    for name, queries in GRAPHS.items():
        asked = {}
        for place, query in enumerate(queries):
            graph = f"g{place}"
            asked |= {f"{graph}.expr": query, f"{graph}.tab": 0, f"{graph}.range_input": "1m", f"{graph}.step_input": 1}
        page = f"{prometheus.url}/classic/graph?{urlencode(asked)}"
        picture(page, pictures / f"prometheus-{name}.png", PIXELS_A_GRAPH * len(queries), folder)
    picture(f"{prometheus.url}/classic/alerts", pictures / "prometheus-alerts.png", 1400, folder)
    log(f"screenshots in {pictures}")


def picture(page, file, height, folder):
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/browser"]
    command += [f"--window-size=1400,{height}", "--virtual-time-budget=20000", f"--screenshot={file}", page]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    if not file.is_file():
        raise SystemExit(f"the browser took no screenshot of {page}")
