"""A local Roostoo in its own process (docs/sandbox.md). Nothing else in the product imports it."""
