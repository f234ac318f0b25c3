"""Test RMSE of a peer on MovieLens 100K's five folds, as rows of benches/movielens.sh's table.

usage: movielens_peers.py ML100K_FOLDER PEER     PEER is a key of CHOICES

The first row is with the defaults of the peer's documentation. If there are other choices, there is a second row: each fold holds out
a fifth of its training ratings and uses the choice with the lowest RMSE on them. Predictions are limited to 1 to 5. If a peer's
prediction is not a number, the mean is used instead.
"""

import os
import sys
import time

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "2")

import numpy as np
import pandas as pd
import scipy.sparse

CUSTOMERS, MOVIES = 943, 1682
folder, peer = sys.argv[1:]


def read(name):
    columns = ["customer", "movie", "rating", "seconds"]
    ratings = pd.read_csv(f"{folder}/{name}", sep="\t", header=None, names=columns)
    ratings[["customer", "movie"]] -= 1
    return ratings


def cmfrec(train, test, k=40, lambda_=0.05, **more):
    from cmfrec import CMF

    shape = (CUSTOMERS, MOVIES)
    matrix = scipy.sparse.coo_matrix((train.rating.astype(float), (train.customer, train.movie)), shape=shape)
    model = CMF(method="als", k=k, lambda_=lambda_, niter=15, scale_lam=True, verbose=False, **more)
    return model.fit(matrix).predict(test.customer.to_numpy(), test.movie.to_numpy())


def cmfrec_implicit(train, test, **more):
    return cmfrec(train, test, add_implicit_features=True, w_implicit=0.5, **more)


def surprise(algorithm, train, test):
    from surprise import Dataset, Reader

    ratings = Dataset.load_from_df(train[["customer", "movie", "rating"]], Reader(rating_scale=(1, 5)))
    algorithm.fit(ratings.build_full_trainset())
    return np.array([algorithm.predict(customer, movie).est for customer, movie in zip(test.customer, test.movie)])


def surprise_svd(train, test, **more):
    from surprise import SVD

    return surprise(SVD(random_state=1, **more), train, test)


def surprise_svdpp(train, test):
    from surprise import SVDpp

    return surprise(SVDpp(random_state=1), train, test)


def surprise_knn(train, test):
    from surprise import KNNBaseline

    return surprise(KNNBaseline(verbose=False), train, test)


def one_hot(numbers, size):
    return scipy.sparse.csr_matrix((np.ones(len(numbers)), (np.arange(len(numbers)), numbers)), shape=(len(numbers), size))


def links(rows, columns, shape):
    """A row of links for each customer, or each movie: 1 / sqrt(n) for each of the n on the other side."""
    counts = np.bincount(rows, minlength=shape[0])
    return scipy.sparse.csr_matrix((1 / np.sqrt(counts[rows]), (rows, columns)), shape=shape)


def sides(train):
    of_customers = links(train.customer.to_numpy(), train.movie.to_numpy(), (CUSTOMERS, MOVIES))
    return of_customers, links(train.movie.to_numpy(), train.customer.to_numpy(), (MOVIES, CUSTOMERS))


def myfm(train, test):
    import myfm as library

    def ids(ratings):
        return scipy.sparse.hstack([one_hot(ratings.customer, CUSTOMERS), one_hot(ratings.movie, MOVIES)], format="csr")

    model = library.MyFMRegressor(rank=10, random_seed=1)
    groups = [CUSTOMERS, MOVIES]
    model.fit(ids(train), train.rating.to_numpy(float), n_iter=200, n_kept_samples=180, group_shapes=groups)
    return model.predict(ids(test))


def myfm_links(train, test, rank=10):
    """With ids and links of both sides, in relation blocks, as in the library's own benchmark of SVD++."""
    import myfm as library

    blocks = [scipy.sparse.hstack([scipy.sparse.identity(len(rows.indptr) - 1), rows], format="csr") for rows in sides(train)]

    def related(ratings):
        return [library.RelationBlock(ids.to_numpy(), block) for ids, block in zip((ratings.customer, ratings.movie), blocks)]

    def nothing(ratings):
        return scipy.sparse.csr_matrix((len(ratings), 0))

    model = library.MyFMRegressor(rank=rank, random_seed=1)
    groups = [CUSTOMERS, MOVIES, MOVIES, CUSTOMERS]
    target = train.rating.to_numpy(float)
    model.fit(nothing(train), target, X_rel=related(train), n_iter=512, n_kept_samples=460, group_shapes=groups)
    return model.predict(nothing(test), related(test))


def smurff_links(train, test, rank=10):
    """Macau, with links as the side information of customers and of movies."""
    import smurff

    session = smurff.TrainSession(priors=["macau", "macau"], num_latent=rank, burnin=51, nsamples=461, seed=1, num_threads=1, verbose=0)
    mean = train.rating.mean()

    def matrix(ratings):
        return scipy.sparse.coo_matrix((ratings.rating - mean, (ratings.customer, ratings.movie)), shape=(CUSTOMERS, MOVIES))

    session.addTrainAndTest(matrix(train), matrix(test), smurff.FixedNoise(1.5))
    for side, rows in enumerate(sides(train)):
        session.addSideInfo(side, rows.tocoo(), smurff.SampledNoise(10.0), direct=False)
    predicted = {tuple(each.coords): each.pred_avg for each in session.run()}
    return mean + np.array([predicted[pair] for pair in zip(test.customer, test.movie)])


# The parameters to try for each peer. The first are its defaults.
CHOICES = {
    "cmfrec": [{}, {"lambda_": 0.08}, {"lambda_": 0.1}, {"k": 10, "lambda_": 0.08}, {"k": 10, "lambda_": 0.1}],
    "cmfrec_implicit": [{}, {"lambda_": 0.08}, {"lambda_": 0.1}, {"k": 10, "lambda_": 0.08}, {"k": 10, "lambda_": 0.1}],
    "surprise_svd": [{}, {"reg_all": 0.05}, {"reg_all": 0.1}, {"n_epochs": 40, "reg_all": 0.1}],
    "surprise_svdpp": [{}],
    "surprise_knn": [{}],
    "myfm": [{}],
    "myfm_links": [{}],
    "smurff_links": [{}],
}


def error(train, test, choice):
    predicted = globals()[peer](train, test, **choice)
    predicted = np.where(np.isfinite(predicted), predicted, train.rating.mean())
    return np.sqrt(np.mean((np.clip(predicted, 1, 5) - test.rating) ** 2))


def chosen(train):
    is_held = np.random.default_rng(1).random(len(train)) < 0.2
    held, rest = train[is_held], train[~is_held]
    return min(CHOICES[peer], key=lambda choice: error(rest, held, choice))


folds = [(read(f"u{fold}.base"), read(f"u{fold}.test")) for fold in range(1, 6)]
for name, choose in [("defaults", lambda train: {}), ("chosen in each fold", chosen)]:
    if choose is chosen and len(CHOICES[peer]) == 1:
        continue
    started = time.time()
    errors = [error(train, test, choose(train)) for train, test in folds]
    columns = " ".join(f"{each:.4f} |" for each in errors)
    print(f"| {peer}, {name} | | {columns} **{np.mean(errors):.4f}** | {time.time() - started:.1f} |", flush=True)
