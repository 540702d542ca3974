"""Tables with a column a feature and a row a step: series, windows of them, and their dates."""

import tracemalloc
import warnings
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model
from msgspec.structs import replace

from lstm_lrp_cli.errors import LeftOut, UnusableInput
from lstm_lrp_cli.inputs.read import Source, read_blocks, read_sequences
from lstm_lrp_cli.inputs.tables import wide
from lstm_lrp_cli.inputs.tables.columns import Columns
from lstm_lrp_cli.inputs.tables.dates import is_date, meanings_of
from lstm_lrp_cli.inputs.tables.roles import AsSeries
from lstm_lrp_cli.model.layers import Dense
from lstm_lrp_cli.model.text import Padding

MODEL = make_model(Dense(np.ones((2, 2)), None), classes=2, labels=("dry", "wet"))


def with_input(**changes):
    return replace(MODEL, inputs=(replace(MODEL.only_input, **changes),))


@pytest.fixture
def table(tmp_path):
    """Read a table of these lines."""

    def read(*lines, model=MODEL, label=None, **asked):
        path = tmp_path / "in.csv"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        source = Source(
            str(path), labelled=bool(label), columns=Columns(label=label), series=AsSeries(**asked)
        )
        return list(read_sequences(source, model))

    return read


@pytest.fixture
def refused(table):
    def error(*lines, **asked):
        with pytest.raises(UnusableInput) as caught:
            table(*lines, **asked)
        return str(caught.value)

    return error


DAYS = ["date,a,b", "2020-01-01,1,10", "2020-01-02,2,20", "2020-01-03,3,30", "2020-01-04,4,40"]
ROWS = [[1, 10], [2, 20], [3, 30], [4, 40]]


def test_a_long_series_is_held_as_its_numbers(table):
    steps = 20_000
    lines = ["a,b", *(f"{k / 8},{k / 16}" for k in range(steps))]
    tracemalloc.start()
    [one] = table(*lines)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert one.inputs.shape == (steps, 2)
    assert one.inputs[-1].tolist() == [(steps - 1) / 8, (steps - 1) / 16]
    assert peak < 8 * one.inputs.nbytes  # some of them are the lines that are read


class TestWithoutGroups:
    def test_is_one_series(self, table):
        [one] = table(*DAYS)
        assert one.inputs.tolist() == ROWS
        assert one.features == ("a", "b")
        assert one.dates == ("2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04")
        assert one.id is None

    def test_is_cut_into_windows(self, table):
        found = table(*DAYS, window=2)
        assert [each.inputs.tolist() for each in found] == [ROWS[0:2], ROWS[1:3], ROWS[2:4]]
        assert [each.number for each in found] == [0, 1, 2]
        assert [each.id for each in found] == ["2020-01-01", "2020-01-02", "2020-01-03"]
        assert found[1].dates == ("2020-01-02", "2020-01-03")

    def test_with_a_stride(self, table):
        with pytest.warns(LeftOut, match="in.csv: 1 row behind the last windows left out"):
            found = table(*DAYS, "2020-01-05,5,50", window=2, stride=2)
        assert [each.inputs.tolist() for each in found] == [ROWS[0:2], ROWS[2:4]]

    def test_the_padding_of_the_model_is_the_window(self, table):
        model = with_input(padding=Padding(length=3))
        assert [len(each.inputs) for each in table(*DAYS, model=model)] == [3, 3]
        [short] = table(*DAYS, model=with_input(padding=Padding(length=9)))
        assert short.inputs.tolist() == ROWS

    def test_without_dates(self, table):
        found = table("a,b", "1,2", "3,4", "5,6", window=2)
        assert [each.id for each in found] == [None, None]
        [_, second] = table("a,b", "1,2", "3,4", "5,6", "7,8", window=2, stride=2)
        assert second.id == 2
        assert [each.dates for each in found] == [None, None]

    def test_vectors_are_a_row_each(self, table):
        model = with_input(steps=False)
        found = table(*DAYS, model=model)
        assert [each.inputs.tolist() for each in found] == [[row] for row in ROWS]
        assert found[2].dates == ("2020-01-03",)


