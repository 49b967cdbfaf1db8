"""Runs the cells of examples/notebook.ipynb, one after the other, on a small version of its pipeline.

tests/it/python.rs lays a workspace as the checkout's and names it in INTRADA_TEST_NOTEBOOK. A cell whose metadata name a
package that is not installed is skipped, and told.
"""

import importlib.util
import json
import os
import unittest
from pathlib import Path

FOLDER = os.environ.get("INTRADA_TEST_NOTEBOOK")


@unittest.skipUnless(FOLDER, "INTRADA_TEST_NOTEBOOK names no workspace")
class Notebook(unittest.TestCase):
    def test_all_cells_run_in_their_order(self):
        path = Path(FOLDER, "examples", "notebook.ipynb")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(path.parent)
        names = {}
        ran = 0
        for number, cell in enumerate(cells, 1):
            if cell["cell_type"] != "code":
                continue
            self.assertEqual((cell["outputs"], cell["execution_count"]), ([], None), f"cell {number} was saved with outputs")
            needs = cell["metadata"].get("needs", [])
            lacking = [name for name in needs if importlib.util.find_spec(name) is None]
            if lacking:
                print(f"skipped: cell {number} of the notebook needs {', '.join(lacking)}")
                continue
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
            ran += 1
        self.assertGreater(ran, 5)


if __name__ == "__main__":
    unittest.main()
