"""What the settings of the models are, learned from night to night: incumbents against challengers."""
