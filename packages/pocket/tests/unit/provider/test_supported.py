"""The README lists what the provider has, and nothing else."""

from pathlib import Path

from pocket.provider.supported import placed

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_readme_lists_what_is_supported() -> None:
    text = README.read_text()
    assert placed(text) == text, "run `python -m pocket.provider.supported README.md`"
    assert "- `aws.s3`: Bucket," in text
    assert "get_caller_identity()" in text
