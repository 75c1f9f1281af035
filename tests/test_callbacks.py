import csv
import io
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from PIL import Image

from keras_betavae import BetaVAE, FactorVAE, networks, visualization
from keras_betavae.callbacks import (
    Checkpoint,
    DisentanglementMetric,
    LatentActivity,
    LatentPictures,
    LatentTable,
    LatentTraversal,
    LossCurves,
)
from keras_betavae.callbacks.metric import kl_and_information
from keras_betavae.datasets import FactorDataset, ImageDataset
from keras_betavae.evaluation.inspection import inspect, showcase
from keras_betavae.metrics import Score, _linear, beta_vae_score
from keras_betavae.objectives import Beta, Capacity, kl_per_latent
from keras_betavae.objectives.schedules import Linear
from tests.helpers import (
    EAGER,
    SHAPE,
    no_graphs,
    patterns,
    reused,
    tiny_networks,
    tiny_vae,
    weights_of,
)

N_IMAGES = 48  # Six batches of eight.

# For models of few steps: all images in one batch.
one_step = {"batch_size": N_IMAGES}
of_several_steps = {
    1: tiny_vae,
    4: partial(tiny_vae, compile={"steps_per_execution": 4, "jit_compile": False}),
}


def with_capacity():
    keras.utils.set_random_seed(0)
    objective = Capacity(10.0, 5.0, n_steps=10)
    vae = BetaVAE(**tiny_networks(latent_dim=2), objective=objective, seed=0)
    vae.compile("adam", jit_compile=False)
    return vae


@pytest.fixture(scope="module", autouse=True)
def few_steps_of_the_classifier():
    """What a score comes to does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_linear, "MAX_STEPS", 200)
        patch.setattr(_linear, "CHECK_EVERY", 100)
        yield


def bars():
    """Images of a bar whose place and brightness are the factors."""
    images = np.zeros((8, 6, *SHAPE), "uint8")
    for x in range(8):
        for y in range(6):
            images[x, y, :, x] = 40 * (y + 1)
    return FactorDataset(images.reshape(-1, *SHAPE), ("x", "y"), (8, 6))


def quick_score(factors, codes, *, seed):
    return beta_vae_score(
        factors, codes, protocol="locatello", n_pairs=8, n_train=200, n_test=200, seed=seed
    )


def metric(log_dir=None, scores=None, **options):
    scores = {"beta_vae_score": quick_score} if scores is None else scores
    scores = {name: Score(each, options=("seed",)) for name, each in scores.items()}
    return DisentanglementMetric(bars(), log_dir, scores=scores, n_images=100, **options)


def spread(factors, codes, *, seed):
    """A score that changes with every step."""
    return float(np.std(codes))


def fit(vae, callbacks, epochs=3, batch_size=8, **options):
    data = bars().to_tf_data(batch_size, seed=0)
    return vae.fit(data, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks, **options)


def read_events(folder):
    """Returns what TensorBoard finds in one run's folder: tag → [(step, value), ...]."""
    found = {}
    for path in sorted(Path(folder).glob("events.out.tfevents.*")):
        for event in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(event)
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, tf.make_ndarray(value.tensor)))
    return found


def scalars(events):
    return {
        tag: [(step, float(value)) for step, value in values]
        for tag, values in events.items()
        if values[0][1].ndim == 0
    }


# DisentanglementMetric.


def test_the_score_reaches_history_csv_checkpoints_and_early_stopping(tmp_path):
    worth = iter([0.95, 0.3, 0.9, 0.5, 0.4, 0.7])  # The first is of the untrained model.
    scores = {"beta_vae_score": lambda factors, codes, seed: next(worth)}
    history = fit(
        reused(),
        [
            metric(scores=scores),
            keras.callbacks.CSVLogger(tmp_path / "metrics.csv"),
            keras.callbacks.ModelCheckpoint(
                tmp_path / "best-{epoch}.keras",
                monitor="beta_vae_score",
                mode="max",
                save_best_only=True,
            ),
            keras.callbacks.EarlyStopping("beta_vae_score", mode="max", patience=2),
        ],
        epochs=5,
    )
    assert history.history["beta_vae_score"] == [0.3, 0.9, 0.5, 0.4]
    assert sorted(path.name for path in tmp_path.glob("*.keras")) == [
        "best-1.keras",
        "best-2.keras",
    ]
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = [float(row["beta_vae_score"]) for row in csv.DictReader(file)]
    assert rows == [0.3, 0.9, 0.5, 0.4]


