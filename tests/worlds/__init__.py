"""What tests run on: small shops, stores, stacks, hostile inputs, and programs they start."""
