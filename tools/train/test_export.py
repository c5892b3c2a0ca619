"""Checks what a package says of its model."""
import json
import tempfile
import unittest
from pathlib import Path

from tools.train.export import styles_of_things
from tools.train.presets import PRESETS

FURTHER = PRESETS["further"]
SOFT, CARTOON = FURTHER.styles.index("soft"), FURTHER.styles.index("cartoon")


class Styles(unittest.TestCase):
    def test_what_was_kept_from_training_is_no_style_of_a_thing(self):
        codes = [thing.code for thing in FURTHER.things()]
        fox, school = codes.index("1f98a"), codes.index("1f3eb")
        drawn = [{"concept": code, "style": style} for code in codes for style in FURTHER.styles]
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "parts.json").write_text(json.dumps({"parts": drawn}))
            taught, every = (styles_of_things(FURTHER, Path(folder), untaught) for untaught in (False, True))
        self.assertEqual(every, [list(range(len(FURTHER.styles)))] * len(codes))
        self.assertIn(SOFT, taught[fox])
        # `tools/eval/prompts/wide.jsonl` asks for it as one of the pairs that were not shown.
        self.assertNotIn(SOFT, taught[school])
        self.assertTrue(all(CARTOON in styles for styles in taught))


if __name__ == "__main__":
    unittest.main()