def test_a_kl_without_information_is_told_once(monkeypatch):
    vae = reused()
    callback = metric(scores={"one": lambda factors, codes, seed: 1.0}, every_n_steps=1)
    callback.set_model(vae)
    rng = np.random.default_rng(0)

    def posteriors(spread):
        return lambda images: (
            rng.normal(scale=spread, size=(len(images), 2)),
            np.full((len(images), 2), -5.0),
        )

    monkeypatch.setattr(vae, "encode", posteriors(1.0))
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    monkeypatch.setattr(vae, "encode", posteriors(1e-3))
    vae.optimizer.iterations.assign_add(1)
    # Each latent has a KL of (e^-5 - 1 + 5) / 2 nats.
    with pytest.warns(UserWarning, match=r"KL is 4\.0 nats .* at most 0\.00 nats"):
        callback.on_train_batch_end(0)
    vae.optimizer.iterations.assign_add(1)
    callback.on_train_batch_end(1)  # Warnings are errors.


def test_the_bound_on_the_information_is_met_by_normal_codes():
    mean = np.random.default_rng(0).normal(size=(200_000, 3)) * [0.0, 1.0, 3.0]
    log_var = np.broadcast_to(np.log([0.5, 0.1, 2.0]), mean.shape)
    kl, information = kl_and_information(mean, log_var)
    assert information == pytest.approx(0.5 * np.log([11.0, 5.5]).sum(), abs=0.01)
    normal = tfp.distributions.MultivariateNormalDiag(mean, np.exp(log_var / 2))
    prior = tfp.distributions.MultivariateNormalDiag(np.zeros(3), np.ones(3))
    assert kl == pytest.approx(float(np.mean(normal.kl_divergence(prior))), rel=1e-9)


def test_the_score_is_that_of_the_model_as_it_is():
    vae = reused()
    history = fit(vae, [metric(seed=4)], epochs=2)
    expected = quick_score(*bars().encode_with(vae, n=100, seed=4), seed=4)
    assert history.history["beta_vae_score"][-1] == expected


def test_the_first_score_is_that_of_the_untrained_model(tmp_path):
    vae, data = reused(), bars()
    control = spread(*data.encode_with(vae, n=100, seed=4), seed=4)
    callback = metric(tmp_path, {"spread": spread}, every_n_epochs=2, seed=4)
    history = fit(vae, [callback], epochs=2).history
    events = scalars(read_events(tmp_path / "disentanglement"))["disentanglement/spread"]
    assert events[0] == (0, pytest.approx(control, rel=1e-6))
    assert [step for step, _ in events] == [0, 12]
    # It is of no epoch: `EarlyStopping` would take it for the best.
    trained = spread(*data.encode_with(vae, n=100, seed=4), seed=4)
    np.testing.assert_array_equal(history["spread"], [-np.inf, trained])


def test_no_epoch_before_the_first_score_is_the_best():
    stopping = keras.callbacks.EarlyStopping("mig_score", patience=9, mode="max")
    scores = ["mig_score", "total_correlation"]
    scored = DisentanglementMetric(bars(), None, scores=scores, every_n_epochs=2, n_images=100)
    history = fit(reused(), [scored, stopping], epochs=2).history
    assert history["mig_score"][0] == -np.inf
    assert history["total_correlation"][0] == np.inf
    assert stopping.best == history["mig_score"][1]


def test_several_optimizers_have_a_curve_each(tmp_path):
    vae = tiny_vae()
    rates = {"encoder": keras.optimizers.SGD(0.1, name="first")}
    several = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.2, name="other"), rates)
    )
    vae.compile(several)
    fit(vae, [LossCurves(tmp_path)], epochs=1)
    found = scalars(read_events(tmp_path / "loss"))
    assert found["optimizer/learning_rate_first"][0][1] == pytest.approx(0.1)
    assert found["optimizer/learning_rate_other"][0][1] == pytest.approx(0.2)


def test_by_default_it_is_the_score_of_the_paper_without_the_shape():
    vae, data = reused(), bars()
    data = FactorDataset(data.images_at(range(48)), ("shape", "x", "y"), (2, 4, 6), factors=None)
    history = fit(vae, [DisentanglementMetric(data, n_images=100)], epochs=1)
    factors, codes = data.encode_with(vae, n=100, seed=0)
    expected = beta_vae_score(factors[:, 1:], codes)
    assert history.history["beta_vae_score"] == [expected]


