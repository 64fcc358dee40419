"""The shared trainer of models in torch, and their layers."""
