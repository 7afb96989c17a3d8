"""CNNs on attention: architecture, training, the grid with its controls, probes."""
