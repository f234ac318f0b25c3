"""Measures a graph by another program: prints seconds and a number that tells whether the answer is the same.

usage: graph_peers.py EDGES PEER MEASURE     PEER is networkx, igraph or networkit

EDGES is a file with two ids and a weight in each line. The time begins when the graph is in memory, in the program's own form. Prints
nothing if the program does not have the measure.
"""

import sys
import time

import numpy as np

path, peer, measure = sys.argv[1:]
edges = np.loadtxt(path)
ids, ends = np.unique(edges[:, :2].astype(np.int64), return_inverse=True)
ends, weights = ends.reshape(-1, 2), edges[:, 2]
SAMPLES = 1024


def networkx():
    import networkx as nx

    graph = nx.Graph()
    graph.add_weighted_edges_from(zip(ends[:, 0].tolist(), ends[:, 1].tolist(), weights.tolist()))

    def best(partition):
        return nx.community.modularity(graph, partition)

    return {
        "pagerank": (lambda: nx.pagerank(graph), lambda ranks: max(ranks.values())),
        "components": (lambda: list(nx.connected_components(graph)), len),
        "core_number": (lambda: nx.core_number(graph), lambda cores: max(cores.values())),
        "clustering": (lambda: nx.clustering(graph), lambda values: np.mean(list(values.values()))),
        "closeness": (lambda: nx.closeness_centrality(graph), lambda values: max(values.values())),
        "eigenvector": (lambda: nx.eigenvector_centrality(graph), lambda values: max(values.values())),
        "louvain": (lambda: nx.community.louvain_communities(graph, seed=42), best),
        "label_propagation": (lambda: list(nx.community.label_propagation_communities(graph)), best),
        "betweenness_1024": (lambda: nx.betweenness_centrality(graph, k=SAMPLES, seed=42), lambda values: max(values.values())),
        "betweenness": (lambda: nx.betweenness_centrality(graph), lambda values: max(values.values())),
    }


def igraph():
    import igraph as ig

    graph = ig.Graph(n=len(ids), edges=ends.tolist(), edge_attrs={"weight": weights.tolist()})
    pairs = (len(ids) - 1) * (len(ids) - 2) / 2

    def best(clustering):
        return graph.modularity(clustering, weights="weight")

    return {
        "pagerank": (lambda: graph.pagerank(weights="weight"), max),
        "components": (lambda: graph.connected_components(), len),
        "core_number": (lambda: graph.coreness(), max),
        "clustering": (lambda: graph.transitivity_local_undirected(mode="zero"), np.mean),
        "closeness": (lambda: graph.closeness(), max),
        "eigenvector": (lambda: graph.eigenvector_centrality(scale=False), max),
        "leiden": (lambda: graph.community_leiden("modularity", weights="weight", n_iterations=-1), best),
        "louvain": (lambda: graph.community_multilevel(weights="weight"), best),
        "label_propagation": (lambda: graph.community_label_propagation(weights="weight"), best),
        "betweenness": (lambda: graph.betweenness(), lambda values: max(values) / pairs),
    }


def networkit():
    import networkit as nk

    graph = nk.Graph(len(ids), weighted=True)
    for (one, other), weight in zip(ends.tolist(), weights.tolist()):
        graph.addEdge(one, other, weight)
    plain = nk.graphtools.toUnweighted(graph)

    def scores(algorithm):
        return (lambda: algorithm.run(), lambda run: max(run.scores()))

    def best(algorithm):
        return (lambda: algorithm.run(), lambda run: nk.community.Modularity().getQuality(run.getPartition(), graph))

    centrality, community = nk.centrality, nk.community
    return {
        "pagerank": scores(centrality.PageRank(graph, damp=0.85, tol=1e-6)),
        "components": (lambda: nk.components.ConnectedComponents(graph).run(), lambda run: run.numberOfComponents()),
        "core_number": scores(centrality.CoreDecomposition(plain)),
        "clustering": (lambda: centrality.LocalClusteringCoefficient(plain).run(), lambda run: np.mean(run.scores())),
        "closeness": scores(centrality.Closeness(plain, True, centrality.ClosenessVariant.GENERALIZED)),
        "eigenvector": scores(centrality.EigenvectorCentrality(plain, tol=1e-6)),
        "leiden": best(community.ParallelLeiden(graph, randomize=True)),
        "louvain": best(community.PLM(graph, refine=False)),
        "label_propagation": best(community.PLP(graph)),
        "betweenness_1024": scores(centrality.EstimateBetweenness(plain, SAMPLES, normalized=True, parallel=True)),
        "betweenness": scores(centrality.Betweenness(plain, normalized=True)),
    }


known = {"networkx": networkx, "igraph": igraph, "networkit": networkit}[peer]()
if measure in known:
    run, answer = known[measure]
    started = time.time()
    result = run()
    seconds = time.time() - started
    print(f"{seconds:.2f} {answer(result):.6g}")
