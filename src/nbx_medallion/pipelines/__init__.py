"""One package a layer: nodes.py has pure functions, pipeline.py wires them."""
