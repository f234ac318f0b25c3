"""Writes truncated_svd.csv: the results of scikit-learn's TruncatedSVD for an artificial matrix of ratings.

    pip install scikit-learn==1.9.1 && python truncated_svd.py > truncated_svd.csv

Each rating is computed by a formula and rounded: six products of waves, each smaller than the one before, a trend and a little
noise. Only the starts of the algorithms are random. Two pairs in five have a rating. The mean of the ratings is subtracted; pairs
without a rating are zeros, as in any sparse matrix of scipy. There are two results: `exact` is that of ARPACK, to the last digit,
and `randomized` is that of seven power iterations.

The columns are: kind, row, column, value. A `reconstruction` is an entry of U Sigma V^T, a `component` is an entry of V^T; both
are those of ARPACK.
"""

import math

import numpy as np
import scipy.sparse
import sklearn
from sklearn.decomposition import TruncatedSVD

CUSTOMERS, MOVIES, COMPONENTS = 120, 80, 8


def rating(customer, movie):
    taste = sum(
        3.0 * 0.6**k * math.sin((k + 1) * 0.7 * customer + k) * math.cos((k + 1) * 0.9 * movie + 2 * k)
        for k in range(6)
    )
    trend = 0.8 * math.sin(movie / 9.0) + 0.5 * math.cos(customer / 17.0)
    noise = ((customer * 7919 + movie * 104729) % 101 - 50) / 100.0
    return min(5, max(1, round(3.4 + taste + trend + noise)))


def is_rated(customer, movie):
    return (customer * 31 + movie * 17 + customer * movie) % 5 < 2


pairs = [(c, m) for c in range(CUSTOMERS) for m in range(MOVIES) if is_rated(c, m)]
values = np.array([rating(c, m) for c, m in pairs], dtype=np.float64)
rows, columns = np.array(pairs).T
matrix = scipy.sparse.csr_matrix((values - values.mean(), (rows, columns)), shape=(CUSTOMERS, MOVIES))

print(f"# scikit-learn {sklearn.__version__}, by truncated_svd.py")
for (customer, movie), value in zip(pairs, values):
    print(f"rating,{customer},{movie},{int(value)}")
for name, svd in [
    ("exact", TruncatedSVD(COMPONENTS, algorithm="arpack", random_state=0)),
    ("randomized", TruncatedSVD(COMPONENTS, algorithm="randomized", n_iter=7, random_state=0)),
]:
    transformed = svd.fit_transform(matrix)
    for k in range(COMPONENTS):
        print(f"{name}_singular_value,{k},0,{float(svd.singular_values_[k])!r}")
        print(f"{name}_explained_variance,{k},0,{float(svd.explained_variance_[k])!r}")
        print(f"{name}_explained_variance_ratio,{k},0,{float(svd.explained_variance_ratio_[k])!r}")
    if name == "exact":
        whole = transformed @ svd.components_
        for customer in range(0, CUSTOMERS, 7):
            for movie in range(0, MOVIES, 3):
                print(f"reconstruction,{customer},{movie},{float(whole[customer, movie])!r}")
        for k in range(COMPONENTS):
            for movie in range(0, MOVIES, 9):
                print(f"component,{k},{movie},{float(svd.components_[k, movie])!r}")
