"""The notebook file: what a marker, a screen reader and CI find in it."""

import ast
import re
import sys
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest
from conftest import NOTEBOOK, run

IGNORE = "nbval-ignore-output"


def outputs(cells):
    """Every stored output of the cells."""
    return [output for cell in cells for output in cell.outputs]


def test_it_is_valid_and_every_cell_has_an_id(stored):
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) >= (4, 5)
    ids = [cell.id for cell in stored.cells]
    assert len(set(ids)) == len(ids)


def test_it_is_small_enough_to_upload():
    assert NOTEBOOK.stat().st_size < 1_000_000


def test_the_first_cell_is_the_code_of_sheet_4(stored):
    first = stored.cells[0]
    assert first.cell_type == "code"
    names = run([first]).names
    state = np.random.RandomState(12345)
    W1, W2, W3 = (
        state.randn(*shape) * 0.01 for shape in ((4, 3), (4, 4), (2, 4))
    )
    expected = [W1, np.zeros(4), W2, np.zeros(4), W3, np.zeros(2)]
    expected += [state.rand(3, 5), state.randn(2, 5)]
    found = [*names.parameters, names.x, names.y]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_no_later_cell_draws_from_numpys_global_random_state(code):
    for cell in code[1:]:
        assert not re.search(r"np\.random\.(?!default_rng)", cell.source)


def test_the_stored_run_is_one_run_from_top_to_bottom(code):
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1))


def test_no_stored_output_is_an_error_or_a_warning(code):
    for output in outputs(code):
        assert output.output_type in {"stream", "display_data"}
        assert output.get("name", "stdout") == "stdout"


def test_the_kernel_is_python3(stored):
    assert stored.metadata.kernelspec.name == "python3"


def test_it_holds_no_time_stamp_and_no_path_of_a_machine(stored):
    assert not any("execution" in cell.metadata for cell in stored.cells)
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"(/home/|/root/|/tmp/|/Users/|[A-Z]:\\\\)", text)


def test_it_imports_only_the_required_packages(code):
    allowed = {"numpy", "torch", "matplotlib", "IPython"}
    for cell in code:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module]
            else:
                continue
            for module in modules:
                root = module.split(".")[0]
                assert root in allowed | sys.stdlib_module_names


def test_every_figure_has_alternative_text(code):
    images = [
        output.metadata["image/png"]["alt"]
        for output in outputs(code)
        if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 4
    assert all(len(alt) > 40 for alt in images)


def test_every_ignored_output_has_an_assertion_within_reach(code):
    tagged = [IGNORE in cell.metadata.get("tags", []) for cell in code]
    assert any(tagged)
    for i, ignored in enumerate(tagged):
        if ignored:
            assert "assert " in code[i].source + code[i + 1].source


def test_every_link_of_the_title_leads_to_a_heading(stored):
    text = [
        cell.source for cell in stored.cells if cell.cell_type == "markdown"
    ]
    headings = re.findall(r"^#+ (.+)$", "\n".join(text), flags=re.MULTILINE)
    links = re.findall(r"\]\(#([^)]+)\)", text[0])
    assert len(links) == 10
    for link in links:
        assert unquote(link) in {h.replace(" ", "-") for h in headings}


@pytest.mark.parametrize("sheet, questions", [(1, 5), (4, 4)])
def test_the_title_leads_to_every_question(stored, sheet, questions):
    rows = re.findall(
        rf"^\| Sheet {sheet}, (\d)", stored.cells[1].source, re.MULTILINE
    )
    assert sorted(set(map(int, rows))) == list(range(1, questions + 1))


def test_code_fits_the_page(code):
    for cell in code:
        assert all(len(line) <= 79 for line in cell.source.splitlines())
