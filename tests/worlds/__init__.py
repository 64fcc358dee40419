"""What tests are run on: small shops, stores, stacks and hostile inputs, and the programs that they start."""
