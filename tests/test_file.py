"""The files: what a marker, a screen reader and CI find in them."""

import base64
import re
import sys
from html import unescape
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest
from conftest import NOTEBOOK, run
from IPython.utils.capture import capture_output
from nbconvert import HTMLExporter
from packaging.requirements import Requirement


def test_it_is_valid_and_small_and_one_run_without_errors(stored, code):
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) >= (4, 5)
    assert len({cell.id for cell in stored.cells}) == len(stored.cells)
    assert stored.metadata.kernelspec.name == "python3"
    assert NOTEBOOK.stat().st_size < 1_000_000
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1))
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type in {"stream", "display_data"}
        assert output.get("name", "stdout") == "stdout"


def test_the_first_cell_is_the_code_of_sheet_4(stored):
    first = stored.cells[0]
    assert (first.cell_type, first.metadata) == ("code", {})
    names, _ = run([first])
    state = np.random.RandomState(12345)
    shapes = (4, 3), (4, 4), (2, 4)
    W1, W2, W3 = (state.randn(*shape) * 0.01 for shape in shapes)
    expected = [W1, np.zeros(4), W2, np.zeros(4), W3, np.zeros(2)]
    expected += [state.rand(3, 5), state.randn(2, 5)]
    found = [*names.parameters, names.x, names.y]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_it_holds_nothing_of_an_editor_or_a_machine(stored):
    for cell in stored.cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}
        folded = cell.metadata.get("jupyter", {"source_hidden": True})
        assert folded == {"source_hidden": True}
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"(/home/|/root/|/tmp/|/Users/|[A-Z]:\\\\)", text)


def test_its_code_is_self_contained_and_fits_the_page(code):
    allowed = {"numpy", "torch", "matplotlib", "IPython"}
    for cell in code:
        # a printed page holds 75 characters of the cells that it shows
        width = 79 if "jupyter" in cell.metadata else 75
        assert max(map(len, cell.source.splitlines())) <= width
        modules = re.findall(
            r"^\s*(?:import|from) (\w+)", cell.source, re.MULTILINE
        )
        assert set(modules) <= allowed | sys.stdlib_module_names
    assert not any("np.random.rand" in cell.source for cell in code[1:])


def test_the_title_leads_from_every_question_to_a_heading(stored):
    text = [c.source for c in stored.cells if c.cell_type == "markdown"]
    headings = re.findall(r"^#+ (.+)$", "\n".join(text), flags=re.MULTILINE)
    rows = re.findall(
        r"^\| Sheet (\d, \d).*\]\(#([^)]+)\)", text[0], re.MULTILINE
    )
    for _, link in rows:
        assert unquote(link) in {h.replace(" ", "-") for h in headings}
    asked = {"1": "12345", "4": "1234"}
    wanted = {f"{sheet}, {n}" for sheet in asked for n in asked[sheet]}
    assert {question for question, _ in rows} == wanted


def test_the_readmes_page_has_the_tables_and_the_figures(stored, code):
    exporter = HTMLExporter(template_name="classic")
    page, _ = exporter.from_notebook_node(stored)
    outputs = [output for cell in code for output in cell.outputs]
    tables = sum("text/markdown" in o.get("data", {}) for o in outputs)
    # the title has two of its own
    assert page.count("<table") == tables + 2 >= 15
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    texts = [f.metadata["image/png"]["alt"] for f in figures]
    found = re.findall(r'<img[^>]+alt="([^"]*)"', page)
    assert list(map(unescape, found)) == texts
    assert len(texts) >= 3 and min(map(len, texts)) > 60


def test_a_table_is_markdown_and_can_be_read_as_text(notebook):
    with capture_output() as captured:
        notebook.show_table({"a": ["x", (4, 3)], "b": [0.000123, 0.0]}, "t\n")
    (shown,) = captured.outputs
    assert shown.data["text/markdown"] == shown.data["text/plain"]
    assert shown.data["text/plain"].splitlines() == [
        *("t", "|      a |      b |", "| ------ | -----: |"),
        *("|      x | 1.2e-4 |", "| (4, 3) |      0 |"),
    ]
    texts = [notebook.scientific(-1.2345678e-10, d) for d in (1, 2, 8)]
    assert texts == ["-1e-10", "-1.2e-10", "-1.2345678e-10"]


def test_a_figure_is_sharp_and_has_its_text(notebook):
    figure, _ = notebook.plt.subplots(figsize=(2, 1))
    with capture_output() as captured:
        notebook.show_figure(figure, "what it shows")
    (shown,) = captured.outputs
    metadata = {"alt": "what it shows", "width": 192}
    assert shown.metadata["image/png"] == metadata
    # twice as many dots as its width on the page
    width = base64.b64decode(shown.data["image/png"])[16:20]
    assert int.from_bytes(width, "big") == 2 * 192
    assert not notebook.plt.fignum_exists(figure.number)


@pytest.mark.parametrize("machine", ["x86_64", "arm64", "AMD64"])
@pytest.mark.parametrize("system", ["darwin", "linux", "win32"])
def test_every_machine_gets_versions_that_exist_for_it(system, machine):
    here = {"sys_platform": system, "platform_machine": machine}
    lines = NOTEBOOK.with_name("requirements.txt").read_text().splitlines()
    wanted = {
        requirement.name: str(requirement.specifier)
        for requirement in map(Requirement, lines)
        if requirement.marker is None or requirement.marker.evaluate(here)
    }
    assert set(wanted) == {"jupyter", "matplotlib", "nbval", "numpy", "torch"}
    # PyTorch's last build for Intel Macs, and the NumPy that it takes
    oldest = {"torch": "==2.2.2", "numpy": "==1.26.4"}.items()
    intel_mac = (system, machine) == ("darwin", "x86_64")
    assert (oldest <= wanted.items()) == intel_mac
