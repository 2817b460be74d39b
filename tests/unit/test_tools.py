"""The parsers on what the tools really wrote, against other figures of the same output, and on damage."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.probes.overhead import MEASURES
from bench.probes.tools import ParseError, coreutils, fio, iperf3, pgbench, redis, stress_ng, wrk

DATA = Path(__file__).resolve().parent.parent / "data" / "tools"


def captured(name: str) -> str:
    [path] = DATA.glob(f"{name}.*")
    return path.read_text("utf-8")


def found(pattern: str, text: str) -> float:
    """Return a number from an output, by a pattern of the test's own."""
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, pattern
    return float(match[1])


@pytest.mark.parametrize("name", MEASURES)
def test_what_the_tool_wrote_is_read(name: str) -> None:
    assert MEASURES[name].parse(captured(name)) > 0


@pytest.mark.parametrize("name", ["cpu-integer", "cpu-float", "context-switches", "forks"])
def test_stress_ng_rates_are_its_operations_over_its_time(name: str) -> None:
    text = captured(name)
    rate = found(r"bogo-ops: (\d+)", text) / found(r"wall-clock-time: ([\d.]+)", text)
    assert MEASURES[name].parse(text) == pytest.approx(rate, rel=1e-4)


def test_stress_ng_tells_its_stressors_apart() -> None:
    both = captured("cpu-integer") + captured("forks").partition("metrics:")[2]
    assert stress_ng.parse(both, "fork") == MEASURES["forks"].parse(captured("forks"))
    assert stress_ng.parse(both, "cpu") == MEASURES["cpu-integer"].parse(captured("cpu-integer"))
    with pytest.raises(ParseError, match="nothing of stream"):
        stress_ng.parse(both, "stream")
    with pytest.raises(ParseError, match="no tea for cpu"):
        stress_ng.parse(both, "cpu", "tea")


def test_a_page_fault_is_told_in_nanoseconds() -> None:
    text = captured("page-fault")
    assert MEASURES["page-fault"].parse(text) * 1e9 == pytest.approx(found(r"nanosecs-per-page-fault: ([\d.]+)", text))


@pytest.mark.parametrize("name", ["file-read", "file-write", "file-read-random", "file-write-random", "file-sync"])
def test_fio_figures_are_its_bytes_and_requests_over_its_runtime(name: str) -> None:
    job = json.loads(captured(name))["jobs"][0]
    side = job["read" if "read" in name else "write"]
    amount = side["io_bytes"] if name in ("file-read", "file-write") else side["total_ios"]
    assert MEASURES[name].parse(captured(name)) == pytest.approx(1000 * amount / side["runtime"], rel=0.01)


def test_fio_takes_no_figure_from_a_failed_job_or_the_other_side() -> None:
    told = json.loads(captured("file-read"))
    with pytest.raises(ParseError, match="write bandwidth is 0"):
        fio.parse_bandwidth(json.dumps(told), "write")
    told["jobs"][0]["error"] = 28
    with pytest.raises(ParseError, match="error 28"):
        fio.parse_bandwidth(json.dumps(told), "read")


def test_fio_may_speak_before_its_json() -> None:
    noted = "bench: Laying out IO file (1 file / 64MiB)\n" + captured("file-read")
    assert fio.parse_bandwidth(noted, "read") == fio.parse_bandwidth(captured("file-read"), "read")


def test_iperf3_counts_bits_and_we_bytes() -> None:
    received = json.loads(captured("loopback-throughput"))["end"]["sum_received"]
    expected = received["bytes"] / received["seconds"]
    assert iperf3.parse(captured("loopback-throughput")) == pytest.approx(expected, rel=0.01)


def test_iperf3_ends_with_0_when_it_was_refused_and_says_so_in_its_json() -> None:
    refused = '{"start": {}, "intervals": [], "end": {}, "error": "unable to connect to server: Connection refused"}'
    with pytest.raises(ParseError, match=r"^iperf3: unable to connect to server: Connection refused$"):
        iperf3.parse(refused)


