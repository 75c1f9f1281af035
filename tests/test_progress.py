import numpy as np

from keras_betavae.evaluation import evaluate_codes
from keras_betavae.experiments.runs._progress import ProgressLine


def shown(capsys, verbose):
    line = ProgressLine(steps=5, every=3)
    line.set_params({"verbose": verbose, "epochs": 2, "steps": 3})
    line.on_train_begin()
    for epoch, n_steps in enumerate([3, 2]):
        line.on_epoch_begin(epoch)
        for batch in range(n_steps):
            line.on_train_batch_end(batch, {"loss": 9.0, "kl_loss": 2.0, "capacity": 1.0})
        line.on_epoch_end(epoch, {"loss": 8.0, "kl_loss": 2.5, "mig_score": 0.25, "sap_score": 1.0})
    return capsys.readouterr().out


def test_the_line_names_its_steps_and_shows_few_numbers(capsys):
    text = shown(capsys, 2)
    assert [line for line in text.splitlines() if line.startswith("Steps")] == [
        "Steps 1 to 3 of 5",
        "Steps 4 to 5 of 5",
    ]
    assert "3/3" in text
    assert "2/2" in text
    assert "loss: 8.0000 - kl: 2.5000 - MIG: 0.2500" in text
    assert not any(word in text for word in ("Epoch", "capacity", "sap_score"))


def test_a_silent_run_says_nothing(capsys):
    assert shown(capsys, 0) == ""


def test_scores_are_the_same_in_threads_and_each_is_reported():
    rng = np.random.default_rng(0)
    factors, codes = rng.integers(4, size=(500, 3)), rng.normal(size=(500, 4))
    names, calls = ["mig_score", "sap_score", "beta_vae_score_locatello", "active_units"], []
    tables = [
        evaluate_codes(
            factors, codes, scores=names, n_jobs=n_jobs, on_score=lambda: calls.append(1)
        )
        for n_jobs in (None, 2)
    ]
    assert dict(tables[0]) == dict(tables[1])
    assert list(tables[1]) == names
    assert len(calls) == 8