class TestColumns:
    def test_of_the_mapping_in_their_order(self, table):
        lines = ["b,when,more,a", "10,2020-01-01,x,1", "20,2020-01-02,y,2"]
        [one] = table(*lines, model=with_input(features=("a", "b")))
        assert one.inputs.tolist() == [[1, 10], [2, 20]]
        assert one.dates == ("2020-01-01", "2020-01-02")

    def test_of_text_are_no_features(self, table):
        with pytest.warns(LeftOut, match="`sky` left out, which has no numbers"):
            [one] = table("a,sky,b", "1,clear,2", "3,grey,4")
        assert one.features == ("a", "b")

    def test_the_index_of_pandas(self, table):
        [one] = table(",a,b", "0,1,2", "1,3,4")
        assert one.features == ("a", "b")
        with pytest.warns(LeftOut, match="`sky` left out"):
            [beside] = table(",a,sky,b", "0,1,grey,2", "1,3,clear,4")
        assert beside.features == ("a", "b")
        [dated] = table(",a,b", "2020-01-01,1,2", "2020-01-02,3,4")
        assert dated.dates == ("2020-01-01", "2020-01-02")

    def test_called_like_dates_are_features_if_needed(self, table):
        [one] = table("time,a", "5,1", "3,2")
        assert one.features == ("time", "a")
        [dated] = table("time,a,b", "3,1,1", "5,2,1")
        assert dated.dates == ("3", "5")

    def test_of_other_delimiters(self, table):
        [one] = table("date;a;b", "2020-01-01;1.5;2")
        assert one.inputs.tolist() == [[1.5, 2]]


