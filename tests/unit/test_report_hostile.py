"""A stranger's words and numbers in every kind of picture: drawn as they are, never markup, never an error."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import pytest

from bench.store import Run
from bench.units import Unit
from report.data import number, view
from report.drawings import draw
from report.figures import (
    Chart,
    Curve,
    DotChart,
    Dots,
    DriftChart,
    EcdfChart,
    ForestChart,
    Group,
    GroupChart,
    Guide,
    Part,
    Ramp,
    RampChart,
    RatioRow,
    Stack,
    StackChart,
    Track,
)
from report.page import build
from report.svg import inline
from tests.unit.report_runs import make_run, row

EVIL = 'a id="b" <i>&#x3c;</i> url(#c) $x$'
"""Short enough for the narrowest place, with everything that is rewritten in a picture's tags."""

COLOUR = '#0100fe d="1.23456" font-family: x;'


def charts(word: str) -> dict[str, Chart]:
    """Return one picture of each kind with a word wherever a word may stand."""
    dots = Dots(label=word, note=word, values=(1.0, 9.0), median=2.0, low=1.0, high=3.0, mark=1.5, text=word)
    lost = Dots(label=word, trouble=word, broken=True)
    ratio = RatioRow(label=word, ratio=2.0, low=1.0, high=3.0, text=word, verdict=word)
    no_ratio = RatioRow(label=word, trouble=word)
    parts = (Part(key="one", title=word, shade=0), Part(key="two", title=word, shade=1))
    stack = Stack(label=word, parts=(("one", 1.0), ("two", 2.0)), total=3.0, text=word)
    ramp = Ramp(label=word, points=((1.0, 1.0), (2.0, 2.0)), spans=((1.0, 0.5, 1.5),), lost=(3.0,), ending=word)
    return {
        "dots": DotChart(unit=Unit.SECONDS, rows=(dots, lost), guides=(Guide(value=2.0, text=word, brief=word),)),
        "ratios": ForestChart(baseline=word, rows=(ratio, no_ratio), floor=(0.9, 1.1)),
        "groups": GroupChart(unit=Unit.BYTES, groups=(Group(label=word, rows=(dots, lost)),)),
        "groups of ratios": GroupChart(unit=Unit.RATIO, groups=(Group(label=word, rows=(ratio, no_ratio)),)),
        "stacks": StackChart(unit=Unit.BYTES, parts=parts, stacks=(stack, Stack(label=word, trouble=word)),
                             total_text=word),
        "curves": EcdfChart(unit=Unit.SECONDS, curves=(Curve(label=word, values=(1.0, 2.0)),
                                                       Curve(label=word, failed=1, trouble=word))),
        "drift": DriftChart(tracks=(Track(label=word, points=((0, 1.0), (1, 1.1)), lost=(2,)),)),
        "ramps": RampChart(unit=Unit.BYTES, ramps=(ramp,)),
    }  # fmt: skip


def test_every_kind_of_picture_is_tried() -> None:
    kinds = {type(chart) for chart in charts("x").values()}
    assert kinds == set(Chart.__args__)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("word", [EVIL, COLOUR, "内存 \u202e", "", "x" * 700])
@pytest.mark.parametrize("kind", charts("x"))
def test_words_stay_words(kind: str, word: str, narrow: bool) -> None:
    picture = inline(draw(charts(word)[kind], narrow=narrow), "key", word, word)
    whole = ET.fromstring(f'<div xmlns:xlink="x">{picture}</div>')
    assert {"script", "i", "style"}.isdisjoint(element.tag.rpartition("}")[2] for element in whole.iter())
    ids = re.findall(r'<[^>]*\bid="([^"]*)"', picture)
    assert ids
    assert all(found.startswith("key-") for found in ids)
    assert len(ids) == len(set(ids))
    shown = ["".join(element.itertext()) for element in whole.iter() if element.tag.endswith("text")]
    assert not word or any(text.startswith(word[:16]) for text in shown), "it stands as it was written"


@pytest.mark.parametrize("value", [1.75e308, -1e101, 1e-320, float("inf"), float("nan"), 10**400, True, "1", None])
def test_what_nothing_measured_can_be_is_no_number(value: object) -> None:
    assert number(value) is None


@pytest.mark.parametrize("value", [0, 0.0, -1.5, 1e99, 1e-99, 7])
def test_what_can_be_measured_is_a_number(value: float) -> None:
    assert number(value) == float(value)


def test_the_largest_and_the_least_numbers_are_drawn() -> None:
    metrics = [{"name": n, "unit": u} for n, u in (("time", "s"), ("bytes", "B"), ("rate", "1/s"), ("a", "1"))]
    info = {"scenarios": {"it": {"headline": "time", "baseline": "process", "metrics": metrics}}}
    sizes = (1e100, 1e-100, -1e100, 0.0, 1.75e308)
    rows = [
        row("it", subject, metric["name"], sizes[(b + place) % 5], b, unit=metric["unit"], params=params)
        for b, (place, subject), metric, params in itertools.product(
            range(7), enumerate(("process", "docker", "vm-bare@kvm")), metrics,
            ({}, {"instances": "1"}, {"instances": "9" * 79}, {"instances": "3"}, {"mode": "cold"}, {"mode": "warm"}),
        )
    ]  # fmt: skip
    page = build(Run(path=make_run().path, info=info, facts={}, rows=tuple(rows)))
    for figure in (f for s in page.sections for f in s.figures):
        for narrow in (False, True):
            assert "nan" not in draw(figure.chart, narrow=narrow)


def test_a_value_out_of_all_measure_has_failed() -> None:
    seen = view(Run(path=make_run().path, info={}, facts={}, rows=(row("it", "docker", "time", 1.75e308, 0),)))
    cell = seen.cells["it"]["time", ()]["docker"]
    assert cell.broken
    assert cell.missing[0][0] == "failed"
