"""Trains cmfrec's ALS on a file of `customer movie rating` lines and measures its RMSE on another file.

usage: cmfrec_peer.py TRAIN TEST FACTORS SWEEPS LAMBDA THREADS cholesky|cg

Prints the seconds of training, without reading the files, and the RMSE of predictions limited to 1 to 5.
"""

import sys
import time

import numpy as np
import pandas as pd
import scipy.sparse
from cmfrec import CMF

train, test, factors, sweeps, weight, threads, solver = sys.argv[1:]


def read(path):
    types = {"customer": np.int32, "movie": np.int32, "rating": np.float32}
    return pd.read_csv(path, sep=" ", header=None, names=list(types), dtype=types)


known, asked = read(train), read(test)
shape = tuple(1 + max(known[side].max(), asked[side].max()) for side in ("customer", "movie"))
matrix = scipy.sparse.coo_matrix((known.rating, (known.customer, known.movie)), shape=shape)
model = CMF(
    method="als", k=int(factors), lambda_=float(weight), niter=int(sweeps), nthreads=int(threads),
    use_float=True, use_cg=solver == "cg", scale_lam=True, verbose=False,
)
started = time.time()
model.fit(matrix)
seconds = time.time() - started
predicted = np.clip(model.predict(asked.customer, asked.movie), 1, 5)
print(f"{seconds:.2f} {np.sqrt(np.mean((predicted - asked.rating) ** 2)):.4f}")
