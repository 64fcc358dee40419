"""Training in a child process: the request, the child, artefacts."""
