"""Unit tests of queries.py."""

import unittest

from queries import Known, exported

TEXT = """# HELP jobs_total Jobs.
# TYPE jobs_total counter
jobs_total{status="done",route="/a/{id}"} 3
jobs_total{status="lost",route="/b"} 0

# TYPE empty_total counter
# TYPE took_seconds histogram
took_seconds_bucket{status="done",le="10"} 1
took_seconds_bucket{status="done",le="+Inf"} 1
took_seconds_sum{status="done"} 0.5
took_seconds_count{status="done"} 1
# TYPE depth gauge
depth 2
"""


class Queries(unittest.TestCase):
    def setUp(self):
        self.known = Known(exported(TEXT), [("job:jobs:rate5m", "sum by (job) (rate(jobs_total[5m]))")])

    def test_existing_names_are_accepted(self):
        for query in (
            'sum by (job, status) (rate(jobs_total{status=~"done|lost"}[5m]))',
            "histogram_quantile(0.9, sum by (le) (rate(took_seconds_bucket[5m])))",
            'took_seconds_bucket{le=~"10|10.0"} / on (job) took_seconds_count',
            'jobs_total{route="/a/{id}", job="x", instance=~".+"}',
            'job:jobs:rate5m{job="x"} > 0 unless depth offset 5m == 0',
            'up{job=~"orc.*"} == 0 or absent(empty_total)',
            'jobs_total{status!~"d.*"}',
        ):
            self.assertEqual(self.known.mistakes(query), [], query)

    def test_unknown_names_are_found_anywhere_in_a_query(self):
        for query, mistake in (
            ("job_total", "nothing exports job_total"),
            ("rate(jobs_total[5m]) / on (job) rate(jobs[5m] offset 1h)", "nothing exports jobs"),
            ("took_seconds", "nothing exports took_seconds"),
            ("abs(-(1 + sum(nothing)))", "nothing exports nothing"),
            ('jobs_total{state="done"}', "jobs_total has no label state"),
            ('jobs_total{status="don"}', "jobs_total: no status is 'don'"),
            ('jobs_total{status=~"done|gone"}', "jobs_total: no status is 'gone'"),
            ('jobs_total{status!="gone"}', "jobs_total: no status is 'gone'"),
            ('took_seconds_bucket{le="5"}', "took_seconds_bucket: no le is '5'"),
            ("sum by (state) (jobs_total)", "no label state to aggregate by"),
            ("sum by (status) (sum by (route) (jobs_total))", "no label status to aggregate by"),
            ('job:jobs:rate5m{status="done"}', "job:jobs:rate5m has no label status"),
            ('empty_total{status="done"}', "empty_total has no label status"),
        ):
            self.assertIn(mistake, self.known.mistakes(query), query)


if __name__ == "__main__":
    unittest.main()