class TestGroups:
    CONTIGUOUS = (
        "at,city,a,b",
        *(f"2020-01-0{day},Rom,{day},1" for day in (1, 2, 3)),
        *(f"2020-01-0{day},Bonn,{day},2" for day in (1, 2, 3)),
    )
    BY_DATE = (CONTIGUOUS[0], *sorted(CONTIGUOUS[1:]))

    def test_that_stand_together(self, table):
        rome, bonn = table(*self.CONTIGUOUS, group="city")
        assert (rome.id, bonn.id) == ("Rom", "Bonn")
        assert bonn.inputs.tolist() == [[1, 2], [2, 2], [3, 2]]
        assert bonn.dates == ("2020-01-01", "2020-01-02", "2020-01-03")

    def test_numbers_are_numbers(self, table):
        assert [each.id for each in table("g,a,b", "7,1,2", "08,1,2", group="g")] == [7, "08"]

    def test_windows_do_not_cross_groups(self, table):
        found = table(*self.CONTIGUOUS, group="city", window=2)
        assert [each.id for each in found] == [
            "Rom 2020-01-01", "Rom 2020-01-02", "Bonn 2020-01-01", "Bonn 2020-01-02"
        ]  # fmt: skip

    def test_windows_of_rows_in_the_order_of_dates(self, table):
        found = table(*self.BY_DATE, group="city", window=2)
        contiguous = table(*self.CONTIGUOUS, group="city", window=2)
        told = {each.id: (each.inputs.tolist(), each.dates) for each in found}
        assert told == {each.id: (each.inputs.tolist(), each.dates) for each in contiguous}
        assert [each.number for each in found] == [0, 1, 2, 3]

    def test_without_windows_must_stand_together(self, refused):
        assert refused(*self.BY_DATE, group="city").endswith(
            "in.csv: line 4: city Bonn goes on after another; sort the file by city, at or cut it "
            "into windows with --window"
        )

    def test_are_held_within_bounds(self, table, refused, monkeypatch):
        monkeypatch.setattr(wide, "MOST_HELD", 3 * 2 * 2)
        lines = ["g,a,b", *(f"{g},{g},{step}" for g in range(50) for step in range(3))]
        found = table(*lines, group="g", window=2)
        assert [each.id for each in found] == [f"{g} {k}" for g in range(50) for k in (0, 1)]
        mixed = ["g,a,b", *(f"{g},{g},{step}" for step in range(2) for g in range(5))]
        assert "line 7: g 0 goes on after another; sort the file by g" in refused(
            *mixed, group="g", window=2
        )

    def test_that_are_shorter_than_a_window(self, table, refused):
        lines = ["g,a,b", "x,1,1", "x,2,2", "y,3,3", "z,4,4", "z,5,5"]
        with pytest.warns(LeftOut, match="in.csv: y left out, with fewer than the 2 rows of a win"):
            found = table(*lines, group="g", window=2)
        assert [each.id for each in found] == ["x 0", "z 0"]
        assert "has no 3 rows in a series; give a smaller --window" in refused(
            *lines, group="g", window=3
        )
        padded = table(*lines, model=with_input(padding=Padding(length=2)), group="g")
        assert [each.id for each in padded] == ["x 0", "z 0", "y 0"]


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    window=st.integers(1, 4),
    stride=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_windows_are_those_of_numpy(tmp_path_factory, lengths, window, stride, seed):
    """However the rows of several series are mixed."""
    rng = np.random.default_rng(seed)
    series = [rng.standard_normal((length, 2)) for length in lengths]
    order = rng.permutation(np.repeat(np.arange(len(series)), lengths)).tolist()
    rows, places = ["g,a,b"], [0] * len(series)
    for which in order:
        a, b = series[which][places[which]].tolist()
        rows.append(f"{which},{a!r},{b!r}")
        places[which] += 1
    path = tmp_path_factory.mktemp("wide") / "in.csv"
    path.write_text("\n".join(rows))
    expected = {}
    for which, values in enumerate(series):
        for start in range(0, len(values) - window + 1, stride):
            expected[f"{which} {start}"] = values[start : start + window].tolist()
    source = Source(str(path), series=AsSeries(window, stride, "g"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOut)
        if not expected:
            with pytest.raises(UnusableInput, match="give a smaller --window"):
                list(read_sequences(source, MODEL))
            return
        found = list(read_sequences(source, MODEL))
        blocks = list(read_blocks(source, MODEL, 5))
    assert {each.id: each.inputs.tolist() for each in found} == expected
    assert [each.id for block in blocks for each in block] == [each.id for each in found]


class TestLabels:
    def test_are_those_of_the_last_row(self, table):
        lines = ["a,b,sky", "1,1,dry", "2,2,wet", "3,3,dry"]
        assert [each.gold for each in table(*lines, label="sky", window=2)] == [1, 0]
        assert [each.gold for each in table("a,b,y", "1,1,0", "2,2,1", label="y")] == [1]

    def test_that_are_missing(self, refused):
        assert "line 3, column sky: is missing; expected the true class" in refused(
            "a,b,sky", "1,1,dry", "2,2,", label="sky"
        )

    def test_that_are_no_class(self, refused):
        assert "line 2, column sky: label `hail`; expected one of dry, wet" in refused(
            "a,b,sky", "1,1,hail", label="sky"
        )


class TestDates:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("2020-01-31", "2020-02-01"),
            ("2020/1/31", "2020/2/1"),
            ("2020-01-31 23:00", "2020-02-01 00:30"),
            ("2020-01-31T23:00:00.5", "2020-01-31T23:00:00.75"),
            ("2020-03-29T01:00+01:00", "2020-03-29T03:00+02:00"),
            ("2020-01-31T23:00:00Z", "2020-02-01T00:00:00Z"),
            ("31/01/2020", "01/02/2020"),
            ("01/31/2020", "02/01/2020"),
            ("31.1.2020 23:00", "1.2.2020 0:00"),
            ("1/31/2020 11:59 AM", "1/31/2020 12:00 PM"),
            ("2020-01", "2020-02"),
            ("1580428800", "1580515200.5"),
            ("20200131", "20200201"),
            ("1/31/20 23:30", "2/1/20 0:00"),  # as spreadsheets write it
            ("31.12.99", "1.1.00"),
            ("31-Dec-2019", "1-Jan-2020"),
            ("30 september 2019", "1 Oct 2019 01:00 AM"),
            ('"Apr 30, 2020"', '"May 1, 2020"'),
            ("2019Q4", "2020Q1"),
            ("2019-12-31 23:30:00.000 +0100", "2020-01-01 00:00:00.000 +0100"),
            ("2019-12-31 23:30:00 UTC", "2020-01-01 00:00:00 UTC"),
            ("Tue 31 Dec 2019", "Wed 1 Jan 2020"),
        ],
    )
    def test_of_any_form_are_kept_as_written(self, table, refused, first, second):
        [one] = table("date,a,b", f"{first},1,2", f"{second},3,4")
        assert one.dates == (first.strip('"'), second.strip('"'))
        assert "line 3: `date` is" in refused("date,a,b", f"{second},1,2", f"{first},3,4")

    def test_that_come_twice_tell_of_groups(self, refused):
        lines = ["date,a,b", "2020-01-01,1,1", "2020-01-01,2,2"]
        assert (
            "line 3: `date` is 2020-01-01 a second time; expected each date once: if the table is "
            "of several series, name the column that tells them apart by --group"
        ) in refused(*lines)

    @pytest.mark.parametrize(
        ("date", "mend"),
        [
            ("2020-10-25 02:30", "where clocks were set back, write the zone behind"),
            ("25/10/2020", "a time that is in another column belongs into this one"),
        ],
    )
    def test_that_come_twice_tell_of_times(self, refused, date, mend):
        assert mend in refused("date,a,b", f"{date},1,1", f"{date},2,2")

    def test_out_of_order_tell_of_groups(self, refused):
        lines = ["date,a,b", "2020-01-02,1,1", "2020-01-01,2,2"]
        assert "sort the rows by `date`, or if the table is of several series" in refused(*lines)

    def test_that_are_none_are_told(self, table):
        with pytest.warns(LeftOut, match="no numbers; `time` is `0h10`, no date that is read"):
            assert table("time,a,b", "0h10,1,2")[0].dates is None
        model = with_input(features=("a", "b"))
        with pytest.warns(LeftOut, match="`date` is `0h10`, no date that is read"):
            assert table("date,a,b", "0h10,1,2", model=model)[0].dates is None

    def test_whose_day_or_month_may_be_first_are_asked_where_it_matters(self, table, refused):
        rises = ["date,a,b", "01/02/2020,1,1", "02/03/2020,1,1"]
        assert table(*rises)[0].dates == ("01/02/2020", "02/03/2020")
        either = ["date,a,b", "01/02/2020,1,1", "02/01/2020,1,1"]
        assert (
            "line 3: `date` is 02/01/2020 after 01/02/2020, which is in order if the month stands "
            "first; say which does: --date date:dmy or --date date:mdy"
        ) in refused(*either)
        [one] = table(*either, date="date:mdy")
        assert one.dates == ("01/02/2020", "02/01/2020")
        assert "`date` is 02/01/2020 after 01/02/2020; sort the rows by `date`" in refused(
            *either, date="date:dmy"
        )

    def test_that_tell_by_a_later_row(self, refused):
        """What is in order as months is not, once the 13th shows that days stand first."""
        lines = ["date,a,b", "02/01/2020,1,1", "13/02/2020,1,1", "03/02/2020,1,1"]
        assert "line 4: `date` is 03/02/2020 after 13/02/2020; sort" in refused(*lines)

    def test_of_mixed_forms(self, refused):
        lines = ["date,a,b", "2020-01-01,1,1", "02/01/2020,1,1"]
        assert (
            "line 3: `date` is `02/01/2020`, which is not written like `2020-01-01` before it"
        ) in refused(*lines)
        lines = ["date,a,b", "2020-01-01T00:00Z,1,1", "2020-01-02T00:00,1,1"]
        assert "line 3: `date` is `2020-01-02T00:00`, which is not written like" in refused(*lines)

    def test_that_are_missing(self, refused):
        lines = ["date,a,b", "2020-01-01,1,1", ",1,1"]
        assert "line 3: `date` is missing; expected the date of the row" in refused(*lines)

    def test_in_several_columns_are_asked(self, table, refused):
        lines = ["from,to,a,b", "2020-01-01,2020-01-02,1,1"]
        assert "has several columns of dates (from, to); name the one" in refused(*lines)
        with pytest.warns(LeftOut, match="`to` left out"):
            [one] = table(*lines, date="from")
        assert one.dates == ("2020-01-01",)

    def test_that_are_none(self, refused):
        assert "line 2: `sky` is `grey`; expected a date such as 2012-12-24" in refused(
            "sky,a,b", "grey,1,1", date="sky"
        )
        assert "has no column `Date`; is `date` meant?" in refused(*DAYS, date="Date")

    def test_of_types(self):
        noon = datetime(2020, 1, 1, 12)
        assert is_date(noon)
        assert is_date(date(2020, 1, 1))
        assert meanings_of(date(2020, 1, 1)) == meanings_of("2020-01-01")
        east = noon.replace(tzinfo=timezone(timedelta(hours=2)))
        assert meanings_of(east) == meanings_of("2020-01-01T10:00:00Z")
        assert not any(map(is_date, [True, None, float("nan"), "", "5", 5, "31/31/2020", "maybe"]))


