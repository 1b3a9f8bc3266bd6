"""Root causes: looking for them, telling them, mending what may be mended."""
