"""Sample configurations, and what a production deployment is made of."""
