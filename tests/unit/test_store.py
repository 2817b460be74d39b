"""Results on disk: what was written is read, half a file is never seen, a stranger's file does no harm."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import store
from bench.errors import SchemaTooNew, StoreError, UsageError
from bench.messages import TrialResult
from bench.plan import Trial
from bench.sample import Noise, Phase, Sample, Status
from bench.scenario import Metric, Profile, Scenario, Subject
from bench.units import Better, Unit

ROOT = Path(store.__file__).resolve().parent.parent


def result(index: int, *samples: Sample) -> TrialResult:
    """Return one trial's result."""
    scenario = Scenario(
        name="startup", title="t", question="?", probe="startup", headline="m", subjects=("docker",),
        metrics=(Metric(name="m", unit=Unit.SECONDS),),
    )  # fmt: skip
    trial = Trial(
        index=index, scenario=scenario, subject=Subject(name="docker", title="d", backend="docker"),
        params={"image": "small"}, block=index, position=0, phase=Phase.MEASURE,
        profile=Profile(name="quick", blocks=6), expected_s=1.0,
    )  # fmt: skip
    return TrialResult(
        trial=trial, label="docker@kvm", instance="bench-1", started_ns=2**62, elapsed_s=1.0,
        samples=samples or (sample(float(index)),), noise=Noise(steal_s=0.5),
    )  # fmt: skip


def sample(value: float | None, **fields: Any) -> Sample:
    """Return one sample of the metric m."""
    return Sample(metric="m", unit=Unit.SECONDS, better=Better.LOWER, value=value, **fields)


@pytest.fixture
def recorder(tmp_path: Path) -> store.Recorder:
    made = store.Recorder(tmp_path, "20260101T000000-abc", "00ff")
    made.describe({"seed": 7}, {"cpu": {"count": 2}})
    return made


def test_what_was_written_is_read(recorder: store.Recorder) -> None:
    failed = sample(None, status=Status.TIMEOUT, reason="no ready → “none” within 3 s", params={"part": "phase"})
    recorder.record(result(0, sample(0.25, low=0.2, high=0.3), failed))
    recorder.finish("complete")
    run = store.read_run(recorder.path)
    assert (run.run_id, run.info["seed"], run.info["ending"]) == ("20260101T000000-abc", 7, "complete")
    assert run.facts == {"cpu": {"count": 2}}
    good, bad = run.rows
    assert set(good) == set(store.COLUMNS)
    assert (good["value"], good["low"], good["high"], good["status"]) == (0.25, 0.2, 0.3, "ok")
    assert (good["subject"], good["backend"], good["params"]) == ("docker@kvm", "docker", {"image": "small"})
    assert (good["started_ns"], good["steal_s"], good["load"]) == (2**62, 0.5, None)
    assert (bad["value"], bad["status"], bad["reason"]) == (None, "timeout", failed.reason)
    assert bad["params"] == {"image": "small", "part": "phase"}


def test_parts_read_the_same_before_and_after_the_end(recorder: store.Recorder) -> None:
    for index in range(3):
        recorder.record(result(index))
    before = store.read_run(recorder.path).rows
    recorder.finish("complete")
    assert store.read_run(recorder.path).rows == before
    assert [path.name for path in (recorder.path / "samples").iterdir()] == ["samples.parquet"]
    schema = pq.read_schema(recorder.path / "samples" / "samples.parquet")
    assert schema.metadata[b"schema_version"] == b"1"
    assert schema.field("value").metadata[b"meaning"].startswith(b"unscaled")


def test_an_end_without_a_trial_is_a_run_without_rows(recorder: store.Recorder) -> None:
    recorder.record_rows([], "part-00000")
    recorder.finish("interrupted")
    assert store.read_run(recorder.path).rows == ()
    assert store.load_run(recorder.path).empty


def test_a_frame_has_the_columns_and_keeps_what_is_missing(recorder: store.Recorder) -> None:
    recorder.record(result(0, sample(1.5), sample(None, status=Status.FAILED, reason="died")))
    frame = store.load_run(recorder.path)
    assert list(frame.columns) == list(store.COLUMNS)
    assert frame["value"].isna().tolist() == [False, True]
    assert frame.attrs["info"]["seed"] == 7


