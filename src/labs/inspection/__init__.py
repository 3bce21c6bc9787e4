"""What can be asked of any net: graph, fixed front, parameters, receptive fields, summary, picture."""