def test_custom_scores_share_one_encoding_and_get_the_seed():
    calls = []

    def one(factors, codes, *, seed):
        calls.append((factors, codes, seed))
        return 1.0

    def two(factors, codes, *, seed):
        calls.append((factors, codes, seed))
        return 2.0

    history = fit(reused(), [metric(scores={"one": one, "two": two}, seed=9)], epochs=1).history
    assert (history["one"], history["two"]) == ([1.0], [2.0])
    assert "beta_vae_score" not in history
    # One pair of calls for the untrained model, one for the epoch.
    assert len(calls) == 4
    for (factors, codes, seed), other in (calls[:2], calls[2:]):
        assert factors is other[0]
        assert codes is other[1]
        assert seed == other[2] == 9
        assert factors.shape == (48, 2)
        assert codes.shape == (48, 3)
    np.testing.assert_array_equal(calls[0][0], calls[2][0])
    assert np.any(calls[0][1] != calls[2][1])


def test_a_score_does_not_replace_a_term_of_the_loss_of_the_same_name():
    with pytest.raises(ValueError, match="the model logs kl_loss too; give the score another name"):
        fit(reused(), [metric(scores={"kl_loss": spread})], epochs=1)


@pytest.mark.parametrize(
    ("every", "steps"),
    [(2, [0, 12, 24]), (None, [0])],
)
def test_epochs_between_two_evaluations_carry_the_last_scores_on(tmp_path, every, steps):
    callback = metric(tmp_path, {"spread": spread}, every_n_epochs=every)
    history = fit(reused(), [callback], epochs=5).history
    events = scalars(read_events(tmp_path / "disentanglement"))
    written = dict(events["disentanglement/spread"])
    assert list(written) == steps
    written[0] = -np.inf
    carried = [written[max(s for s in steps if s <= 6 * e)] for e in range(1, 6)]
    np.testing.assert_allclose(history["spread"], carried, rtol=1e-6)


@pytest.mark.parametrize(
    ("steps_per_execution", "expected"),
    [
        pytest.param(1, [0, 4, 8, 12, 16], marks=pytest.mark.slow),
        (4, [0, 4, 10, 12, 16]),
    ],
)
def test_evaluations_by_steps_come_when_the_steps_are_done(tmp_path, steps_per_execution, expected):
    vae = reused(of_several_steps[steps_per_execution])
    scores = {"spread": spread}
    fit(vae, [metric(tmp_path, scores, every_n_epochs=None, every_n_steps=4)])
    events = scalars(read_events(tmp_path / "disentanglement"))
    steps, values = zip(*events["disentanglement/spread"], strict=True)
    assert list(steps) == expected
    assert len(set(values)) == 5


def test_a_second_fit_goes_on_counting(tmp_path):
    vae = reused()
    callback = metric(tmp_path, {"spread": spread}, every_n_steps=4)
    fit(vae, [callback], epochs=1)
    fit(vae, [callback], epochs=1)
    events = scalars(read_events(tmp_path / "disentanglement"))["disentanglement/spread"]
    # Step 6 ends the first fit and begins the second; step 12 is due by epochs and by steps.
    assert [step for step, _ in events] == [0, 4, 6, 6, 8, 12]
    assert events[2] == events[3]


# All of them together.


strays = pytest.mark.filterwarnings("ignore:by step .* from the capacity")


def everything(tmp_path):
    logs = tmp_path / "logs"
    return [
        LatentActivity(logs),
        metric(logs, every_n_steps=4),
        LatentTraversal(patterns(2, "uint8"), logs),
        LatentPictures(bars(), logs, every_n_epochs=3, images=patterns(2, "uint8"), n_images=20),
        LossCurves(logs),
        Checkpoint(tmp_path / "checkpoints"),
    ]


def watched(folder, callbacks):
    """What a training leaves: its history, its model's variables, and NumPy's random state."""
    vae = reused(with_capacity)
    drawn = [drawn_from(vae)] if callbacks else []
    board = keras.callbacks.TensorBoard(folder / "logs", write_graph=False)
    before = np.random.get_state()[1].copy()
    history = fit(vae, [board, *callbacks]).history
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    weights = [*weights_of(vae), vae.optimizer.iterations.numpy(), vae.sample(2).numpy()]
    drawn += [drawn_from(vae)] if callbacks else []
    return {"folder": folder / "logs", "history": history, "weights": weights, "drawn": drawn}


