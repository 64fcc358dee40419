"""The BRIDGE: one file a station; each reads, computes and writes, and exchanges addresses."""
