"""Sweeps of several processes; their runs are those of tests/test_sweeps.py."""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from keras_betavae._utils.locks import InUseError, locked
from keras_betavae.experiments import sweeps
from keras_betavae.experiments.sweeps import Sweep, study, workers
from keras_betavae.experiments.sweeps.grid import Grid
from tests.test_sweeps import AXES, BASE

NAMES = list(Sweep(BASE, AXES).trials())


class Untrained(Grid):
    """A grid whose runs train nothing."""

    def __init__(self, folder, sweep, action=lambda name: None):
        super().__init__(folder, sweep)
        self.trained, self.action = [], action

    def train(self, trial):
        name = self.name_of(trial.params)
        self.action(name)
        self.trained.append(name)
        folder = self.folder / "runs" / name
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(json.dumps({"trained": {"mig_score": 0.5}}))
        trial.set_user_attr("judged", "mig_score")
        return float(len(name))


@pytest.fixture
def folder(tmp_path):
    return sweeps.create(tmp_path / "sweep", Sweep(BASE, AXES))


def work(plan, storage=None, **options):
    opened = study.open_study(plan.folder, storage)
    first = len(opened.get_trials(deepcopy=False))
    return study.work(plan, opened, first, verbose=False, **options)


def states(folder, storage=None):
    return [trial.state for trial in study.open_study(folder, storage).trials]


# One process, and threads that stand for others.


def test_combinations_are_given_out_in_order_and_once(folder):
    plan = Untrained(folder, Sweep(BASE, AXES))
    assert work(plan)
    assert work(plan)
    assert plan.trained == NAMES
    assert states(folder) == [TrialState.COMPLETE] * 4


def test_a_second_process_takes_what_is_free_and_waits_for_the_rest(folder):
    sweep, begun, others = Sweep(BASE, AXES), threading.Event(), threading.Event()

    def slowly(name):
        begun.set()
        assert others.wait(60)

    def last(name):
        if name == NAMES[-1]:
            others.set()

    slow, quick = Untrained(folder, sweep, slowly), Untrained(folder, sweep, last)
    first = threading.Thread(target=work, args=(slow,), kwargs={"at_most": 1})
    first.start()
    assert begun.wait(60)
    assert work(quick)
    first.join(60)
    assert (slow.trained, quick.trained) == (NAMES[:1], NAMES[1:])
    assert states(folder) == [TrialState.COMPLETE] * 4


def test_a_failed_run_is_tried_once_in_a_session_and_again_in_the_next(folder):
    def fails(name):
        if name == NAMES[1]:
            raise FloatingPointError("the loss became NaN")

    sweep = Sweep(BASE, AXES)
    plan = Untrained(folder, sweep, fails)
    assert work(plan)
    assert plan.trained == [NAMES[0], *NAMES[2:]]
    (failed,) = (t for t in study.open_study(folder, None).trials if t.state == TrialState.FAIL)
    assert failed.user_attrs == {"error": "FloatingPointError: the loss became NaN"}
    again = Untrained(folder, sweep)
    assert work(again)
    assert again.trained == [NAMES[1]]


def test_a_process_gives_way_after_some_runs(folder):
    plan = Untrained(folder, Sweep(BASE, AXES))
    assert not work(plan, at_most=3)
    assert plan.trained == NAMES[:3]


def test_a_trial_whose_process_died_is_taken_up(folder):
    """As a kill leaves it: the trial runs, and its lock is free."""
    plan = Untrained(folder, Sweep(BASE, AXES))
    opened = study.open_study(folder, None)
    opened.enqueue_trial({"beta": "4", "seed": "0"})
    opened.ask(dict(plan.space))
    opened.ask()  # Killed before it had parameters.
    assert work(plan)
    # The others come first: one that kills its process must not keep them waiting.
    assert plan.trained == [*NAMES[:2], NAMES[3], NAMES[2]]
    assert states(folder).count(TrialState.COMPLETE) == 4
    assert not {TrialState.RUNNING, TrialState.WAITING} & set(states(folder))


