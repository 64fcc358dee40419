"""The commands of `nightshelf`, a file each."""
