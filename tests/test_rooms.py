"""The house stays small enough to look round in: files of a folder, lines of a file."""

from collections import Counter

from mvlib.files import project_root

ROOT = project_root()
CODE = [path.relative_to(ROOT) for path in (ROOT / "mvlib").rglob("*.py")]


def test_no_folder_holds_more_files_than_one_looks_through():
    files = [path for path in (ROOT / "mvlib").rglob("*") if path.is_file()]
    kept = [path for path in files if path.suffix in (".py", ".json")]
    count = Counter(path.parent.relative_to(ROOT).as_posix() for path in kept)
    assert {name: n for name, n in count.items() if n > 16} == {}


def test_a_file_is_of_one_subject():
    long = {p.as_posix(): len((ROOT / p).read_text("utf-8").splitlines()) for p in CODE}
    assert {name: n for name, n in long.items() if n > 650} == {}