def test_a_run_is_never_written_over(recorder: store.Recorder, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        store.Recorder(tmp_path, recorder.path.name, "00ff")


def test_describing_again_adds_to_what_was_said(recorder: store.Recorder) -> None:
    recorder.describe({"engines": {"docker": "1"}})
    info = json.loads((recorder.path / "run.json").read_text())
    assert (info["seed"], info["engines"]) == (7, {"docker": "1"})
    assert json.loads((recorder.path / "facts.json").read_text()) == {"cpu": {"count": 2}}


_WRITER = """
import os, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
import test_store
from bench import store
recorder = store.Recorder(Path({folder!r}), "run", "00ff")
recorder.describe({{}})
{sabotage}
for index in range(10_000):
    recorder.record(test_store.result(index))
    print(index, flush=True)
"""


def written_until(folder: Path, sabotage: str, *, kill_after: int | None) -> int:
    """Let another process record trials until it is killed; return the last trial it said it had recorded."""
    script = _WRITER.format(root=str(ROOT), tests=str(Path(__file__).parent), folder=str(folder), sabotage=sabotage)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = -1
        for line in writer.stdout:
            last = int(line)
            if last == kill_after:
                time.sleep(0.003)
                writer.kill()
        writer.wait()
        assert writer.returncode == -signal.SIGKILL
    return last


def test_a_kill_between_writing_and_renaming_leaves_the_old_trials(tmp_path: Path) -> None:
    sabotage = """
real, count = Path.replace, [0]
def replace(self, target):
    count[0] += 1
    if count[0] == 4: os.kill(os.getpid(), 9)
    return real(self, target)
Path.replace = replace
"""
    assert written_until(tmp_path, sabotage, kill_after=None) == 2
    left = [path.name for path in (tmp_path / "run" / "samples").iterdir()]
    assert any(name.startswith(".part-00003") for name in left), "the kill came before the file was written"
    assert [row["trial"] for row in store.read_run(tmp_path / "run").rows] == [0, 1, 2]


def test_a_kill_at_any_moment_loses_at_most_the_trial_in_flight(tmp_path: Path) -> None:
    last = written_until(tmp_path, "", kill_after=20)
    trials = [row["trial"] for row in store.read_run(tmp_path / "run").rows]
    assert trials == list(range(len(trials)))
    assert len(trials) in (last + 1, last + 2)


def test_a_kill_between_merging_and_deleting_counts_nothing_twice(
    recorder: store.Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(3):
        recorder.record(result(index))

    def killed(self: Path, *, missing_ok: bool = False) -> None:
        if self.name.startswith("part-"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            recorder.finish("complete")
    assert len(list((recorder.path / "samples").iterdir())) == 4
    assert [row["trial"] for row in store.read_run(recorder.path).rows] == [0, 1, 2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 256 KiB. Mounting it takes root."""
    library = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "small"
    place.mkdir()
    done = library.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, b"size=256k")
    assert done == 0, f"this test needs the right to mount: {os.strerror(ctypes.get_errno())}"
    yield place
    assert library.umount2(os.fsencode(place), 2) == 0


def test_a_full_disk_is_said_and_costs_only_what_did_not_fit(small_disk: Path) -> None:
    recorder = store.Recorder(small_disk, "run", "00ff")
    recorder.describe({"seed": 7})
    wide = tuple(sample(None, status=Status.FAILED, reason=os.urandom(400).hex()) for _ in range(20))
    written: list[int] = []

    def fill() -> None:
        for index in range(100):
            recorder.record(result(index, *wide))
            written.append(index)

    with pytest.raises(StoreError, match="No space left") as caught:
        fill()
    assert "--results" in caught.value.hint
    assert 0 < len(written) < 100
    assert {row["trial"] for row in store.read_run(recorder.path).rows} == set(written)
    assert not [path for path in (recorder.path / "samples").iterdir() if path.name.startswith(".")]
    with pytest.raises(StoreError):
        recorder.describe({"big": "x" * 400_000})
    assert store.read_run(recorder.path).info["seed"] == 7
    assert not list(recorder.path.glob(".*"))


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        store.Recorder(tmp_path / "file", "run", "00ff")


def test_a_newer_run_is_not_guessed_at(recorder: store.Recorder) -> None:
    recorder.describe({"schema_version": store.SCHEMA_VERSION + 1})
    with pytest.raises(SchemaTooNew, match="newer"):
        store.read_run(recorder.path)


def test_an_older_file_that_lacks_columns_is_read(recorder: store.Recorder) -> None:
    recorder.record(result(0))
    part = recorder.path / "samples" / "part-00000.parquet"
    table = pq.read_table(part)
    pq.write_table(table.drop_columns(["load", "low", "params", "instance"]), part)
    (row,) = store.read_run(recorder.path).rows
    assert (row["load"], row["low"], row["instance"], row["params"]) == (None, None, None, {})
    assert (row["value"], row["metric"]) == (0.0, "m")


def test_columns_of_a_later_form_are_passed_over(recorder: store.Recorder) -> None:
    recorder.record(result(0))
    part = recorder.path / "samples" / "part-00000.parquet"
    table = pq.read_table(part)
    pq.write_table(table.append_column("colour", pa.array(["red"])), part)
    assert set(store.read_run(recorder.path).rows[0]) == set(store.COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", '"run"', "{", "{}", '{"run_id": 3}', '{"run_id": "x", "schema_version": "many"}',
        '{"run_id": "x", "schema_version": 1e999}', '{"run_id": "x", "schema_version": null}', "[" * 100_000,
        '{"run_id": "x", "schema_version": {}}', "\ufffe", "9" * 10_000,
    ],
)  # fmt: skip
def test_a_hostile_description_is_damage_not_a_crash(recorder: store.Recorder, text: str) -> None:
    (recorder.path / "run.json").write_text(text)
    with pytest.raises(StoreError, match="damaged"):
        store.read_run(recorder.path)


@pytest.mark.parametrize("text", ["[]", "3", "{", "[" * 100_000])
def test_hostile_facts_are_damage(recorder: store.Recorder, text: str) -> None:
    (recorder.path / "facts.json").write_text(text)
    with pytest.raises(StoreError, match="damaged"):
        store.read_run(recorder.path)


def test_bytes_that_are_no_text_are_damage(recorder: store.Recorder) -> None:
    (recorder.path / "run.json").write_bytes(b'{"run_id": "\xff\xfe"}')
    with pytest.raises(StoreError, match="damaged"):
        store.read_run(recorder.path)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"value": ["many"]}),
        pa.table({"value": [{"a": 1}]}),
        pa.table({"params": [3]}),
        pa.table({"block": [2**40]}),
        pa.table([pa.array([1.0]), pa.array([2.0])], names=["value", "value"]),
        pa.table({"reason": pa.array([b"\xff\xfe"]).view(pa.string())}),
    ],
    ids=["text", "struct", "no map", "too large", "twice", "no text"],
)
def test_hostile_samples_are_damage(recorder: store.Recorder, table: pa.Table) -> None:
    pq.write_table(table, recorder.path / "samples" / "part-00000.parquet")
    with pytest.raises(StoreError, match="damaged"):
        store.read_run(recorder.path)


def test_a_part_that_is_no_parquet_or_half_of_one_is_damage(recorder: store.Recorder) -> None:
    recorder.record(result(0))
    part = recorder.path / "samples" / "part-00000.parquet"
    whole = part.read_bytes()
    for content in (b"", b"PAR1", whole[: len(whole) // 2], b"secret of another file\n" * 10):
        part.write_bytes(content)
        with pytest.raises(StoreError, match="damaged") as caught:
            store.read_run(recorder.path)
        assert "secret" not in caught.value.message


def test_a_pipe_in_place_of_a_file_is_not_waited_for(recorder: store.Recorder) -> None:
    os.mkfifo(recorder.path / "samples" / "part-00009.parquet")
    recorder.record(result(0))
    assert len(store.read_run(recorder.path).rows) == 1


def test_runs_are_found_by_name_beginning_path_or_age(tmp_path: Path) -> None:
    for day, name in enumerate(("20260101T1-aa", "20260102T1-bb", "20260102T2-cc", "sample"), 1):
        store.Recorder(tmp_path, name, "00ff").describe({"started_utc": f"2026-01-0{day}T00:00:00Z"})
    (tmp_path / "no-run").mkdir()
    assert [path.name for path in store.list_runs(tmp_path)][-1] == "sample"
    assert len(store.list_runs(tmp_path)) == 4
    assert store.find_run(tmp_path).name == "20260102T2-cc"
    assert store.find_run(tmp_path, "20260101").name == "20260101T1-aa"
    assert store.find_run(tmp_path, "sample").name == "sample"
    assert store.find_run(tmp_path, str(tmp_path / "20260101T1-aa")).name == "20260101T1-aa"
    with pytest.raises(UsageError, match="fits several"):
        store.find_run(tmp_path, "20260102")
    for name in ("nobody", "../" + tmp_path.name, "*", "", "2026\n"):
        with pytest.raises(UsageError, match="no run"):
            store.find_run(tmp_path, name)
    with pytest.raises(UsageError, match="there is no run"):
        store.find_run(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no run"):
        store.read_run(tmp_path / "no-run")


def test_the_newest_run_is_the_one_that_began_last_whatever_its_folder_is_called(tmp_path: Path) -> None:
    for name, began in (
        ("renamed", "2026-01-01T10:00:00Z"), ("20260102-090000-aa", "2026-01-02T08:00:00Z"),
        ("20260101-230000-bb", "2026-01-02T09:00:00Z"), ("strange", ["2027"]), ("stranger", None),
    ):  # fmt: skip
        store.Recorder(tmp_path, name, "00ff").describe({"started_utc": began})
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{ half", "utf-8")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "run.json")
    known = ["damaged", "strange", "stranger", "renamed", "20260102-090000-aa", "20260101-230000-bb"]
    assert [path.name for path in store.list_runs(tmp_path)] == known
    assert store.find_run(tmp_path).name == "20260101-230000-bb"


def test_the_log_is_appended(recorder: store.Recorder) -> None:
    recorder.log("one\n")
    recorder.log("two → zwei")
    assert (recorder.path / "log.txt").read_text("utf-8") == "one\ntwo → zwei\n"


def test_rows_of_several_runs_stay_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        store.Recorder(tmp_path, name, "00ff").describe({})
        recorder = store.Recorder(tmp_path, name + "2", "00ff")
        recorder.describe({})
        recorder.record(result(0))
    runs = [store.read_run(path) for path in store.list_runs(tmp_path)]
    assert [row["run_id"] for row in store.merged_rows(runs)] == ["a2", "b2"]