class TestValues:
    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("", "`b` is missing; expected a finite number: fill or drop what is missing"),
            ("NA", "`b` is missing (NA); expected a finite number"),
            ("NaN", "`b` is missing (NaN); expected a finite number"),
            ("none at all", "`b` is `none at all`; expected a number"),
            ("inf", "`b` is `inf`; expected a finite number"),
            ('"1,5"', "`b` is `1,5`; expected a number with a decimal point, not a comma"),
        ],
    )
    def test_that_are_no_numbers_are_named(self, refused, value, problem):
        error = refused("date,g,a,b", "2020-01-01,x,1,2", f"2020-01-02,x,3,{value}", group="g")
        assert f"in.csv: line 3: g x, date 2020-01-02: {problem}" in error

    def test_beyond_the_precision(self, table, refused):
        model = replace(MODEL, dtype=np.dtype("float32"))
        assert "line 3: feature `b` is 1e+300 at step 1, which float32 cannot hold" in refused(
            "a,b", "1,2", "1,1e300", model=model
        )


class TestHeaders:
    def test_with_fewer_or_more_columns_than_features(self, refused):
        assert "has 1 feature (a); the model takes 2" in refused("date,a", "2020-01-01,1")
        assert (
            "has 3 features (a, b, c); the model takes 2: name them in the mapping, such as "
            "features: [a, b]; or say what the others are by --date, --group, --label"
        ) in refused("a,b,c", "1,2,3")

    def test_without_a_feature_of_the_mapping(self, refused):
        model = with_input(features=("a", "wind"))
        assert "has no `wind` (it has `a`, `b`)" in refused(*DAYS, model=model)

    def test_of_numbers_is_a_row(self, refused, table):
        assert "line 1: found numbers, `1,2`; expected a first line with the names" in refused(
            "1,2", "3,4"
        )
        assert "line 1: found numbers, `2020-01-01,1,2,rain`" in refused("2020-01-01,1,2,rain")
        assert table("0,1", "3,4")[0].inputs.tolist() == [[3, 4]]

    def test_without_such_a_group(self, refused):
        assert "has no column `city`; expected one of date, a, b" in refused(*DAYS, group="city")

    def test_with_a_stride_and_no_window(self, refused):
        assert "--stride is that of windows; give --window, too" in refused(*DAYS, stride=2)

    def test_with_windows_of_vectors(self, refused):
        assert "the model takes one vector a sequence, not 3" in refused(
            *DAYS, model=with_input(steps=False), window=3
        )

    def test_of_other_formats_have_no_windows(self, tmp_path):
        np.save(tmp_path / "x.npy", np.ones((2, 3, 2)))
        source = Source(str(tmp_path / "x.npy"), series=AsSeries(window=2, group="g"))
        with pytest.raises(UnusableInput, match=r"takes no --window, --group; only tables of"):
            list(read_sequences(source, MODEL))


