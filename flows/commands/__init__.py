"""The commands of `nightshelf`, one file for each command or group."""
