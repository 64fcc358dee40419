"""Autoencoders of histories, and what they share."""