def test_a_byte_of_dd_is_two_system_calls_and_a_start_one_round_of_the_loop() -> None:
    text = captured("system-calls")
    calls = 2 * found(r"^(\d+) bytes", text) / found(r"copied, ([\d.]+) s", text)
    assert MEASURES["system-calls"].parse(text) == pytest.approx(calls, rel=1e-6)
    began, count, ended = map(float, captured("program-starts").split())
    assert MEASURES["program-starts"].parse(captured("program-starts")) == pytest.approx(count / (ended - began))
    with pytest.raises(ParseError, match="two instants"):
        MEASURES["program-starts"].parse("1.5 Terminated 3290 2.5")


def test_sysbench_rates_are_its_bytes_over_its_time() -> None:
    for name, turned in (("memory-bandwidth", lambda v: v), ("memory-latency", lambda v: 8 / v)):
        text = captured(name)
        rate = found(r"([\d.]+) MiB transferred", text) * 2**20 / found(r"total time: +([\d.]+)s", text)
        assert turned(MEASURES[name].parse(text)) == pytest.approx(rate, rel=0.03)


def test_a_round_trip_is_twice_what_sockperf_calls_latency() -> None:
    text = captured("loopback-round-trip")
    # One message at a time: the time of all of them, divided by their number, is the mean round trip.
    run_s, sent = found(r"Valid Duration\] RunTime=([\d.]+)", text), found(r"Valid Duration.*SentMessages=(\d+)", text)
    mean = 2 * found(r"Latency is ([\d.]+) usec", text) / 1e6
    assert mean == pytest.approx(run_s / sent, rel=0.05)
    quarter, three = (2 * found(rf"percentile {p} = +([\d.]+)", text) / 1e6 for p in (r"25\.000", r"75\.000"))
    assert quarter <= MEASURES["loopback-round-trip"].parse(text) <= three


def test_wrk_and_pgbench_rates_are_their_counts_over_their_time() -> None:
    text = captured("nginx")
    assert wrk.parse(text) == pytest.approx(
        found(r"(\d+) requests in", text) / found(r"requests in ([\d.]+)s", text), rel=0.02
    )
    text = captured("postgresql")
    count = found(r"transactions actually processed: (\d+)", text)
    assert pgbench.parse(text) == pytest.approx(count / found(r"duration: (\d+) s", text), rel=0.2)


def test_answers_that_are_no_success_are_no_speed() -> None:
    with pytest.raises(ParseError, match="no success"):
        wrk.parse(captured("nginx") + "  Non-2xx or 3xx responses: 26541\n")
    failed = captured("postgresql").replace("failed transactions: 0 (", "failed transactions: 3 (")
    with pytest.raises(ParseError, match="failed"):
        pgbench.parse(failed)


def test_redis_wants_its_header() -> None:
    line = captured("redis").splitlines()[-1]
    assert redis.parse(captured("redis")) == float(line.split(",")[1].strip('"'))
    with pytest.raises(ParseError, match="line is missing"):
        redis.parse(line)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    "text", ["", "{", "{}", "null", '{"jobs": []}', "Segmentation fault\n", "metrics:\n", "a b c", "1 0 2"]
)
def test_no_figure_from_what_is_none(name: str, text: str) -> None:
    with pytest.raises(ParseError):
        MEASURES[name].parse(text)


@pytest.mark.parametrize("name", MEASURES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_an_output_cut_short_gives_its_figure_or_a_reason(name: str, data: st.DataObject) -> None:
    text = captured(name)
    cut = text[: data.draw(st.integers(0, len(text)))]
    with contextlib.suppress(ParseError):
        assert MEASURES[name].parse(cut) > 0


@pytest.mark.parametrize("name", MEASURES)
def test_a_command_is_one_line(name: str) -> None:
    assert "\n" not in MEASURES[name].command(1, 12345)


def test_system_calls_are_counted_though_dd_is_slow_to_heed_the_signal(tmp_path: Path) -> None:
    """The first signal finds a dd that has not begun, as in a slow guest: it is killed without a word."""
    slow = tmp_path / "dd"
    slow.write_text('#!/bin/sh\n[ -e "$0.ran" ] || { touch "$0.ran"; exec sleep 30; }\nexec /bin/dd "$@"\n', "ascii")
    slow.chmod(0o755)
    told = subprocess.run(
        ["/bin/sh", "-c", coreutils.calls_command(1)], capture_output=True, text=True, check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    ).stdout  # fmt: skip
    assert coreutils.parse_calls(told) > 1000
