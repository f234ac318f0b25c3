"""A search over a grid as people write it around a library, as a row of benches/evaluate.sh's table.

usage: evaluate_peers.py FOLDS RATINGS PEER     PEER is a key of SEARCHES

FOLDS is a file with customer, movie, rating and fold, in lines without a header. The time begins when the ratings are in memory.
"""

import os
import sys
import time

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, str(os.cpu_count()))

import numpy as np
import pandas as pd


def surprise_svd(ratings):
    """Surprise's own GridSearchCV, on all cores."""
    from surprise import SVD, Dataset, Reader
    from surprise.model_selection import GridSearchCV

    class Folds:
        def get_n_folds(self):
            return 3

        def split(self, data):
            raw = np.array(data.raw_ratings, dtype=object)
            for fold in (1, 2, 3):
                train = [tuple(row) for row in raw[ratings.fold.to_numpy() != fold]]
                test = [(row[0], row[1], row[2]) for row in raw[ratings.fold.to_numpy() == fold]]
                yield data.construct_trainset(train), test

    data = Dataset.load_from_df(ratings[["customer", "movie", "rating"]], Reader(rating_scale=(1, 5)))
    started = time.time()
    grid = {"n_factors": [20], "lr_all": [0.003, 0.005, 0.007], "reg_all": [0.02, 0.05, 0.08, 0.1], "random_state": [1]}
    search = GridSearchCV(SVD, grid, measures=["rmse"], cv=Folds(), n_jobs=-1, refit=False)
    search.fit(data)
    return time.time() - started, search.best_score["rmse"]


def cmfrec_als(ratings):
    """A loop over cmfrec's ALS with six sweeps, as ours has."""
    import scipy.sparse
    from cmfrec import CMF

    started = time.time()
    shape = (ratings.customer.max() + 1, ratings.movie.max() + 1)
    best = np.inf
    parts = []
    for fold in (1, 2, 3):
        train, test = ratings[ratings.fold != fold], ratings[ratings.fold == fold]
        matrix = scipy.sparse.coo_matrix((train.rating.astype(float), (train.customer, train.movie)), shape=shape)
        parts.append((matrix, test.customer.to_numpy(), test.movie.to_numpy(), test.rating.to_numpy(float), train.rating.mean()))
    for penalty in (0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2):
        errors = []
        for matrix, customers, movies, values, mean in parts:
            model = CMF(method="als", k=20, lambda_=penalty, niter=6, scale_lam=True, use_cg=False, verbose=False, precompute_for_predictions=False)
            predicted = model.fit(matrix).predict(customers, movies)
            predicted = np.where(np.isfinite(predicted), predicted, mean).clip(1, 5)
            errors.append(np.sqrt(np.mean((predicted - values) ** 2)))
        best = min(best, np.mean(errors))
    return time.time() - started, best


SEARCHES = {"surprise_svd": surprise_svd, "cmfrec_als": cmfrec_als}

folds, count, peer = sys.argv[1:]
columns = {"customer": np.int32, "movie": np.int32, "rating": np.int8, "fold": np.int8}
ratings = pd.read_csv(folds, sep=" ", header=None, names=list(columns), dtype=columns)
seconds, rmse = SEARCHES[peer](ratings)
print(f"| {count} | {peer} | {seconds:.1f} | {rmse:.4f} |", flush=True)
