"""Compares the speed of the scores with plain implementations that encode what they draw.

Trains a conv model for a minute, encodes 20,000 images of the sprites grid once, and times
each score of the group "fast" from those codes (median of five). The next column is the same
score written plainly from its description: a loop over points, codes and values, with a
call of the encoder for each batch of 64 images (once). The last column is the difference
of the values. Scores that draw new images are samples: for them the mean of ours
over five seeds is compared with a plain value of 20,000 more test points, which are not
timed, and the standard error of the test points is printed. A quarter of an hour on 2
cores:

    python benchmarks/scores.py
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_betavae as kbv

import keras
import numpy as np
import scipy.linalg
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.svm import LinearSVC

N_IMAGES = 20_000
N_TRAIN, N_TEST = 10_000, 5_000
N_MORE = 20_000
N_RUNS = 5
TRAINING_STEPS = 800
EPOCHS_BETWEEN_CHECKS = 100
BATCH = 64


def trained_model(data):
    """Returns the conv model of Locatello et al. after some training."""
    keras.utils.set_random_seed(0)
    vae = kbv.BetaVAE.from_preset(
        "locatello_beta",
        input_shape=data.image_shape,
        objective=kbv.objectives.Beta(8.0),
        optimizer=keras.optimizers.Adam(1e-3),
        seed=0,
    )
    vae.fit(data.to_tf_data(128, seed=0, repeat=True), steps_per_epoch=TRAINING_STEPS, verbose=0)
    return vae


class Plain:
    """The scores, each written out from its description."""

    def __init__(self, data, vae, indices):
        self.data = data
        self.encoder = tf.function(lambda images: vae.encode(images)[0], reduce_retracing=True)
        self.indices = indices
        self.rng = np.random.default_rng(1)
        self.drawn_points = {}
        self.untimed = 0.0
        self.encode(indices[:BATCH])

    def encode(self, indices):
        """Encodes images, a batch of 64 at a time."""
        batches = [indices[start : start + BATCH] for start in range(0, len(indices), BATCH)]
        return np.concatenate([self.encoder(self.data.images_at(b)).numpy() for b in batches])

    def drawn(self, n):
        """Encodes the first n of the images that the library's scores draw from."""
        return self.data.factors_at(self.indices[:n]), self.encode(self.indices[:n]).astype(float)

    def split(self):
        """Encodes the training and test samples of the library's draw with seed 0."""
        order = self.indices[np.random.default_rng(0).permutation(len(self.indices))]
        order = order[: N_TRAIN + N_TEST]
        factors, codes = self.data.factors_at(order), self.encode(order).astype(float)
        return factors[:N_TRAIN], codes[:N_TRAIN], factors[N_TRAIN:], codes[N_TRAIN:]

    def fresh(self, k, n):
        """Draws n images that share a value of factor k; encodes them."""
        factors = self.rng.integers(self.data.factor_sizes, size=(n, len(self.data.factor_sizes)))
        factors[:, k] = factors[0, k]
        return self.encode(self.data.index_of(factors))

    def points(self, used):
        """Draws z_diff and labels, or gives those that another protocol has drawn."""
        if tuple(used) not in self.drawn_points:
            points, seconds = timed(lambda: self.draw_points(used, N_TRAIN + N_TEST))
            more, self.untimed = timed(lambda: self.draw_points(used, N_MORE))
            both = [np.concatenate(pair) for pair in zip(points, more, strict=True)]
            self.drawn_points[tuple(used)] = both, seconds
        else:
            both, seconds = self.drawn_points[tuple(used)]
            self.untimed = -seconds
        x, y = both
        return x[:N_TRAIN], y[:N_TRAIN], x[N_TRAIN:], y[N_TRAIN:]

    def draw_points(self, used, n):
        """Draws z_diff and labels, a point at a time."""
        z_diff, labels = [], []
        for _ in range(n):
            label = self.rng.integers(len(used))
            sizes = np.array(self.data.factor_sizes)
            first, second = self.rng.integers(sizes, size=(2, BATCH, len(sizes)))
            second[:, used[label]] = first[:, used[label]]
            codes = [self.encode(self.data.index_of(factors)) for factors in (first, second)]
            z_diff.append(np.abs(codes[0] - codes[1]).mean(axis=0))
            labels.append(label)
        return np.array(z_diff), np.array(labels)

    def beta_vae_score(self):
        """Points of four factors, a softmax by Keras's Adagrad."""
        x, y, x_test, y_test = self.points([1, 2, 3, 4])
        softmax = keras.Sequential(
            [
                keras.Input((x.shape[1],)),
                keras.layers.Dense(4, "softmax", kernel_initializer="zeros"),
            ]
        )
        softmax.compile(
            keras.optimizers.Adagrad(1e-2, initial_accumulator_value=0.0),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        best = 0.0
        for _ in range(5):
            softmax.fit(x, y, batch_size=100, epochs=EPOCHS_BETWEEN_CHECKS, verbose=0)
            accuracy = softmax.evaluate(x, y, verbose=0)[1]
            if accuracy < best + 1e-3:
                break
            best = max(best, accuracy)
        return softmax.evaluate(x_test, y_test, verbose=0)[1]

    def beta_vae_score_locatello(self):
        """Points of all factors, scikit-learn's logistic regression."""
        x, y, x_test, y_test = self.points([0, 1, 2, 3, 4])
        return LogisticRegression().fit(x, y).score(x_test, y_test)

    def beta_vae_score_scale_free(self):
        """Points of all factors, standardized, without regularization."""
        x, y, x_test, y_test = self.points([0, 1, 2, 3, 4])
        mean, std = x.mean(axis=0), x.std(axis=0)
        classifier = LogisticRegression(C=np.inf).fit((x - mean) / std, y)
        return classifier.score((x_test - mean) / std, y_test)

    def factor_vae_score(self):
        """A vote at a time."""
        variances = self.drawn(N_TRAIN)[1].var(axis=0, ddof=1)
        active = np.flatnonzero(np.sqrt(variances) >= 0.05)
        if not len(active):
            return 0.0

        def draw_votes(n):
            votes = []
            for _ in range(n):
                k = self.rng.integers(len(self.data.factor_sizes))
                local = self.fresh(k, BATCH).var(axis=0, ddof=1)
                votes.append((active[np.argmin((local / variances)[active])], k))
            return votes

        votes = draw_votes(N_TRAIN + N_TEST)
        more, self.untimed = timed(lambda: draw_votes(N_MORE))
        votes += more
        factor_of = {}
        for d in active:
            voted = [k for code, k in votes[:N_TRAIN] if code == d]
            factor_of[d] = max(set(voted), key=voted.count) if voted else 0
        return np.mean([factor_of[d] == k for d, k in votes[N_TRAIN:]])

    def information(self):
        """Returns binned codes, factors, information and entropies, a pair at a time."""
        order = np.random.default_rng(0).permutation(len(self.indices))[:10_000]
        factors = self.data.factors_at(self.indices[order])
        codes = self.encode(self.indices[order]).astype(float)
        bins = [np.digitize(z, np.histogram(z, 20)[1][:-1]) for z in codes.T]
        information = np.array([[mutual_info_score(y, b) for y in factors.T] for b in bins])
        return bins, factors, information, [mutual_info_score(y, y) for y in factors.T]

    def mig_score(self):
        """The gap of the two largest, a factor at a time."""
        _, _, information, entropies = self.information()
        ranked = [sorted(column) for column in information.T]
        return np.mean([(r[-1] - r[-2]) / h for r, h in zip(ranked, entropies, strict=True)])

    def mig_sup_score(self):
        """The gap of the two largest shares, a code at a time."""
        _, _, information, entropies = self.information()
        ranked = [sorted(row / np.array(entropies)) for row in information]
        return np.mean([r[-1] - r[-2] for r in ranked])

    def dcimig_score(self):
        """The best gap of the codes of each factor."""
        _, _, information, entropies = self.information()
        gaps = [0.0] * len(entropies)
        for row in information:
            k = int(np.argmax(row))
            gaps[k] = max(gaps[k], sorted(row)[-1] - sorted(row)[-2])
        return sum(gaps) / sum(entropies)

    def jemmig_score(self):
        """Joint entropies by counting."""
        bins, factors, information, entropies = self.information()
        total = 0.0
        for k, entropy in enumerate(entropies):
            column = information[:, k]
            cells = np.unique(np.stack([bins[np.argmax(column)], factors[:, k]]), axis=1,
                              return_counts=True)[1] / len(factors)  # fmt: skip
            first, second = sorted(column)[-1], sorted(column)[-2]
            jemmig = -(cells * np.log(cells)).sum() - first + second
            total += 1 - jemmig / (entropy + np.log(20))
        return total / len(entropies)

    def modularity_score(self):
        """A code at a time."""
        information = self.information()[2]
        deviations = [
            (np.sum(row**2) - np.max(row) ** 2) / (np.max(row) ** 2 * (len(row) - 1))
            for row in information
        ]
        return np.mean([1 - deviation for deviation in deviations])

    def explicitness_score(self):
        """A value at a time."""
        y, x, y_test, x_test = self.split()
        mean, std = x.mean(axis=0), x.std(axis=0)
        x, x_test = (x - mean) / std, (x_test - mean) / std
        areas = []
        for k in range(y.shape[1]):
            model = LogisticRegression().fit(x, y[:, k])
            p = model.predict_proba(x_test)
            values = [
                roc_auc_score(y_test[:, k] == value, p[:, column])
                for column, value in enumerate(model.classes_)
            ]
            areas.append(np.mean(values))
        return np.mean(areas)

    def sap_score(self):
        """A code and a factor at a time."""
        y, x, y_test, x_test = self.split()
        gaps = []
        for k in range(y.shape[1]):
            accuracies = []
            for j in range(x.shape[1]):
                machine = LinearSVC(C=0.01, class_weight="balanced", dual=False)
                machine.fit(x[:, [j]], y[:, k])
                accuracies.append(machine.score(x_test[:, [j]], y_test[:, k]))
            gaps.append(sorted(accuracies)[-1] - sorted(accuracies)[-2])
        return np.mean(gaps)

    def irs_score(self):
        """A value at a time."""
        order = np.random.default_rng(0).permutation(len(self.indices))[:10_000]
        factors = self.data.factors_at(self.indices[order])
        codes = self.encode(self.indices[order]).astype(float)
        largest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
        table = []
        for y in factors.T:
            bins = np.digitize(y, np.histogram(y, 20)[1][:-1])
            moved = []
            for value in np.unique(bins):
                group = codes[bins == value]
                moved.append(np.quantile(np.abs(group - group.mean(axis=0)), 0.99, axis=0))
            table.append(1 - np.mean(moved, axis=0) / largest)
        return np.average(np.max(table, axis=0), weights=largest)

    def total_correlation(self):
        """By the determinant."""
        covariance = np.cov(self.drawn(N_IMAGES)[1].T)
        return 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])

    def wasserstein_correlation(self):
        """By the matrix square root."""
        covariance = np.cov(self.drawn(N_IMAGES)[1].T)
        root = scipy.linalg.sqrtm(covariance * np.diag(covariance)[:, None])
        return 2 * np.trace(covariance) - 2 * np.trace(root).real

    def wasserstein_correlation_normalized(self):
        """By the matrix square root."""
        codes = self.drawn(N_IMAGES)[1]
        return self.wasserstein_correlation() / np.trace(np.cov(codes.T))

    def pairwise_mutual_information(self):
        """A pair at a time."""
        bins = self.information()[0]
        pairs = [(a, b) for i, a in enumerate(bins) for j, b in enumerate(bins) if i != j]
        return np.mean([mutual_info_score(a, b) for a, b in pairs])

    def active_units(self):
        """A code at a time."""
        return sum(z.var() > 0.01 for z in self.drawn(N_IMAGES)[1].T)