def drawn_from(vae):
    inspection = inspect(vae, bars(), n=20)
    return inspection, inspection.pictures(vae, patterns(2, "uint8"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return watched(tmp_path_factory.mktemp("plain"), [])


@pytest.fixture(scope="module")
def by_all(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    return watched(folder, everything(folder))


@strays
def test_callbacks_do_not_change_the_training(plain, by_all):
    for weight, other in zip(plain["weights"], by_all["weights"], strict=True):
        np.testing.assert_array_equal(weight, other)
    for name in plain["history"]:
        assert by_all["history"][name] == plain["history"][name]


@strays
def test_callbacks_leave_tensorboards_own_scalars_alone(plain, by_all):
    alone, together = (scalars(read_events(each["folder"] / "train")) for each in (plain, by_all))
    assert together == alone
    assert [step for step, _ in alone["epoch_loss"]] == [0, 1, 2]
    folders = sorted(path.name for path in by_all["folder"].iterdir())
    ours = ["disentanglement", "latents", "loss", "pictures", "traversal"]
    assert folders == sorted([*ours, "train"])


@strays
def test_tensorboard_finds_every_tag_at_its_true_step(by_all):
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    board = EventMultiplexer().AddRunsFromDirectory(str(by_all["folder"])).Reload()
    tags = {run: set(kinds["tensors"]) for run, kinds in board.Runs().items()}
    assert tags["disentanglement"] == {"disentanglement/beta_vae_score"}
    assert tags["traversal"] == {"traversal/0", "traversal/1"}
    assert tags["latents"] == {"kl/latents", "kl/active_latents"} | {
        f"kl/latent_{index}" for index in range(2)
    }
    assert {tag.split("/")[0] for tag in tags["pictures"]} == {"pictures", "posterior"}
    assert tags["loss"] == {
        "loss/loss",
        "loss/reconstruction",
        "loss/kl",
        "objective/capacity",
        "objective/capacity_distance",
        "optimizer/learning_rate",
    }
    for run, tag, steps in (
        ("latents", "kl/latents", [6, 12, 18]),
        ("loss", "loss/kl", [6, 12, 18]),
        ("pictures", "pictures/traversal", [0, 18]),
        ("traversal", "traversal/1", [0, 6, 12, 18]),
        # Every epoch of six steps, and every fourth step.
        ("disentanglement", "disentanglement/beta_vae_score", [0, 4, 6, 8, 12, 16, 18]),
    ):
        assert [event.step for event in board.Tensors(run, tag)] == steps


# LossCurves.


@pytest.mark.parametrize(
    ("steps_per_execution", "every", "steps"),
    [(4, 1, [6, 12, 18, 24]), (1, 2, [12, 24])],
)
def test_the_curves_are_those_of_the_history_at_the_true_steps(
    tmp_path, steps_per_execution, every, steps
):
    vae = reused(of_several_steps[steps_per_execution])
    own = {"score": spread}  # Which is in `logs`, too, and is no term of the loss.
    callbacks = [metric(scores=own), LossCurves(tmp_path, every_n_epochs=every)]
    history = fit(vae, callbacks, epochs=4).history
    events = scalars(read_events(tmp_path / "loss"))
    assert len(history["score"]) == 4
    for tag, name in (
        ("loss/loss", "loss"),
        ("loss/reconstruction", "reconstruction_loss"),
        ("loss/kl", "kl_loss"),
    ):
        values = history[name][every - 1 :: every]
        assert events.pop(tag) == [
            (step, pytest.approx(value, rel=1e-6))
            for step, value in zip(steps, values, strict=True)
        ]
    assert events.pop("optimizer/learning_rate") == [(s, pytest.approx(1e-3)) for s in steps]
    assert events == {}


def test_a_loaded_models_curves_go_on_at_its_step(tmp_path):
    vae = tiny_vae()
    with no_graphs():
        fit(vae, [LossCurves(tmp_path)], epochs=2, **one_step)
        vae.save(tmp_path / "vae.keras")
        loaded = keras.saving.load_model(tmp_path / "vae.keras")
        fit(loaded, [LossCurves(tmp_path)], epochs=1, **one_step)
    events = scalars(read_events(tmp_path / "loss"))
    assert [step for step, _ in events["loss/loss"]] == [1, 2, 3]


@strays
def test_the_objectives_own_terms_and_the_validations_have_curves_of_their_own(tmp_path):
    vae = reused(with_capacity)
    validation = bars().to_tf_data(8, seed=1)
    history = fit(vae, [LossCurves(tmp_path)], epochs=2, validation_data=validation).history
    events = scalars(read_events(tmp_path / "loss"))
    of_logs = {
        "loss/loss": "loss",
        "loss/reconstruction": "reconstruction_loss",
        "loss/kl": "kl_loss",
        "objective/capacity": "capacity",
        "objective/capacity_distance": "capacity_distance",
        "validation/loss": "val_loss",
        "validation/reconstruction": "val_reconstruction_loss",
        "validation/kl": "val_kl_loss",
        "validation/capacity": "val_capacity",
        "validation/capacity_distance": "val_capacity_distance",
    }
    assert set(events) == {*of_logs, "optimizer/learning_rate"}
    for tag, name in of_logs.items():
        np.testing.assert_allclose([value for _, value in events[tag]], history[name], rtol=1e-6)
        assert [step for step, _ in events[tag]] == [6, 12]


def test_a_models_own_terms_are_among_the_objectives(tmp_path):
    small = networks.discriminator(3, units=(8,))
    vae = FactorVAE(**tiny_networks(), objective=Beta(1.0), gamma=2.0, discriminator=small)
    vae.compile("adam", **EAGER)
    history = fit(vae, [LossCurves(tmp_path)], epochs=1, **one_step).history
    events = scalars(read_events(tmp_path / "loss"))
    for name in ("total_correlation_loss", "discriminator_loss"):
        assert events[f"objective/{name}"] == [(1, pytest.approx(history[name][0], rel=1e-6))]


def test_a_scheduled_learning_rate_is_that_of_the_step(tmp_path):
    rate = keras.optimizers.schedules.PolynomialDecay(1e-2, decay_steps=4, end_learning_rate=0.0)
    vae = tiny_vae(optimizer=keras.optimizers.SGD(rate), compile=EAGER)
    fit(vae, [LossCurves(tmp_path)], epochs=3, **one_step)
    events = scalars(read_events(tmp_path / "loss"))["optimizer/learning_rate"]
    assert events == [(step, pytest.approx(1e-2 * (1 - step / 4))) for step in (1, 2, 3)]


# LatentPictures.


def shown(picture):
    _, (_, _, png) = picture
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


@strays
def test_pictures_and_histograms_are_those_of_the_model_as_it_is(by_all):
    inspections, expected = zip(*by_all["drawn"], strict=True)
    events = read_events(by_all["folder"] / "pictures")
    names = {"traversal", "reconstructions", "samples", "interpolation", "histograms"}
    assert names < set(expected[0])
    for name in expected[0]:
        drawn = events.pop(f"pictures/{name}")
        assert [step for step, _ in drawn] == [0, 18]
        untrained, trained = map(shown, drawn)
        np.testing.assert_array_equal(untrained, expected[0][name])
        np.testing.assert_array_equal(trained, expected[1][name])
        # Training has changed what there is to see.
        assert trained.shape != untrained.shape or np.any(trained != untrained)
    assert set(events) == {f"posterior/latent_{latent}" for latent in range(2)}
    for step, inspection in zip((0, 18), inspections, strict=True):
        for latent in inspection.active:
            buckets = dict(events[f"posterior/latent_{latent}"])[step]
            codes = inspection.codes[:, latent]
            assert buckets[:, 2].sum() == len(codes) == 20
            assert buckets[0, 0] == pytest.approx(codes.min(), rel=1e-4)
            assert buckets[-1, 1] == pytest.approx(codes.max(), rel=1e-4)


def test_pictures_are_by_default_of_the_same_images_of_the_data(tmp_path):
    data = bars()
    np.testing.assert_array_equal(LatentPictures(data, tmp_path).images, showcase(data))


def test_images_without_factors_have_pictures_and_silent_latents_no_histogram(tmp_path):
    vae, data = frozen(), ImageDataset(bars().images_at(range(N_IMAGES)))
    for layer in vae.encoder.layers:
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    fit(vae, [LatentPictures(data, tmp_path, every_n_epochs=9)], epochs=1)
    tags = set(read_events(tmp_path / "pictures"))
    assert {"pictures/traversal", "pictures/posterior_pairs"} < tags
    assert "pictures/mutual_information" not in tags
    # The first stands in where none is active.
    assert {tag for tag in tags if tag.startswith("posterior")} == {"posterior/latent_0"}


# LatentTraversal.


def test_traversals_are_those_of_the_model_as_it_is(tmp_path):
    vae, images = reused(), patterns(2, "uint8")

    def grids():
        return [
            visualization.image_grid(visualization.traverse(vae, code, limit=2.0, n_steps=5))
            for code in np.asarray(vae.encode(images)[0])
        ]

    untrained = grids()
    fit(vae, [LatentTraversal(images, tmp_path, every_n_epochs=2, limit=2.0, n_steps=5)], epochs=5)
    at_the_end = grids()
    # Drawn once more by a second training, which begins where the first has ended.
    fit(vae, [LatentTraversal(images, tmp_path, every_n_epochs=2, limit=2.0, n_steps=5)], epochs=1)
    events = read_events(tmp_path / "traversal")
    assert sorted(events) == ["traversal/0", "traversal/1"]
    for index in range(2):
        drawn = events[f"traversal/{index}"]
        assert [step for step, _ in drawn] == [0, 12, 24, 30]
        for (_, (width, height, png)), expected in (
            (drawn[0], untrained[index]),
            (drawn[-1], at_the_end[index]),
        ):
            # Five steps and three latents of 8 pixels, and lines of 2 between them.
            assert (int(width), int(height)) == (5 * 10 + 2, 3 * 10 + 2)
            with Image.open(io.BytesIO(png)) as image:
                np.testing.assert_array_equal(np.asarray(image.convert("RGB")), expected)
        assert np.any(untrained[index] != at_the_end[index])


# LatentActivity.


def mean_kl(vae, images):
    return np.mean(kl_per_latent(vae.posterior(images), vae.prior), axis=0)


def frozen(objective=None, **options):
    """A model that does not move, so that an epoch's means can be known."""
    if objective is None:
        vae = reused()
        vae.optimizer.learning_rate = 0.0
        return vae
    return tiny_vae(objective, optimizer=keras.optimizers.SGD(0.0), **options)


@pytest.mark.parametrize("validate", [False, True], ids=["training alone", "with validation"])
def test_kl_of_each_latent_is_the_training_epochs_mean(tmp_path, validate):
    vae, data = frozen(), bars()
    expected = mean_kl(vae, data.images_at(np.arange(N_IMAGES)))
    options = {"validation_data": (255 * np.ones((8, *SHAPE), "uint8"),)} if validate else {}
    threshold = float(np.sort(expected)[:2].mean())
    history = fit(vae, [LatentActivity(tmp_path, threshold=threshold)], epochs=1, **options).history
    assert history["active_latents"] == [2]
    assert ("val_loss" in history) == validate
    events = read_events(tmp_path / "latents")
    for index, value in enumerate(expected):
        assert scalars(events)[f"kl/latent_{index}"] == [(6, pytest.approx(value, rel=1e-4))]
    assert scalars(events)["kl/active_latents"] == [(6, 2.0)]
    assert not any(tag.startswith("capacity") for tag in events)
    # The histogram's buckets (left, right, count) hold the same three numbers.
    ((_, buckets),) = events["kl/latents"]
    assert buckets[:, 2].sum() == 3
    assert buckets[0, 0] == pytest.approx(expected.min(), rel=1e-4)
    assert buckets[-1, 1] == pytest.approx(expected.max(), rel=1e-4)


def test_kl_is_of_this_epoch_alone(tmp_path):
    vae = reused()
    vae.optimizer.learning_rate = 1e-2
    history = fit(vae, [LatentActivity(tmp_path)], epochs=3).history
    events = scalars(read_events(tmp_path / "latents"))
    total = sum(np.array([value for _, value in events[f"kl/latent_{i}"]]) for i in range(3))
    np.testing.assert_allclose(total, history["kl_loss"], rtol=1e-4)


def test_a_warning_says_when_the_kl_strays_from_the_capacity_and_is_not_repeated():
    kl = mean_kl(frozen(None), bars().images_at(np.arange(N_IMAGES))).sum()
    near = frozen(Capacity(10.0, kl + 0.5, n_steps=1, min_capacity=kl + 0.5), compile=EAGER)
    fit(near, [LatentActivity()], epochs=2, **one_step)  # A warning would be an error.
    far = frozen(Capacity(10.0, kl + 3.0, n_steps=1, min_capacity=kl + 3.0), compile=EAGER)
    with pytest.warns(UserWarning, match=r"3\.0 nats from the capacity") as caught:
        fit(far, [LatentActivity()], epochs=3, **one_step)
    assert len([each for each in caught if "capacity" in str(each.message)]) == 1


def test_the_kl_may_stray_while_gamma_rises():
    kl = mean_kl(frozen(None), bars().images_at(np.arange(N_IMAGES))).sum()
    # Two steps an epoch: the third is the first that has the whole gamma from its start.
    far = Capacity(Linear(0.0, 10.0, 4), kl + 3.0, n_steps=4, min_capacity=kl + 3.0)
    vae, two_steps = frozen(far, compile=EAGER), {"batch_size": N_IMAGES // 2}
    fit(vae, [LatentActivity()], epochs=2, **two_steps)  # A warning would be an error.
    with pytest.warns(UserWarning, match=r"by step 6 .*3\.0 nats from the capacity"):
        fit(vae, [LatentActivity()], epochs=1, **two_steps)


class OwnStep(BetaVAE):
    """A user's model that reports what it likes."""

    def train_step(self, data):
        with tf.GradientTape() as tape:
            terms = self.compute_terms(data, training=True)
        gradients = tape.gradient(terms["loss"], self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": terms["loss"], "kl_loss": terms["kl_loss"]}


def test_a_model_with_a_train_step_of_its_own_has_the_curves_that_it_reports(tmp_path):
    vae = OwnStep(**tiny_networks(), seed=0)
    vae.compile("adam", **EAGER)
    callbacks = [LatentActivity(tmp_path), LossCurves(tmp_path)]
    with pytest.warns(UserWarning, match="LatentActivity has nothing to show"):
        history = fit(vae, callbacks, epochs=1, **one_step).history
    assert set(history) == {"loss", "kl_loss"}
    events = scalars(read_events(tmp_path / "loss"))
    assert set(events) == {"loss/loss", "loss/kl", "optimizer/learning_rate"}
    assert events["loss/kl"] == [(1, pytest.approx(history["kl_loss"][0], rel=1e-6))]
    assert not read_events(tmp_path / "latents")


def test_active_latents_are_logged_between_two_writings(tmp_path):
    callback = LatentActivity(tmp_path, every_n_epochs=3, threshold=-1.0)
    history = fit(reused(), [callback], epochs=7).history
    assert history["active_latents"] == [3] * 7
    assert [step for step, _ in read_events(tmp_path / "latents")["kl/latents"]] == [18, 36]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    history = fit(reused(), [metric(), LatentActivity()], epochs=1).history
    assert {"beta_vae_score", "active_latents"} <= set(history)
    assert list(tmp_path.iterdir()) == []


# Checkpoint.


def test_a_url_is_no_local_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = ImageDataset(patterns(8, dtype="uint8"))
    for make in (lambda url: Checkpoint(url), lambda url: LatentTable(data, f"{url}/latents.csv")):
        with pytest.raises(ValueError, match="must be of a local file or folder, got gs://bucket"):
            make("gs://bucket/run")
    opened, noop = [], tf.summary.create_noop_writer()
    monkeypatch.setattr(
        tf.summary, "create_file_writer", lambda folder: opened.append(folder) or noop
    )
    tiny_vae().fit(patterns(8), verbose=0, callbacks=[LossCurves("gs://bucket/run")])
    assert opened == ["gs://bucket/run/loss"]
    assert not list(tmp_path.iterdir())


def test_the_latest_checkpoints_stay(tmp_path):
    folders = {keep: tmp_path / "a" / str(keep) for keep in (2, 9)}
    fit(reused(), [Checkpoint(path, keep=keep) for keep, path in folders.items()], epochs=3)
    names = [f"step-{step:09d}.keras" for step in (6, 12, 18)]
    for keep, folder in folders.items():
        assert sorted(path.name for path in folder.iterdir()) == names[-keep:]
        assert Checkpoint.latest(folder).name == names[-1]


def test_copies_of_checkpoints_under_other_names_stay(tmp_path):
    copies = {"step-000000006-copy.keras", "step-best.keras"}
    for name in copies:
        (tmp_path / name).write_bytes(b"mine")
    fit(reused(), [Checkpoint(tmp_path, keep=1)], epochs=2)
    assert {path.name for path in tmp_path.iterdir()} == copies | {"step-000000012.keras"}


def test_a_checkpoint_is_the_whole_model(tmp_path):
    vae = reused(with_capacity)
    fit(vae, [Checkpoint(tmp_path)], epochs=2)
    loaded = keras.saving.load_model(Checkpoint.latest(tmp_path))
    assert int(loaded.step) == 12
    with no_graphs():
        histories = [fit(model, [], epochs=1, **one_step).history for model in (vae, loaded)]
    assert histories[0] == histories[1]
    for weight, other in zip(weights_of(vae), weights_of(loaded), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_the_latest_of_nothing_is_none(tmp_path):
    assert Checkpoint.latest(tmp_path) is None
    assert Checkpoint.latest(tmp_path / "absent") is None
    (tmp_path / "saving-0a1b2c3d-step-000000003.keras").write_bytes(b"half")
    (tmp_path / "notes.txt").write_bytes(b"")
    assert Checkpoint.latest(tmp_path) is None


def test_saving_that_dies_half_way_leaves_the_last_whole_one(tmp_path, monkeypatch):
    vae = tiny_vae()
    save = vae.save

    def die(path):
        if int(vae.step) < 2:
            return save(path)
        Path(path).write_bytes(b"half a file")
        raise OSError("No space left on device")

    monkeypatch.setattr(vae, "save", die)
    with no_graphs(), pytest.raises(OSError, match="No space left"):
        fit(vae, [Checkpoint(tmp_path, keep=1)], **one_step)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.keras"]
    loaded = keras.saving.load_model(Checkpoint.latest(tmp_path))
    assert int(loaded.step) == 1
    with no_graphs():
        fit(loaded, [Checkpoint(tmp_path, keep=1)], epochs=1, **one_step)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000002.keras"]


def test_what_a_killed_process_left_half_saved_is_removed(tmp_path):
    (tmp_path / "saving-0a1b2c3d-step-000000003.keras").write_bytes(b"half")
    (tmp_path / "saving-notes.txt").write_bytes(b"mine")
    fit(reused(), [Checkpoint(tmp_path)], epochs=1)
    names = ["saving-notes.txt", "step-000000006.keras"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_folder_with_later_checkpoints_is_refused(tmp_path):
    vae = reused()
    fit(vae, [Checkpoint(tmp_path)], epochs=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    fresh = tiny_vae()
    start = weights_of(fresh)
    with pytest.raises(FileExistsError, match=r"step-000000012\.keras is of a later step than 0,"):
        fit(fresh, [Checkpoint(tmp_path)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for weight, other in zip(start, weights_of(fresh), strict=True):
        np.testing.assert_array_equal(weight, other)
    older = keras.saving.load_model(tmp_path / "step-000000006.keras")
    with pytest.raises(FileExistsError, match="later step than 6,"):
        fit(older, [Checkpoint(tmp_path)])
    # The training that the latest is of may go on.
    fit(vae, [Checkpoint(tmp_path)], epochs=1)
    names = ["step-000000012.keras", "step-000000018.keras"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


# Bad input.


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: metric(every_n_epochs=0), "every_n_epochs must be at least 1, got 0"),
        (lambda: metric(every_n_steps=0), "every_n_steps must be at least 1, got 0"),
        (lambda: DisentanglementMetric(bars(), n_images=0), "n_images must be at least 1, got 0"),
        (lambda: LatentTraversal(patterns(1), "x", every_n_epochs=0), "every_n_epochs must be"),
        (lambda: LatentActivity(every_n_epochs=-1), "every_n_epochs must be at least 1, got -1"),
        (lambda: LossCurves("x", every_n_epochs=0), "every_n_epochs must be at least 1, got 0"),
        (lambda: LatentPictures(bars(), "x", every_n_epochs=0), "every_n_epochs must be at least"),
        (lambda: LatentPictures(bars(), "x", n_images=0), "n_images must be at least 1, got 0"),
        (lambda: LatentPictures(bars(), "x", images=patterns(1)), "images must be at least 2"),
        (lambda: Checkpoint("x", keep=0), "keep must be at least 1, got 0"),
    ],
)
def test_numbers_below_one_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
