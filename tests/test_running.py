"""The notebook runs anywhere, again, and with another first cell."""

import copy
import logging

import pytest
from conftest import run

CALL = "initialize(3, 4, 2, 5)"


def stored_texts(cell):
    """What the cell printed and displayed when the notebook was stored."""
    printed = "".join(output.get("text", "") for output in cell.outputs)
    data = [output.data for output in cell.outputs if "data" in output]
    return [printed.strip(), *(shown["text/plain"] for shown in data)]


def with_first_cell(code, old, new):
    """The names of a run with another first cell."""
    first = copy.deepcopy(code[0])
    assert old in first.source
    first.source = first.source.replace(old, new)
    return run([first, *code[1:]])[0]


def test_every_cell_can_run_twice_and_the_notebook_again(executed, code):
    _, texts = executed
    count = len(code)
    once, twice = texts[: 2 * count : 2], texts[1 : 2 * count : 2]
    again = texts[2 * count :]
    for cell, *shown in zip(code, once, twice, again, strict=True):
        stored = stored_texts(cell)
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            assert any(stored)
            # as many tables, of as many lines
            stored = [text.count("\n") for text in stored]
            shown = [[text.count("\n") for text in one] for one in shown]
        assert shown == [stored] * 3


@pytest.mark.parametrize(
    "old, new",
    [
        (CALL, "initialize(1, 1, 1, 1)"),
        (CALL, "initialize(7, 16, 3, 64)"),
        (CALL, "initialize(2, 9, 5, 3)"),
        ("12345", "1"),
        ("* 0.01", "* 1"),
        ("* 0.01", "* 5"),
    ],
)
def test_another_first_cell_goes_through(code, old, new):
    # no assertion of the notebook fails, nothing is said on stderr
    assert with_first_cell(code, old, new).verdicts


def test_a_fault_without_effect_is_none(code):
    names = with_first_cell(code, CALL, "initialize(3, 4, 2, 1)")
    for fault in ("1/M forgotten", "mean for sum"):
        row = list(names.FAULTS).index(fault)
        assert names.damage["spoils"][row] == ""
        assert names.verdicts["bound"][row] == "harmless"


def test_matplotlib_says_nothing_of_its_font_cache(notebook, caplog):
    logger = logging.getLogger("matplotlib.font_manager")
    logger.warning("Matplotlib is building the font cache; this may take.")
    logger.warning("findfont: Font family 'none' not found.")
    (record,) = caplog.records
    assert "findfont" in record.getMessage()
