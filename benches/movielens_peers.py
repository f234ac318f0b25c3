"""Test RMSE of a peer on MovieLens 100K's five folds, as a row of benches/movielens.sh's table.

usage: movielens_peers.py ML100K_FOLDER cmfrec|cmfrec_implicit|surprise_svd|surprise_svdpp|surprise_knn|myfm

Predictions are cut to 1 to 5; where a peer predicts no number, the mean stands in.
"""

import sys
import time

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


def cmfrec(train, test, **more):
    from cmfrec import CMF

    shape = (CUSTOMERS, MOVIES)
    matrix = scipy.sparse.coo_matrix((train.rating.astype(float), (train.customer, train.movie)), shape=shape)
    model = CMF(method="als", k=40, lambda_=0.05, niter=15, scale_lam=True, verbose=False, **more)
    return model.fit(matrix).predict(test.customer.to_numpy(), test.movie.to_numpy())


def cmfrec_implicit(train, test):
    return cmfrec(train, test, add_implicit_features=True, w_implicit=0.5)


def surprise(algorithm, train, test):
    from surprise import Dataset, Reader

    ratings = Dataset.load_from_df(train[["customer", "movie", "rating"]], Reader(rating_scale=(1, 5)))
    algorithm.fit(ratings.build_full_trainset())
    return np.array([algorithm.predict(customer, movie).est for customer, movie in zip(test.customer, test.movie)])


def surprise_svd(train, test):
    from surprise import SVD

    return surprise(SVD(random_state=1), train, test)


def surprise_svdpp(train, test):
    from surprise import SVDpp

    return surprise(SVDpp(random_state=1), train, test)


def surprise_knn(train, test):
    from surprise import KNNBaseline

    return surprise(KNNBaseline(verbose=False), train, test)


def myfm(train, test):
    import myfm as library

    def one_hot(ratings):
        rows = np.repeat(np.arange(len(ratings)), 2)
        columns = np.column_stack([ratings.customer, CUSTOMERS + ratings.movie]).ravel()
        shape = (len(ratings), CUSTOMERS + MOVIES)
        return scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)

    model = library.MyFMRegressor(rank=10, random_seed=1)
    groups = [CUSTOMERS, MOVIES]
    target = train.rating.to_numpy(float)
    model.fit(one_hot(train), target, n_iter=200, n_kept_samples=180, group_shapes=groups)
    return model.predict(one_hot(test))


errors, seconds = [], 0.0
for fold in range(1, 6):
    train, test = read(f"u{fold}.base"), read(f"u{fold}.test")
    started = time.time()
    predicted = globals()[peer](train, test)
    seconds += time.time() - started
    predicted = np.where(np.isfinite(predicted), predicted, train.rating.mean())
    errors.append(np.sqrt(np.mean((np.clip(predicted, 1, 5) - test.rating) ** 2)))
folds = " ".join(f"{error:.4f} |" for error in errors)
print(f"| {peer} | | {folds} **{np.mean(errors):.4f}** | {seconds:.1f} |", flush=True)
