"""A made-up shop: its customers, catalogue, events and dirt, written as logs."""
