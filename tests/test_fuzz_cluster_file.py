"""A cluster's file describes a cluster, or an error names the file and the key."""

from dataclasses import asdict

import pytest
from fuzzing import ODD_VALUES, assert_clear, fuzz, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st

from mvlib.engines.cluster_file import KINDS, ClusterFile, load_cluster_file

yaml = pytest.importorskip("yaml")
LOCAL = {"kind": "local", "workers": 2, "slots": 1, "dashboard": "127.0.0.1:8787"}
QUEUE = {
    "kind": "slurm", "minimum": 0, "maximum": 4, "slots": 2, "gpus": 1, "folder": "~/mvlib",
    "deaths": 1, "cores": 8, "memory": "16GB", "walltime": "12:00:00", "queue": "gpu",
    "account": "toy", "directives": ["--gres=gpu:1"], "interface": "ib0", "python": "python3",
    "prologue": ["module load cuda"], "logs": "logs",
}  # fmt: skip
THERE = {"scheduler": "tls://10.0.0.1:8786", "security": {"ca": "a", "cert": "b", "key": "c"}}
KEYS = sorted({*LOCAL, *QUEUE, *THERE, "surprise", ""})
ODD_YAML = [
    "!!python/object/apply:os.system [true]", "!!python/name:os.system", "&a [*a]", "*a",
    "12:30", "2026-01-01", "yes", "~", ".nan", ".inf", "0x10", "0o7", "!!binary aGk=",
    "? [a]\n: b", "{a: 1, a: 2}", "[" * 300, "{" * 50, "'", "|", "<<: {a: 1}", "!!set {a}",
    "'a\tb'", "\t",
]  # fmt: skip


@st.composite
def described(draw):
    """Draw a cluster's description with some values put in, changed or left out."""
    content = dict(draw(st.sampled_from([LOCAL, QUEUE, THERE])))
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=3)):
        odd = [value for value in ODD_VALUES if value != "\ud800"]
        value = draw(st.sampled_from([*odd, *KINDS, "tcp://a:1", ["x"], 3]))
        if draw(st.booleans()):
            content[key] = value
        else:
            content.pop(key, None)
    return content


def check(path, text):
    path.write_bytes(text)
    try:
        found = load_cluster_file(path)
    except (ValueError, OSError) as error:
        assert_clear(error, "cluster.yml")
        return
    assert isinstance(found, ClusterFile)
    assert (found.scheduler is None) != (found.kind is None)
    for value in (*asdict(found).values(), *found.directives, *found.prologue):
        assert not isinstance(value, str) or value.isprintable()


@fuzz(100)
@given(content=described())
def test_a_spoilt_description_is_taken_or_told(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "cluster.yml"
    check(path, yaml.safe_dump(content, allow_unicode=True).encode())


@fuzz(60)
@given(value=st.sampled_from(ODD_YAML), key=st.sampled_from(KEYS))
def test_odd_yaml_is_taken_or_told(tmp_path_factory, value, key):
    path = tmp_path_factory.getbasetemp() / "cluster.yml"
    check(path, f"kind: local\n{key}: {value}\n".encode())
    check(path, value.encode())


@fuzz(60)
@given(content=spoilt_bytes(yaml.safe_dump(QUEUE).encode()))
def test_spoilt_bytes_are_taken_or_told(tmp_path_factory, content):
    check(tmp_path_factory.getbasetemp() / "cluster.yml", content)


@pytest.mark.parametrize("value", ODD_YAML[:2])
def test_a_description_makes_no_object_and_runs_nothing(tmp_path, value):
    path = tmp_path / "cluster.yml"
    path.write_text(f"kind: {value}\n")
    with pytest.raises(ValueError, match="is no YAML"):
        load_cluster_file(path)