def timed(function):
    """Returns what a function returns, and the seconds that it took."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def main():
    """Prints the tables."""
    data = kbv.datasets.load_sprites()
    vae = trained_model(data)
    data.encode_with(vae, 1_000, seed=1)
    (factors, codes), encoding = timed(lambda: data.encode_with(vae, N_IMAGES, seed=0))
    plain = Plain(data, vae, data.sample_indices(N_IMAGES, seed=0, distinct=True))
    names = [n for n, s in kbv.metrics.SCORES.items() if s.group == "fast" and hasattr(Plain, n)]

    def ours(scores, seed=0):
        return kbv.evaluation.evaluate_codes(
            factors, codes, scores=scores, seed=seed, factor_names=data.factor_names
        )

    together = np.median([timed(lambda: ours("fast"))[1] for _ in range(N_RUNS)])
    print(f"{N_IMAGES:,} images, {codes.shape[1]} codes, factors of sizes {data.factor_sizes}")
    print(f"encoding once: {encoding:.2f} s; all fast scores from the codes: {together:.2f} s\n")
    print(f"| {'score':<34} | ours, s | plain, s | ratio | ours   | plain  | difference      |")
    print(f"| {'-' * 34} | ------: | -------: | ----: | -----: | -----: | --------------: |")
    for name in names:
        runs = [timed(lambda name=name, seed=s: ours([name], seed)[name]) for s in range(N_RUNS)]
        value, seconds = runs[0][0], np.median([run[1] for run in runs])
        plain.untimed = 0.0
        expected, plain_seconds = timed(getattr(plain, name))
        plain_seconds -= plain.untimed
        if name.startswith(("beta", "factor")):
            value = np.mean([run[0] for run in runs])
            variance = max(value * (1 - value), 1e-4)
            error = np.sqrt(variance / (N_RUNS * N_TEST) + variance / (N_TEST + N_MORE))
            difference = f"{abs(value - expected):.4f} ± {error:.4f}"
        else:
            difference = f"{abs(value - expected):.1e}"
        ratio = plain_seconds / seconds
        print(
            f"| {name:<34} | {seconds:>7.3f} | {plain_seconds:>8.2f} | {ratio:>5.0f} "
            f"| {value:>6.3f} | {expected:>6.3f} | {difference:>15} |",
            flush=True,
        )
        if name == "beta_vae_score":
            whole = plain_seconds / (encoding + seconds)
    print(f"\nbeta_vae_score with the encoding of {N_IMAGES:,} images: {whole:.0f} times faster")


if __name__ == "__main__":
    main()
