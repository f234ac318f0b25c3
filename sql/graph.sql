-- graph: the views of graphs and of their edges.

-- Unqualified names must mean PostgreSQL's own objects, whatever is in the extension's schema.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE VIEW @extschema@.graphs AS
SELECT g.name AS graph, g.kind, g.nodes_are, g.params, g.nodes, g.edges, g.elapsed, g.communities, g.community_params, g.modularity,
       g.created_at, g.created_by
FROM @extschema@.graph g;
COMMENT ON VIEW @extschema@.graphs IS 'All graphs: what made them, their size, and what communities are stored';
COMMENT ON COLUMN @extschema@.graphs.graph IS 'Name of the graph';
COMMENT ON COLUMN @extschema@.graphs.kind IS 'What made it: ''movies'', ''customers'', ''model'' or ''sql'', for the function graph_project_ of this name; ''backbone'': graph_backbone';
COMMENT ON COLUMN @extschema@.graphs.nodes_are IS 'What the ids of its nodes are: ''movies'': movie_id; ''customers'': customer_id; ''other'': ids of your own';
COMMENT ON COLUMN @extschema@.graphs.params IS 'Arguments of the function that made it';
COMMENT ON COLUMN @extschema@.graphs.nodes IS 'Number of nodes: ends of edges';
COMMENT ON COLUMN @extschema@.graphs.edges IS 'Number of edges';
COMMENT ON COLUMN @extschema@.graphs.elapsed IS 'Time that making it took';
COMMENT ON COLUMN @extschema@.graphs.communities IS 'Number of stored communities; NULL if none are stored';
COMMENT ON COLUMN @extschema@.graphs.community_params IS 'What graph_store_communities found them by; NULL if none are stored';
COMMENT ON COLUMN @extschema@.graphs.modularity IS 'Modularity of the stored communities; NULL if none are stored';
COMMENT ON COLUMN @extschema@.graphs.created_at IS 'When it was made';
COMMENT ON COLUMN @extschema@.graphs.created_by IS 'Role that made it';

CREATE VIEW @extschema@.graph_edges AS
SELECT g.name AS graph, e.from_id, e.to_id, e.weight, e.n_common
FROM @extschema@.graph_edge e JOIN @extschema@.graph g USING (graph_id);
COMMENT ON VIEW @extschema@.graph_edges IS 'Edges of all graphs, with the name of the graph';
COMMENT ON COLUMN @extschema@.graph_edges.graph IS 'Name of the graph';
COMMENT ON COLUMN @extschema@.graph_edges.from_id IS 'The end with the smaller id';
COMMENT ON COLUMN @extschema@.graph_edges.to_id IS 'The other end';
COMMENT ON COLUMN @extschema@.graph_edges.weight IS 'Weight, above 0: how alike the two are';
COMMENT ON COLUMN @extschema@.graph_edges.n_common IS 'Number of customers who rated both movies, or of movies that both customers rated; NULL if ratings did not make the edge';

-- The views apply row-level security to their caller, not to their owner. PostgreSQL 14 has no such views.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 150000 THEN
        EXECUTE 'ALTER VIEW @extschema@.graphs SET (security_invoker = true)';
        EXECUTE 'ALTER VIEW @extschema@.graph_edges SET (security_invoker = true)';
    END IF;
END $$;

SET LOCAL search_path = @extschema@, pg_temp;
