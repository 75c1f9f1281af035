import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from keras_betavae import AdaGVAE
from keras_betavae.objectives import (
    Beta,
    BetaTC,
    Cascade,
    ControlledCapacity,
    Linear,
    SemiSupervised,
)
from tests.helpers import (
    EAGER,
    cost,
    gaussians,
    no_graphs,
    normal,
    patterns,
    tiny_networks,
    tiny_vae,
)

N_LATENTS = 3


def closed_form_kl(mean, std):
    return (0.5 * (mean**2 + std**2 - 1.0) - np.log(std)).mean(axis=0)


def test_groups_pay_by_their_age_and_the_first_latents_as_they_did():
    mean, std, posterior, prior = gaussians(batch=6, latent_dim=5)
    kl = closed_form_kl(mean, std)
    inner = BetaTC(beta=4.0, n_data=6)
    objective = Cascade(inner, [(10, 2), (20, 1)], beta=Linear(0.0, 2.0, n_steps=10))
    z = posterior.sample(seed=[0, 0])
    for step, (second, third) in {10: (0.0, 0.0), 15: (1.0, 0.0), 25: (2.0, 1.0)}.items():
        first = cost(inner, normal(mean[:, :2], std[:, :2]), normal(np.zeros(2), 1.0), z[:, :2])
        paid = second * kl[2:4].sum() + third * kl[4]
        found = cost(objective, posterior, prior, z, step=step)
        assert float(found.loss) == pytest.approx(float(first.loss) + paid, rel=1e-5)
        assert float(found.logs["open_latents"]) == 2 + 2 * (step >= 10) + (step >= 20)
        assert found.logs["total_correlation_loss"] == first.logs["total_correlation_loss"]


def test_the_advice_is_that_of_the_latents_whose_kl_is_held():
    logs = {"beta": 0.01, "capacity": 5.0, "capacity_distance": 3.0, "open_latents": 5.0}
    held = ControlledCapacity(5.0)
    advice = held.advice({**logs, "kl_loss": 2.0}, 100, 200)
    assert "KL 2.0, C 5.0" in advice
    found = {**logs, "kl_loss": 8.0, "kl_of_groups": 6.0}
    assert Cascade(held, [(10, 2)]).advice(found, 100, 200) == advice


def test_closed_latents_do_not_count_among_those_that_pairs_share():
    mean, std, *_ = gaussians(batch=8, latent_dim=4)
    shared = []
    for n, objective in ((4, Cascade(Beta(1.0), [(10, 1)])), (3, None)):
        vae = AdaGVAE(**tiny_networks(latent_dim=n), objective=objective)
        means, stds = mean[:, :n].copy(), std[:, :n].copy()
        means[:, 3:], stds[:, 3:] = 0.0, 1.0
        pair = (tfd.Normal(means[k : k + 4], stds[k : k + 4]) for k in (0, 4))
        shared.append(np.asarray(vae.shared_latents(*pair))[:, :3])
    np.testing.assert_array_equal(*shared)


def cascade(opens):
    """A model whose last latent opens at a step."""
    return tiny_vae(Cascade(Beta(0.1), [(opens, 1)]), optimizer="sgd", compile=EAGER)


@no_graphs()
def test_closed_latents_are_the_prior_and_0_to_the_decoder_until_they_open():
    vae = cascade(opens=2)
    images = patterns(16)
    z = np.random.default_rng(0).normal(size=(4, N_LATENTS)).astype("float32")

    def last_weights():
        heads = [layer.get_weights() for layer in vae.encoder.layers[-2:]]
        return np.concatenate([np.ravel(w[..., -1]) for head in heads for w in head])

    fresh = last_weights()
    vae.fit(images, batch_size=8, verbose=0)
    mean, log_var = map(np.asarray, vae.encode(images))
    assert int(vae.step) == 2
    # Two steps are done, so that the next one sees all latents open.
    assert np.any(mean[:, -1] != 0.0)
    np.testing.assert_array_equal(last_weights(), fresh)

    closed = cascade(opens=2)
    mean, log_var = map(np.asarray, closed.encode(images))
    assert not mean[:, -1].any()
    assert not log_var[:, -1].any()
    assert mean[:, 0].any()
    moved = z + np.float32([0.0, 0.0, 5.0])
    np.testing.assert_array_equal(closed.decode(z), closed.decode(moved))
    assert np.any(vae.decode(z) != vae.decode(moved))
    vae.fit(images, batch_size=16, verbose=0)
    assert np.any(last_weights() != fresh)


@no_graphs()
def test_a_saved_model_knows_which_latents_are_open(tmp_path):
    vae = cascade(opens=3)
    images, path = patterns(16), tmp_path / "half.keras"
    vae.fit(images, batch_size=8, verbose=0)
    vae.save(path)
    loaded = keras.saving.load_model(path)
    for model in (vae, loaded):
        assert not np.any(model.encode(images)[0][:, -1])
        model.fit(images, batch_size=8, shuffle=False, verbose=0)
        assert np.any(model.encode(images)[0][:, -1])
    np.testing.assert_array_equal(vae.encode(images)[0], loaded.encode(images)[0])


def test_an_exported_model_has_the_latents_that_were_open(tmp_path):
    vae = cascade(opens=2)
    images = patterns(16)
    for name in ("closed", "open"):
        vae.export(tmp_path / name, verbose=False)
        served = tf.saved_model.load(str(tmp_path / name))
        mean = served.signatures["encode"](x=tf.constant(images))["mean"]
        assert np.any(mean[:, -1]) == (name == "open")
        np.testing.assert_allclose(mean, vae.encode(images)[0], rtol=1e-5, atol=1e-6)
        if name == "closed":
            vae.fit(images, batch_size=8, verbose=0)


def test_what_it_wraps_keeps_its_say():
    objective = Cascade(SemiSupervised(BetaTC(n_data=9), (3,)), [(5, 1)])
    assert objective.n_labels == 1
    assert not objective.fits_data(1_000)
    assert objective.for_data(1_000).fits_data(1_000)
    assert not objective.labels_are_sound(tf.constant([[7.0]]))
    assert "supervised_loss" in objective.log_names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": 4.0}, "objective must be an Objective"),
        ({"opening": []}, "opening must hold groups in the order"),
        ({"opening": [(5, 1), (5, 1)]}, "opening must hold groups in the order"),
        ({"opening": [(5, 0)]}, "size must be a whole number"),
        ({"opening": [(0, 1)]}, "step must be a whole number"),
        ({"beta": -1.0}, "beta must be a finite number"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Cascade(**{"objective": Beta(1.0), "opening": [(5, 1)], **arguments})


def test_a_model_needs_a_latent_that_is_open_from_the_start():
    with pytest.raises(ValueError, match="leaves no latent open at the start"):
        tiny_vae(Cascade(Beta(1.0), [(5, N_LATENTS)]))