def test_a_trial_that_waits_is_locked_and_trained_first(folder):
    """As a kill between two writes leaves it, or a user's own `enqueue_trial`."""

    def is_locked(name):
        with pytest.raises(InUseError), ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: locked(folder, child=name).__enter__()).result()

    plan = Untrained(folder, Sweep(BASE, AXES), is_locked)
    opened = study.open_study(folder, None)
    opened.enqueue_trial({"beta": "4", "seed": "0"})
    opened.ask(dict(plan.space))
    opened.enqueue_trial({"beta": "4", "seed": "1"})
    assert work(plan)
    assert sorted(plan.trained) == sorted(NAMES)
    assert plan.trained[0] == NAMES[3]


def test_a_journal_that_is_gone_leaves_no_lock(folder):
    opened = study.open_study(folder, None)
    (folder / study.JOURNAL).unlink()
    with pytest.raises(FileNotFoundError):
        opened.ask()
    with ThreadPoolExecutor(1) as pool, locked(folder, child="study"):
        assert pool.submit(lambda: "not in use").result()


def test_half_a_line_in_the_journal_is_dropped(folder):
    plan = Untrained(folder, Sweep(BASE, AXES))
    work(plan, at_most=2)
    with (folder / study.JOURNAL).open("ab") as file:
        file.write(b'{"op_code":6,"wor')
    assert work(plan)
    assert plan.trained == NAMES
    assert states(folder) == [TrialState.COMPLETE] * 4


def test_progress_is_one_line(folder, capsys):
    plan = Untrained(folder, Sweep(BASE, AXES))
    opened = study.open_study(folder, None)
    study.work(plan, opened, 0, verbose=True, at_most=1)
    (line,) = capsys.readouterr().out.splitlines()
    assert line[8:].startswith(" 1 of 4 done; best mig_score 13 (beta=1,seed=0); about 1 min left")
    assert line.endswith("; last beta=1,seed=0, 0 s")
    # A run that failed and then succeeded has not failed.
    opened.enqueue_trial({"beta": "1", "seed": "0"})
    trial = opened.ask(dict(plan.space))
    trial.set_user_attr("error", "FloatingPointError: the loss became NaN")
    opened.tell(trial, state=TrialState.FAIL)
    assert study.progress(plan, opened, 0)[8:].startswith(" 1 of 4 done; best")


def test_a_storage_that_cannot_be_used_is_refused_without_its_password(folder):
    with pytest.raises(ValueError, match="cannot be opened in the storage") as caught:
        sweeps.run(folder, storage="nonsense://me:secret@nowhere/x")
    assert "secret" not in str(caught.value)


# Databases.


