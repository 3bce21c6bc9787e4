"""Analysis of any net: graph, fixed front, parameters, receptive fields, summary, picture."""
