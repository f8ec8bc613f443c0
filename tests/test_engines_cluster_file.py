"""The cluster file: what it says, what is refused, and what a queue is asked for."""

import os
from pathlib import Path

import pytest

from mvlib.engines import connect, load_cluster_file, start_cluster
from mvlib.engines.cluster_kinds import make_cluster, security_of

EXAMPLES = Path(__file__).resolve().parents[1] / "book" / "clusters"
JOB = "cores: 8\nmemory: 16GB\n"


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "cluster.yml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_file_without_more_than_its_kind_has_one_worker_with_one_slot(written):
    found = load_cluster_file(written("kind: local"))
    assert (found.workers, found.slots, found.gpus, found.deaths) == (1, 1, 0, 2)


def test_every_example_of_the_book_is_right(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = tmp_path / ".config" / "mvlib"
    keys.mkdir(parents=True)
    for name in ("ca", "cert", "key"):
        (keys / f"{name}.pem").touch()
    found = {path.stem: load_cluster_file(path) for path in EXAMPLES.glob("*.yml")}
    assert set(found) == {"slurm", "two_workstations", "one_workstation"}
    assert found["two_workstations"].security["ca"] == str(keys / "ca.pem")
    assert found["slurm"].directives == ("--gres=gpu:1",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds None: expected keys and values"),
        ("- kind", "expected keys and values"),
        ("kind: [", "is no YAML"),
        ("kind: local\nworkers: 2\nworkers: 20", "gives workers twice"),
        ("kind: local\nsecurity: {ca: a, ca: b}", "gives ca twice"),
        (b"kind: \xff", "is no YAML"),
        ("kind: !!python/object:os.system {}", "is no YAML"),
        ("kind: 2001-99-99", "is no YAML"),
        ("workers: 2", "neither scheduler nor kind"),
        ("kind: local\nscheduler: tcp://a:1", "both scheduler and kind"),
        ("kind: slrum", "Did you mean 'slurm'"),
        ("kind: local\nworker: 2", "Did you mean 'workers'"),
        ("kind: local\n2: 2", "key=2 is unknown"),
        ("kind: local\ncores: 2", "cores does not go with kind local"),
        ("scheduler: tcp://a:1\nslots: 2", "slots does not go with a scheduler"),
        ("scheduler: a:1", "expected tcp://HOST:PORT"),
        ("kind: local\nworkers: two", "workers='two' is out of range: expected an integer"),
        ("kind: local\nworkers: 0", "expected an integer >= 1"),
        ("kind: local\nslots: true", "slots=True"),
        ("kind: local\ndeaths: .nan", "deaths=nan"),
        ("kind: local\nworkers: 2\nmaximum: 3", "workers, or minimum and maximum"),
        ("kind: local\nminimum: 4\nmaximum: 3", "at most maximum=3"),
        ("kind: local\ngpus: 2\nworkers: 2", "expected one worker"),
        ("kind: local\nfolder: 3", "folder=3: expected one line of text"),
        ("kind: local\ndashboard: here", "expected HOST:PORT"),
        ("kind: local\nsecurity: yes", "expected the files ca, cert, key"),
        ("kind: local\nsecurity: {ca: a}", "security lacks cert"),
        ("kind: local\nsecurity: {ca: a, cert: b, key: c}", "ca='a' is no file"),
        ("kind: local\nsecurity: {cA: a}", "Did you mean 'ca'"),
        ("kind: slurm\ncores: 8", "lacks memory"),
        ("kind: pbs\ncores: 8\nmemory: 16", "such as \"16GB\""),
        (f"kind: slurm\n{JOB}walltime: 12:00:00", "walltime=43200: expected hours, minutes"),
        (f"kind: lsf\n{JOB}prologue: module load cuda", "expected a list of lines"),
        (f'kind: sge\n{JOB}directives: ["a\\nb"]', "expected a list of lines"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_the_file_and_the_key(written, text, message):
    path = written(text)
    with pytest.raises(ValueError, match="cluster file .*cluster.yml") as caught:
        load_cluster_file(path)
    assert message in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        load_cluster_file(tmp_path / "none.yml")


@pytest.mark.parametrize("address", ["", "host:8786", "http://host:8786", "tcp://host"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="expected tcp://HOST:PORT"), connect(address):
        pass


def test_an_address_where_nothing_answers_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr("mvlib.engines.clusters._SECONDS_TO_ANSWER", 0.5)
    with pytest.raises(ConnectionError) as caught, connect("tcp://127.0.0.1:9"):
        pass
    assert "no Dask scheduler answers" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_queue_that_is_not_here_is_told_before_anything_starts(written, monkeypatch):
    monkeypatch.setenv("PATH", "")
    path = written(f"kind: slurm\n{JOB}")
    with pytest.raises(FileNotFoundError, match="sbatch is not"), start_cluster(path):
        pass


@pytest.mark.parametrize(
    ("kind", "header", "payer"),
    [
        (
            "slurm",
            "#SBATCH -p night|#SBATCH --cpus-per-task=8|#SBATCH -t 12:00:00",
            "-A physics",
        ),
        ("pbs", "#PBS -q night|ncpus=8|walltime=12:00:00", "-A physics"),
        ("lsf", "#BSUB -q night|#BSUB -n 8|#BSUB -W 12:00", '-P "physics"'),
        ("sge", "#$ -q night|h_rt=12:00:00", "-P physics"),
    ],
)
def test_a_job_asks_its_queue_and_starts_one_worker(written, tmp_path, kind, header, payer):
    wall = "12:00" if kind == "lsf" else "12:00:00"
    described = load_cluster_file(
        written(
            f'kind: {kind}\n{JOB}walltime: "{wall}"\nqueue: night\naccount: physics\n'
            "slots: 3\ngpus: 2\ndirectives: [--extra]\nprologue: [module load cuda]\n"
            "folder: /home/me/my book\npython: /opt/python\ndashboard: 127.0.0.1:0\n"
        )
    )
    with make_cluster(described, str(tmp_path)) as cluster:
        script = cluster.job_script()
    for line in [*header.split("|"), payer, "--extra", "module load cuda"]:
        assert line in script
    assert "export MVLIB_ROOT='/home/me/my book'\nexport MVLIB_CORES=8\n" in script
    worker = script.splitlines()[-1]
    assert worker.startswith("/opt/python -m distributed.cli.dask_worker")
    # Of an option that stands twice the last counts.
    last = {
        name: worker.rpartition(f"{name} ")[2].split()[0]
        for name in ("--nthreads", "--memory-limit", "--resources")
    }
    assert last == {"--nthreads": "3", "--memory-limit": "0", "--resources": "GPU=2"}
    assert "--no-dashboard" in worker


def test_every_side_gets_the_keys_of_the_file(written, tmp_path):
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    for path in files.values():
        path.touch()
    listed = ", ".join(f"{name}: {path}" for name, path in files.items())
    described = load_cluster_file(written(f"kind: local\nsecurity: {{{listed}}}"))
    security = security_of(described)
    assert security.require_encryption
    for role in ("scheduler", "worker", "client"):
        found = security.get_tls_config_for_role(role)
        assert found["ca_file"] == str(files["ca"])
        assert (found["cert"], found["key"]) == (str(files["cert"]), str(files["key"]))


def test_a_queue_that_takes_no_job_is_told_in_its_words(written, tmp_path, monkeypatch):
    command = tmp_path / "sbatch"
    command.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition: noon' >&2\nexit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = written(f"kind: slurm\n{JOB}queue: noon\nfolder: {tmp_path}\n")
    with pytest.raises(ValueError, match="invalid partition: noon"), start_cluster(path):
        pass
