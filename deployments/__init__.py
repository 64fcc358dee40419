"""Sample configurations and the files of a production deployment."""