@pytest.fixture(scope="module")
def postgresql():
    """The URL of a PostgreSQL server of this test's own on loopback."""
    pytest.importorskip("psycopg2", reason="SQLAlchemy's driver for PostgreSQL")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    as_user, port = {}, 20_000 + os.getpid() % 20_000
    if os.geteuid() == 0:  # It does not run as root.
        import pwd

        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL needs a user that is not root")
        as_user = {"user": user.pw_uid, "group": user.pw_gid}
    home = Path(tempfile.mkdtemp())
    if as_user:
        os.chown(home, *as_user.values())
    common = {"check": True, "capture_output": True, "cwd": home, **as_user}
    subprocess.run([initdb, "-D", home / "data", "-A", "trust", "-U", "sweeps", "-N"], **common)
    server = subprocess.Popen(
        [
            *(Path(initdb).with_name("postgres"), "-D", home / "data", "-p", str(port)),
            *("-c", "listen_addresses=127.0.0.1", "-k", home, "-F"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=home,
        **as_user,
    )
    try:
        ready = Path(initdb).with_name("pg_isready")
        limit = time.monotonic() + 60
        while subprocess.run([ready, "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode:
            assert time.monotonic() < limit
            assert server.poll() is None
            time.sleep(0.1)
        yield f"postgresql+psycopg2://sweeps@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # It would wait for open connections after SIGTERM.
        server.wait(60)
        shutil.rmtree(home)


@pytest.mark.slow
def test_a_database_may_hold_the_study(folder, tmp_path, postgresql):
    for where in (folder, sweeps.create(tmp_path / "other" / "sweep", Sweep(BASE, AXES))):
        plan = Untrained(where, Sweep(BASE, AXES))
        assert not work(plan, postgresql, at_most=1)
        opened = study.open_study(where, postgresql)
        opened.enqueue_trial({"beta": "4", "seed": "0"})
        opened.ask(dict(plan.space))  # A process that died.
        assert work(plan, postgresql)
        assert plan.trained == [NAMES[0], NAMES[1], NAMES[3], NAMES[2]]
        assert states(where, postgresql).count(TrialState.COMPLETE) == 4
        assert not (where / study.JOURNAL).exists()
    assert len(optuna.get_all_study_names(postgresql)) == 2


# Processes.

COMMAND = [sys.executable, "-m", "keras_betavae", "sweep"]


def started(folder, *more):
    out = subprocess.PIPE
    return subprocess.Popen([*COMMAND, "--resume", folder, *more], stdout=out, text=True)


def table_of(printed):
    return [line for line in printed.splitlines() if line.startswith("|")]


def steps(folder):
    return [int(path.stem.split("-")[1]) for path in folder.glob("checkpoints/step-*.keras")]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes as Linux tells them")
def test_jobs_and_separate_processes_give_the_same_table_although_one_is_killed(tmp_path):
    base = {**BASE, "deterministic": True}
    both = [sweeps.create(tmp_path / name, Sweep(base, AXES)) for name in ("jobs", "apart")]
    leader = started(both[0], "--jobs", "2")
    while len(list(both[0].glob("runs/*/config.json"))) < 2:  # Each worker has begun one.
        assert leader.poll() is None
        time.sleep(0.2)
    children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    printed, _ = leader.communicate(timeout=500)
    assert leader.returncode == 0
    assert "died (-9) and is restarted" in printed
    apart = [started(both[1]), started(both[1])]
    said = [process.communicate(timeout=500)[0] for process in apart]
    assert [process.returncode for process in apart] == [0, 0]
    assert table_of(printed) == table_of(said[0]) == table_of(said[1]) != []
    texts = [(each / "scores.csv").read_text() for each in both]
    assert texts[0] == texts[1]
    assert len(list(csv.DictReader(texts[0].splitlines()))) == 4
    for each in both:
        assert not list(each.glob("runs/*/error.txt"))
        # No run was begun twice, so that no trial is there twice but the killed one's.
        assert states(each).count(TrialState.COMPLETE) == 4
        assert states(each).count(TrialState.FAIL) == (each is both[0])


@pytest.mark.slow
def test_another_process_resumes_a_killed_ones_run_from_its_checkpoint(tmp_path):
    axes = {"seed": {"0": {"seed": 0}}}
    long = {**BASE, "steps": 4_000, "every": 20}
    folder = sweeps.create(tmp_path / "sweep", Sweep(long, axes))
    run = folder / "runs" / "seed=0"
    killed = started(folder)
    while not steps(run):
        assert killed.poll() is None
        time.sleep(0.05)
    with pytest.raises(InUseError), locked(run):
        pass
    killed.kill()
    killed.communicate()
    reached = max(steps(run))
    assert 0 < reached < 4_000
    with locked(run):  # The kill has released it.
        pass
    other = started(folder)
    try:
        while max(steps(run), default=reached) <= reached:
            assert other.poll() is None
            time.sleep(0.05)
        rows = (run / "metrics.csv").read_text().splitlines()
        assert len(rows) - 1 >= reached // 20  # Those of the killed process are there.
    finally:
        other.kill()
        other.communicate()
    assert states(folder)[0] == TrialState.FAIL


def test_a_worker_is_replaced_some_times_and_leaves_after_some_runs(tmp_path, monkeypatch, capfd):
    """Processes that train nothing stand for workers."""
    script = tmp_path / "deaths.py"
    script.write_text(
        "import json, os, pathlib, sys\n"
        "count = pathlib.Path(json.loads(sys.argv[1])[0]) / 'count'\n"
        "assert int(os.environ['LOKY_MAX_CPU_COUNT']) == max(1, os.cpu_count() // 1)\n"
        "n = len(count.read_text()) if count.exists() else 0\n"
        "count.write_text('x' * (n + 1))\n"
        "sys.exit([1, 75, 75, 3][n] if n < 4 else 0)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    workers.work_in_processes("deaths", tmp_path, 1, 0, False, None, None)
    assert (tmp_path / "count").read_text() == "xxxxx"
    assert capfd.readouterr().out.splitlines() == [
        "worker0 died (1) and is restarted",
        "worker0 died (3) and is restarted",
    ]
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "count").unlink()
    script.write_text("import sys\nsys.exit(9)\n")
    workers.work_in_processes("deaths", tmp_path, 1, 0, False, None, None)
    assert capfd.readouterr().out.count("died (9)") == workers._RESTARTS