class TestOfSequencesAndSteps:
    """The header sequence,step,FEATURE,... says of each row where it belongs."""

    LINES = ("sequence,step,a,b", "A,1,1,2", "A,2,3,4", "7,5,5,6")

    def test_are_sequences(self, table):
        found = table(*self.LINES)
        assert [(each.id, each.inputs.tolist()) for each in found] == [
            ("A", [[1, 2], [3, 4]]),
            (7, [[5, 6]]),
        ]
        assert [each.dates for each in found] == [None, None]

    def test_whose_steps_are_dates(self, table):
        [one] = table("sequence,step,a,b", "A,2020-01-01,1,2", "A,2020-01-02,3,4")
        assert one.dates == ("2020-01-01", "2020-01-02")

    def test_are_whole_whatever_the_padding(self, table):
        model = with_input(padding=Padding(length=1, truncate="pre"))
        assert [len(each.inputs) for each in table(*self.LINES, model=model)] == [2, 1]

    def test_are_vectors(self, table, refused):
        model = with_input(steps=False)
        lines = ["sequence,step,a,b", "A,0,1,2", "B,0,3,4"]
        assert [each.id for each in table(*lines, model=model)] == ["A", "B"]
        assert "has 2 steps, and the model takes one vector" in refused(*self.LINES, model=model)

    def test_in_windows(self, table):
        with pytest.warns(LeftOut, match="7 left out"):
            [one] = table(*self.LINES, window=2)
        assert one.id == "A 0"
